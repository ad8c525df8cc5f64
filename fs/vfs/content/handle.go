package content

import (
	"context"
	"slices"

	"github.com/sbxmount/sbxmount/conn"
)

// Handle is one open of a File. Its methods may be called by several
// goroutines at once.
type Handle struct {
	file  *File
	flags conn.OpenFlags

	// Guarded by File.mu.
	lost    error // the first lost write that no flush of this handle reported
	told    bool  // a write reported it
	pattern pattern
}

// Handle registers an open with OpenRead, OpenWrite, OpenAppend in flags; the
// other flags are ignored. Server handles that Attach did not give are opened
// through the Opener when they are first needed. No round trip.
func (f *File) Handle(flags conn.OpenFlags) *Handle {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := &Handle{file: f, flags: flags & (conn.OpenRead | conn.OpenWrite | conn.OpenAppend)}
	f.handles = append(f.handles, h)
	return h
}

// File returns the handle's file.
func (h *Handle) File() *File { return h.file }

// kind is what the handle's writes need.
func (h *Handle) kind() kind {
	if h.flags&conn.OpenAppend != 0 {
		return appending
	}
	return writing
}

// Flush waits for the file's writes, as close(2) must: 1 round trip, none for
// a clean file or a handle that is not open for writing. It reports the first
// lost write, once for each handle.
func (h *Handle) Flush(ctx context.Context) error {
	if h.flags&conn.OpenWrite == 0 {
		h.file.store.closeIdleRemotes()
		return nil
	}
	h.file.mu.Lock()
	wait := h.file.flush(false)
	h.file.pump()
	if err := wait(ctx); err != nil {
		return err
	}
	return h.takeLost()
}

// Sync is Flush, with the bytes on the server's disk when it returns. 1 round
// trip, none where they are there. It reports, too, what was lost while no
// handle was open to hear of it.
func (h *Handle) Sync(ctx context.Context) error {
	h.file.mu.Lock()
	wait := h.file.flush(true)
	h.file.pump()
	err := wait(ctx)
	if lost := h.takeLost(); lost != nil {
		return lost
	}
	if err != nil {
		return err
	}
	return h.file.takeUnheard()
}

// Release ends the handle. It never blocks; what is dirty goes on behind, and
// the server handles that no other Handle needs are closed behind that.
func (h *Handle) Release() {
	f := h.file
	f.mu.Lock()
	i := slices.Index(f.handles, h)
	if i < 0 {
		f.mu.Unlock()
		return
	}
	f.handles = slices.Delete(f.handles, i, i+1)
	f.store.leave(&h.pattern)
	if h.flags&conn.OpenWrite != 0 {
		if f.unsure && f.anyRemote() != nil {
			f.ask()
		}
		f.sender.end()
	}
	f.closeIdle()
	f.pump()
}

// Start sends what is dirty, as Flush does, and returns when all of it is on its
// way: what is started after it goes behind it. It reports what is known to be
// lost by then, once for each handle. 0 round trips, but where there is more than
// may be in flight at once.
func (h *Handle) Start(ctx context.Context) error {
	if h.flags&conn.OpenWrite == 0 {
		h.file.store.closeIdleRemotes()
		return nil
	}
	if err := h.file.Start(ctx); err != nil {
		return err
	}
	return h.takeLost()
}

// Start is Handle.Start, without the report.
func (f *File) Start(ctx context.Context) error {
	f.mu.Lock()
	wait := f.flush(false)
	f.pump()
	f.mu.Lock()
	started := !f.sender.pumping && len(f.sender.queue) == 0 && f.sender.unsentBytes() == 0
	f.mu.Unlock()
	if started {
		return nil
	}
	return wait(ctx)
}
