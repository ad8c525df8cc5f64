package fs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// notifier passes vfs's word of what changed on the sandbox on to the kernel.
// A notification takes the kernel's lock of a directory or of pages, which an
// operation that waits for us may hold: it may only be sent by a goroutine
// that nothing waits for, which vfs promises.
//
// The kernel answers ENOENT for what it does not hold, and ENODEV at the end:
// both are as good as done.
type notifier struct{ server *fuse.Server }

var _ vfs.Notifier = notifier{}

// InvalidateContent has the kernel forget n bytes from off, to the end where n
// is 0 or less, and the attributes.
func (n notifier) InvalidateContent(id vfs.NodeID, off, length int64) {
	n.server.InodeNotify(uint64(id), off, length)
}

// InvalidateAttr has the kernel ask for attributes again: an offset below 0
// leaves the pages alone.
func (n notifier) InvalidateAttr(id vfs.NodeID) {
	n.server.InodeNotify(uint64(id), -1, 0)
}

// InvalidateEntry has the kernel look a name up again.
func (n notifier) InvalidateEntry(parent vfs.NodeID, name string) {
	n.server.EntryNotify(uint64(parent), name)
}
