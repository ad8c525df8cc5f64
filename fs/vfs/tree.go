package vfs

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs/content"
)

// Kind is conn's: what went wrong, in the words of a file system.
type Kind = conn.Kind

// KindOf returns the kind of an error of this package.
func KindOf(err error) Kind { return conn.KindOf(err) }

// NodeID names an inode to the kernel for as long as the kernel holds a
// reference to it. No number is ever used again.
type NodeID uint64

// RootID is the mounted directory, which needs no reference.
const RootID NodeID = 1

// WriteMode says what a change waits for.
type WriteMode uint8

const (
	// WriteClose: data flows behind writes, and close and fsync wait for it;
	// attributes of a file that the login user may change travel behind, in
	// order, and the next flush, fsync, rename or unlink of the file waits for
	// them and reports. Names wait for the server's answer.
	WriteClose WriteMode = iota
	// WriteThrough: everything waits for the server's answer.
	WriteThrough
	// WriteAsync: what is known to be possible is sent, taken for done and not
	// waited for; fsync of a file or directory and Sync wait, and report what
	// was refused. What can't be known is waited for as with WriteClose, and so
	// are truncating, copying, and moving a directory.
	WriteAsync
)

// LinkPolicy says what a symbolic link's text shows. The kernel resolves it on
// the local machine, so that it decides which files programs reach.
type LinkPolicy uint8

const (
	// LinksContain: a link leads where it leads on the sandbox, and never to
	// anything local.
	LinksContain LinkPolicy = iota
	// LinksRaw: the server's text, whatever it leads to.
	LinksRaw
)

// Options say what a Tree shows and how. Remote and Root are required.
type Options struct {
	Remote conn.Remote
	Root   string // the directory to show, an absolute path on the server

	// TTL is how long names and attributes are trusted; 0 asks each time.
	TTL time.Duration
	// Writes is what changes wait for.
	Writes WriteMode
	// Links is what symbolic links show. With LinksContain, Outside says whether
	// those that lead out of Root can be followed, to the sandbox's own files.
	Links   LinkPolicy
	Outside bool
	// CacheSize bounds the bytes of content kept, WriteBuffer those of them
	// that the server does not have yet. 0 takes 256 MiB and 64 MiB.
	CacheSize, WriteBuffer int64
	// InoKey keys the inode numbers: the same for every mount of one sandbox,
	// different between sandboxes.
	InoKey string
	// MaxInodes bounds the inodes kept, by some 500 bytes each; 0 takes
	// 1,000,000. A symbolic link with a long text counts for several. Names that
	// nobody uses are forgotten before it is reached: what would be over it
	// fails with NoMemory.
	MaxInodes int
	// KeepInodes is how many are kept before any are forgotten; 0 takes seven
	// eighths of MaxInodes. What the kernel holds it is asked to let go.
	KeepInodes int
	// MaxOpen bounds the files and directories that are open; 0 takes 65,536.
	// One more fails with TooManyOpen.
	MaxOpen int
	// Ahead, with WriteAsync, says whether changes may go unwaited for at
	// present; nil: always. It must not block, nor call the Tree.
	Ahead func() bool
	// RTT tells the link's present round trip time; nil where nobody knows.
	RTT func() time.Duration
	// Clock tells what the server told of its clock; nil where nobody knows.
	// Neither it nor RTT may wait for anything.
	Clock func() conn.Clock
	// Offline returns for how long, since the server told them, names,
	// attributes and listings may be shown because the link is down (0: it is
	// up), and what is closed when that changes. A TTL of 0 overrules it. It is
	// called with locks held and takes none. nil: the link is never down.
	Offline func() (time.Duration, <-chan struct{})
	// Wake is called before the server is asked, offline, for something of which
	// nothing is known yet. It may be nil.
	Wake func()
	// Log and Now default to discarding and to time.Now.
	Log *slog.Logger
	Now func() time.Time
}

// Notifier passes on to the kernel what it must forget. It is called from one
// goroutine that holds no lock and that no request waits for, so it may block.
type Notifier interface {
	// InvalidateContent drops the kernel's pages of n bytes from off (n <= 0:
	// all from there), and its attributes.
	InvalidateContent(id NodeID, off, n int64)
	// InvalidateEntry drops a name, positive or negative.
	InvalidateEntry(parent NodeID, name string)
	// InvalidateAttr drops attributes alone.
	InvalidateAttr(id NodeID)
}

// Tree is a volume: the inodes, what is known of them, and the workers.
type Tree struct {
	remote   conn.Remote
	store    *content.Store
	info     conn.Info
	rootPath string
	root     *inode
	contain  bool            // links: see linkTexts
	reserved string          // the name in the root that is ours, "" for none
	rootName string          // the mounted directory's own, where reserved is set
	outside  *inode          // what is at the reserved name, or nil
	resolve  chan struct{}   // holds one for each text that is being resolved
	life     context.Context // ends with the Tree; of what the Tree does on its own
	end      context.CancelFunc
	ttl      time.Duration
	writes   WriteMode
	offline  func() (time.Duration, <-chan struct{}) // nil: never
	wake     func()                                  // or nil
	ahead    func() bool                             // Options.Ahead
	max      int                                     // inodes; see Options
	keep     int                                     // likewise
	maxOpen  int
	log      *slog.Logger
	now      func() time.Time
	base     time.Time // of instants
	// clockTold is Options.Clock.
	clockTold func() conn.Clock

	// mu guards all below and every inode, name and dir. It is held for work in
	// memory alone: never while a Remote is called, a Call is waited for or the
	// kernel is notified. Locks of package content come after it.
	mu         sync.Mutex
	last       instant // the latest that was given out
	lastID     NodeID
	nodes      map[NodeID]*inode
	inos       inoTable
	clock      serverClock
	asking     map[*inode]*question // for the anchors' attributes
	questions  map[*question]*inode // in flight, with their directories
	listings   map[*listing]*inode  // likewise
	open       map[*file]struct{}   // with Handles, changes under way, or unsent bytes
	lru        lruList              // of directories that have names in memory
	contents   lruList              // of files that have a content
	pressure   int                  // names made and references dropped since shrink last had a go
	shrunk     int                  // the weight that it left
	texts      int                  // what long texts of links count for, in inodes
	handles    int                  // Handles and DirHandles
	opening    int                  // calls that are to make one
	walk       walker
	later      []func() // to be done by unlock, once mu is free
	closed     bool
	unusable   int64
	capacities map[NodeID]conn.StatFS // as last told
	behind     behind                 // changes of names, in async mode
	refusals   int64                  // of them, so far
	moves      uint64                 // renames so far: what links show may depend on where they stand

	uses  atomic.Uint64 // see Stats
	notes notes
	work  sync.WaitGroup // goroutines of the tree
}

// Defaults of Options.
const (
	defaultCacheSize   = 256 << 20
	defaultWriteBuffer = 64 << 20
	defaultMaxInodes   = 1_000_000
	defaultMaxOpen     = 65536
)

// New returns a Tree of the directory o.Root. 1 round trip where no symbolic
// link leads there, else one or two for each of the path's components.
func New(ctx context.Context, o Options) (*Tree, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	path, attr, err := findRoot(ctx, o.Remote, o.Root)
	if err != nil {
		return nil, err
	}
	t := &Tree{
		remote: o.Remote, info: o.Remote.Info(), rootPath: path, ttl: o.TTL, writes: o.Writes, ahead: o.Ahead, offline: o.Offline, wake: o.Wake,
		capacities: map[NodeID]conn.StatFS{},
		max:        cmp.Or(o.MaxInodes, defaultMaxInodes), maxOpen: cmp.Or(o.MaxOpen, defaultMaxOpen),
		log: o.Log, now: o.Now, base: o.Now(), clockTold: o.Clock,
		asking: map[*inode]*question{}, resolve: make(chan struct{}, maxResolve), questions: map[*question]*inode{}, listings: map[*listing]*inode{},
		open: map[*file]struct{}{}, nodes: map[NodeID]*inode{}, inos: inoTable{key: o.InoKey, taken: map[uint64]struct{}{}},
	}
	t.keep = cmp.Or(o.KeepInodes, t.max-t.max/8)
	t.store = content.New(content.Options{
		CacheSize:   cmp.Or(o.CacheSize, defaultCacheSize),
		WriteBuffer: cmp.Or(o.WriteBuffer, defaultWriteBuffer),
		MaxRead:     t.info.MaxRead, MaxWrite: t.info.MaxWrite,
		TTL: o.TTL, RTT: o.RTT, Now: o.Now, Log: o.Log, WriteThrough: o.Writes == WriteThrough,
	})
	t.walk.dirs.budget, t.walk.files.budget = maxBudget, maxBudget
	t.life, t.end = context.WithCancel(context.Background())
	t.root = t.newInode(path, attr, t.tick())
	t.startOutside(&o)
	t.notes.wake = make(chan struct{}, 1)
	t.work.Go(t.notify)
	return t, nil
}

// tick returns the present instant. Tree.mu is held.
func (t *Tree) tick() instant {
	t.last = max(t.last+1, instant(t.now().Sub(t.base)))
	return t.last
}

// since returns the instant of a time by the clock.
func (t *Tree) since(at time.Time) instant { return instant(at.Sub(t.base)) }

// at returns an instant by the clock.
func (t *Tree) at(i instant) time.Time { return t.base.Add(time.Duration(i)) }

// fresh reports whether what was asked for at asked is good enough for an
// operation that began at start.
func (t *Tree) fresh(asked, start instant) bool {
	if asked == never {
		return false
	}
	if asked > start-instant(t.ttl) {
		return true
	}
	kept := t.kept()
	return kept > 0 && start-asked < kept
}

// valid returns for how long what was asked for at asked may be cached.
func (t *Tree) valid(asked instant) time.Duration {
	if asked == never {
		return 0
	}
	return max(0, t.ttl-time.Duration(t.tick()-asked))
}

// unlock frees Tree.mu and does what had to wait for that. What was to be
// referred to is so by now: the rest may be forgotten.
func (t *Tree) unlock() {
	if t.weight() > t.keep {
		t.shrink()
	}
	later := t.later
	t.later = nil
	t.mu.Unlock()
	for _, f := range later {
		f()
	}
}

// wait frees Tree.mu until one of two channels is closed or ctx ends.
func (t *Tree) wait(ctx context.Context, done, also <-chan struct{}) error {
	t.unlock()
	defer t.mu.Lock()
	select {
	case <-done:
	case <-also:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// goes runs f, which is too much for who delivers answers, on a goroutine of
// the tree's; false after Close.
func (t *Tree) goes(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.work.Go(f)
	}
	return !t.closed
}

// Close waits until the server has everything, as long as ctx allows, and ends
// the Tree. It reports the first loss.
func (t *Tree) Close(ctx context.Context) error {
	err := t.Sync(ctx)
	t.mu.Lock()
	t.closed = true
	t.unlock()
	t.end()
	if e := t.store.Close(ctx); err == nil {
		err = e
	}
	t.notes.close()
	t.work.Wait()
	return err
}
