package content

import (
	"context"
	"sync"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// remote is a server handle. It is opened when it is first used.
type remote struct {
	links[*remote] // in Store.remotes while it may be closed when idle; guarded by Store.mu
	file           *File
	flags          conn.OpenFlags

	once sync.Once
	conn conn.File // set by once

	// Guarded by File.mu.
	used     bool // get was called, or is about to be
	users    int  // who is about to start something on it
	inFlight int  // writes that were not answered
	retired  bool // serves no kind any more; closed when nobody uses it
	closed   bool
}

// remotes are a file's server handles by what they serve; one may serve two
// kinds. Guarded by File.mu.
type remotes struct {
	reader, writer, appender *remote
	closing                  []*remote // to be closed by the sender
	nameless                 bool      // the file has no path to open it by
}

// kind is what a server handle is needed for.
type kind uint8

const (
	reading kind = iota
	writing
	appending
)

func (k kind) flags() conn.OpenFlags {
	return [...]conn.OpenFlags{conn.OpenRead, conn.OpenWrite, conn.OpenWrite | conn.OpenAppend}[k]
}

func (r *remotes) of(k kind) **remote {
	return [...]**remote{&r.reader, &r.writer, &r.appender}[k]
}

// remote returns the server handle of a kind, a new one where there is none
// yet.
func (f *File) remote(k kind) *remote {
	p := f.remotes.of(k)
	if *p == nil {
		*p = f.newRemote(k.flags())
	}
	return *p
}

func (f *File) newRemote(flags conn.OpenFlags) *remote {
	r := &remote{file: f, flags: flags}
	r.self = r
	return r
}

// anyRemote returns a server handle for what needs no particular kind: the one with
// writes in flight, so that what is started stands behind them; else any; nil
// if there is none.
func (f *File) anyRemote() *remote {
	for _, r := range []*remote{f.sender.on, f.remotes.writer, f.remotes.appender, f.remotes.reader} {
		if r != nil && r.used && !r.closed {
			return r
		}
	}
	return nil
}

// get returns the open handle. No lock of this package is held.
func (r *remote) get() conn.File {
	var opened *conn.Call[conn.Attr]
	var asked int64
	r.once.Do(func() {
		if r.conn == nil {
			asked = r.file.store.now()
			r.conn, opened = r.file.opener.OpenRemote(r.flags)
			if r.conn == nil {
				_, err := opened.Wait(context.Background()) // answered: it has no path
				r.conn = unopened{err}
			}
			r.file.store.remoteOpened()
		}
	})
	if opened != nil {
		opened.Then(func(a conn.Attr, err error) { r.file.opened(r, a, asked, err) })
	}
	return r.conn
}

// opened takes the answer to an open of ours.
func (f *File) opened(r *remote, a conn.Attr, asked int64, err error) {
	f.mu.Lock()
	changed := false
	if err != nil {
		f.retire(r)
	} else {
		changed = f.learn(a, asked)
	}
	f.pump()
	if err == nil {
		f.opener.Wrote(a, f.store.time(asked), changed)
	}
}

// Attach hands over a server handle that was opened with flags, the attributes
// that the open answered, and when it was sent. The handle serves all Handles
// of its kind, in place of an older one, and is closed when the last of them
// goes. OpenTrunc in flags empties the view; the caller has flushed before it
// opened so. changed is as Learn's. No round trip.
func (f *File) Attach(file conn.File, flags conn.OpenFlags, a conn.Attr, asked time.Time) (changed bool) {
	f.store.remoteOpened()
	f.mu.Lock()
	r := f.newRemote(flags)
	r.conn, r.used = file, true
	if flags&conn.OpenRead != 0 {
		f.attach(reading, r)
	}
	switch {
	case flags&conn.OpenAppend != 0:
		f.attach(appending, r)
	case flags&conn.OpenWrite != 0:
		f.attach(writing, r)
	}
	if flags&conn.OpenTrunc != 0 {
		f.emptied()
		f.prove(a.Mtime)
	}
	changed = f.learn(a, f.store.stamp(asked))
	if flags&conn.OpenTrunc != 0 {
		f.sender.settled = f.store.now() // what was asked before knows the old size
	}
	f.mu.Unlock() // the handle that r replaced is closed by the next pump
	f.store.touch(r)
	return changed
}

// emptied takes in that an open truncated the file.
func (f *File) emptied() {
	f.filter(func(*extent) bool { return false })
	f.size, f.served = 0, 0
	f.epoch++
}

// attach has r serve a kind in place of what served it before.
func (f *File) attach(k kind, r *remote) {
	p := f.remotes.of(k)
	old := *p
	*p = r
	if old != nil && old != f.remotes.reader && old != f.remotes.writer && old != f.remotes.appender {
		f.retire(old)
	}
}

// retire takes a server handle out of service; it is closed when nobody is
// about to use it. What was started on it goes on.
func (f *File) retire(r *remote) {
	for _, k := range []kind{reading, writing, appending} {
		if p := f.remotes.of(k); *p == r {
			*p = nil
		}
	}
	r.retired = true
	f.closeUnused(r)
}

func (f *File) closeUnused(r *remote) {
	if r.retired && r.used && r.users == 0 && !r.closed {
		r.closed = true
		f.remotes.closing = append(f.remotes.closing, r)
	}
}

// Hold starts to open the server handles that open Handles may still need, to
// be called before the file's name goes. It does not wait.
func (f *File) Hold() {
	f.mu.Lock()
	var opening []*remote
	for _, h := range f.handles {
		for _, k := range []kind{reading, writing, appending} {
			if k == reading && h.flags&conn.OpenRead == 0 || k != reading && (h.flags&conn.OpenWrite == 0 || k != h.kind()) {
				continue
			}
			if r := f.remote(k); !r.used {
				opening = append(opening, f.use(r))
			}
		}
	}
	f.mu.Unlock()
	for _, r := range opening {
		r.get()
		f.mu.Lock()
		f.unuse(r)
		f.pump()
	}
}

// use keeps r open until unuse.
func (f *File) use(r *remote) *remote {
	r.used = true
	r.users++
	return r
}

// unuse ends use; the caller pumps, since that may have left r to be closed.
func (f *File) unuse(r *remote) {
	r.users--
	f.closeUnused(r)
}

// Moved tells the server handles the file's new path; "" says that it has none
// any more, so that what is not open now can't be opened: see Hold.
func (f *File) Moved(path string) {
	f.mu.Lock()
	f.remotes.nameless = path == ""
	var told []*remote
	for _, k := range []kind{reading, writing, appending} {
		if r := *f.remotes.of(k); r != nil && r.used && !r.closed {
			told = append(told, f.use(r))
		}
	}
	f.mu.Unlock()
	for _, r := range told {
		r.get().Moved(path)
		f.mu.Lock()
		f.unuse(r)
		f.pump()
	}
}
