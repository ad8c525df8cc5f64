package content

import (
	"sync"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// File is one file's content as local programs see it, and the sole owner of
// its size. All methods may be called by several goroutines at once. Size,
// Learn, Seen, Retimed, Fresh, Whole, Dirty, Attach, Handle and Lost neither block nor
// start anything; the others may start operations and call the Opener, and so must
// not be called under a lock that its methods take.
type File struct {
	store  *Store
	opener Opener

	// Guarded by Store.mu.
	links[*File]              // in cache.files
	chunks       list[*chunk] // the most recently read first
	cached       int64        // bytes in chunks
	gone         int          // chunks evicted that an extent still names
	dirty        int64        // bytes in the write buffer

	mu      sync.Mutex // guards all below; comes before Store.mu; held for no call to the server or the Opener
	size    int64
	view    extents
	epoch   uint64        // counts what may make the server's file shorter than a fetch was sent for
	gate    chan struct{} // closed when a truncate or copy that is on its way is answered; nil: there is none
	doomed  []*extent     // scratch
	handles []*Handle

	// What proves the content: the server's mtime and when it was first seen.
	mtime    int64
	seen     int64
	unsure   bool  // our own writes gave the file an mtime that was not told yet
	unproven bool  // something in the view may be older than its proof needs
	served   int64 // the oldest at of what the kernel may keep; 0: it keeps nothing

	remotes remotes
	sender  sender
	lost    losses
	ahead   *prefetch // on its way, or nil
}

// NewFile returns the content of a file with these attributes, which arrived
// at seen. It holds nothing yet.
func (s *Store) NewFile(a conn.Attr, seen time.Time, o Opener) *File {
	f := &File{store: s, opener: o, size: a.Size, mtime: a.Mtime, seen: s.stamp(seen)}
	f.self = f
	f.sender.synced = true
	return f
}

// Size returns the size in bytes, with what was written and not yet sent.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Dirty reports whether there are bytes that the server has not acknowledged.
func (f *File) Dirty() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sender.busy()
}

// Learn takes in attributes from the server. asked is when they were asked
// for: what was asked before the last of our own changes was answered is
// ignored, so is everything while one is on its way. Where size or mtime show
// that another hand changed the file, what is cached goes and changed is true:
// the caller then has the kernel drop its pages, too. No round trip.
func (f *File) Learn(a conn.Attr, asked time.Time) (changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.learn(a, f.store.stamp(asked))
}

func (f *File) learn(a conn.Attr, asked int64) (changed bool) {
	if f.gate != nil || f.sender.busy() || asked < f.sender.settled {
		return false
	}
	sound := a.Size == f.size && !f.sender.tainted
	ours := f.unsure && sound // our own writes explain a new mtime
	f.unsure = false
	f.sender.tainted, f.sender.unplaced = false, false
	if sound && a.Mtime == f.mtime {
		return false
	}
	f.prove(a.Mtime)
	if ours {
		return false
	}
	f.dropClean()
	f.size, f.served = a.Size, 0
	f.epoch++
	return true
}

// prove begins the time of another mtime: nothing that is kept was fetched
// late enough after it was first seen.
func (f *File) prove(mtime int64) {
	if mtime != f.mtime {
		f.mtime, f.seen = mtime, f.store.now()
	}
	f.unproven = true
}

// Seen tells that the server's clock was past mtime's second at that time for
// sure, which may be earlier than the File was told of mtime.
func (f *File) Seen(mtime int64, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if mtime == f.mtime && !f.sender.busy() {
		f.seen = min(f.seen, f.store.stamp(at))
	}
}

// Retimed tells that a SetAttr by path of ours was answered and gave the file
// this mtime, so that Learn does not take it for a change by another hand.
func (f *File) Retimed(mtime int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prove(mtime)
	f.sender.settled = f.store.now()
}

// Fresh reports whether all content that is kept, here and in the kernel, may
// serve a new open, to be asked after Learn: it was fetched late enough after
// the mtime was first seen, or less than the TTL ago. What may not goes from
// here; the caller must then open without FOPEN_KEEP_CACHE, so that it goes
// from the kernel, too, and tell by Unserved that it does.
func (f *File) Fresh() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.store.now()
	fresh := f.served == 0 || f.mayServe(f.served, now)
	if f.unproven {
		f.unproven = false
		f.filter(func(e *extent) bool {
			switch {
			case e.state == dirty || e.state == sent || e.at >= f.seen+provenAfter:
				return true
			case f.mayServe(e.at, now):
				f.unproven = true
				return true
			}
			fresh = false
			return false
		})
	}
	return fresh
}

// Unserved tells that the kernel lets go of all pages that it has of the file.
func (f *File) Unserved() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served = 0
}

// mayServe reports whether bytes that were asked for at that time may serve a
// new open now.
func (f *File) mayServe(at, now int64) bool {
	return at >= f.seen+provenAfter || now-at < int64(f.store.o.TTL)
}

// shown notes that the kernel gets bytes that were asked for at that time.
func (f *File) shown(at int64) {
	if f.served == 0 || at < f.served {
		f.served = at
	}
}

// Whole reports whether all bytes are here: an open needs no server handle. No
// round trip.
func (f *File) Whole() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	pos := int64(0)
	f.view.m.Scan(func(_ int64, e *extent) bool {
		if e.off != pos || e.state == asked || e.state == clean && e.chunk.gone.Load() {
			return false
		}
		pos = e.end
		return true
	})
	return pos >= f.size
}

// Forget drops all that is kept. The file has no Handles any more.
func (f *File) Forget() {
	f.mu.Lock()
	f.dropClean()
	f.served = 0
	f.forgetLost()
	f.closeIdle()
	f.pump()
}
