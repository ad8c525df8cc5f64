package fs

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// bridge answers the kernel's requests from a vfs.Tree. Node ids are the
// tree's own; file handles are numbers in its tables. It decides nothing about
// caching, order or the link.
type bridge struct {
	fuse.RawFileSystem // ENOSYS for what is not below: the kernel then does without

	tree *vfs.Tree
	ids  IDMap
	log  *slog.Logger
	base context.Context // ends with the mount
	dead func() bool     // the kernel hung up

	files table[vfs.Handle]
	dirs  table[vfs.DirHandle]
	stale staleOpens

	requests    atomic.Int64 // being answered
	maxRequests int

	behind sync.WaitGroup // goroutines that may outlive a request
}

func newBridge(base context.Context, o *Options) *bridge {
	return &bridge{
		RawFileSystem: fuse.NewDefaultRawFileSystem(),
		tree:          o.Tree, ids: o.IDMap, log: o.Log, base: base,
		maxRequests: cmp.Or(o.MaxRequests, defaultMaxRequests),
	}
}

var _ fuse.RawFileSystem = (*bridge)(nil)

// String names the file system in go-fuse's messages.
func (b *bridge) String() string { return fsType }

// Init is called once the kernel has agreed, before the first request.
func (b *bridge) Init(s *fuse.Server) { b.tree.SetNotifier(notifier{s}) }

// close is called when the kernel has hung up. It releases what the kernel had
// no time to release and waits for what still runs.
func (b *bridge) close() {
	b.tree.SetNotifier(nil)
	b.behind.Wait()
	for _, h := range b.files.drain() {
		h.Release()
	}
	for _, d := range b.dirs.drain() {
		d.Release()
	}
}
