package fs

import (
	"context"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
)

// lookAgain is how long an interrupted operation goes on before its caller is
// looked at again: a person who presses Ctrl-C twice should not notice.
const lookAgain = 100 * time.Millisecond

// request is the context of one FUSE request. It ends when nobody waits for
// the answer any more: the calling thread is being killed, the kernel hung up,
// or the mount is aborted.
//
// An INTERRUPT alone ends nothing. The Go runtime's own signals raise them all
// the time, and EINTR would reach programs that never expect it from a file.
// So an INTERRUPT only starts the looking at what is about to happen to the
// caller.
//
// A FLUSH may also come from a process that was killed already and is closing
// its files. No signal is pending then and no INTERRUPT will come, so that it
// is looked at without being asked.
//
// Most operations never wait. The goroutine that watches is started by the
// first Done, so that they don't pay for it.
type request struct {
	bridge    *bridge
	interrupt <-chan struct{} // closed by go-fuse at an INTERRUPT
	thread    uint32          // of the caller, as our pid namespace numbers it; 0 elsewhere
	closing   bool            // a FLUSH
	refused   bool            // one too many; see Options.MaxRequests

	mu    sync.Mutex    // guards all below
	done  chan struct{} // made by the first Done
	over  chan struct{} // closed when the operation has returned
	ended bool          // done is closed
}

func (b *bridge) request(cancel <-chan struct{}, h *fuse.InHeader) *request {
	now := b.requests.Add(1)
	return &request{bridge: b, interrupt: cancel, thread: h.Pid, refused: now > int64(b.maxRequests)}
}

// tooMany is the answer to a request that is refused: a bound of ours was
// reached.
var tooMany = status(conn.NoMemory)

// finish ends the watching. Every operation defers it.
func (r *request) finish() {
	r.bridge.requests.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over != nil {
		close(r.over)
	}
}

// Done implements context.Context.
func (r *request) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done, r.over = make(chan struct{}), make(chan struct{})
		r.bridge.behind.Go(r.watch)
	}
	return r.done
}

func (r *request) watch() {
	var look <-chan time.Time
	if r.closing {
		look = time.After(lookAgain) // most are over before
	}
	select {
	case <-r.over:
		return
	case <-r.bridge.base.Done():
	case <-look:
		if !r.awaitDeath() {
			return
		}
	case <-r.interrupt:
		if !r.awaitDeath() {
			return
		}
	}
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	close(r.done)
}

// awaitDeath looks at the caller until the operation is over (false) or the
// caller is lost to it (true).
func (r *request) awaitDeath() bool {
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for !r.bridge.dead() && !dying(r.thread) {
		select {
		case <-r.over:
			return false
		case <-r.bridge.base.Done():
			return true
		case <-again.C:
		}
	}
	return true
}

// Err implements context.Context. The mount's end is not Canceled, which would
// become EINTR: many programs try again then, on whatever the path leads to.
func (r *request) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.ended:
		return nil
	case r.bridge.base.Err() != nil:
		return context.Cause(r.bridge.base)
	}
	return context.Canceled
}

// Deadline implements context.Context: the link below has its own bound.
func (r *request) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (r *request) Value(any) any { return nil }

var _ context.Context = (*request)(nil)

// complete runs a change of the file system to its end, and waits for it as
// long as the caller lives. Where that is killed meanwhile, the change goes on
// behind, since what was sent can't be taken back and half of it would be
// worse; undo, where not nil, then gives back what the kernel will never hear
// of (references, handles).
func complete[T any](r *request, change func(context.Context) (T, error), undo func(T)) (T, error) {
	type outcome struct {
		val T
		err error
	}
	answer := make(chan outcome) // without a buffer: taken or, with gone, given back
	gone := make(chan struct{})
	r.bridge.behind.Go(func() {
		var o outcome
		o.val, o.err = guarded(r.bridge, change)
		select {
		case answer <- o:
		case <-gone:
			if o.err == nil && undo != nil {
				undo(o.val)
			}
			r.bridge.requests.Add(-1)
		}
	})
	select {
	case o := <-answer:
		return o.val, o.err
	case <-r.Done():
		r.bridge.requests.Add(1) // what goes on behind counts, too
		close(gone)
		var none T
		return none, r.Err()
	}
}

// guarded is the change with a panic in it turned into an error, as go-fuse
// does on the goroutines that are its own.
func guarded[T any](b *bridge, change func(context.Context) (T, error)) (val T, err error) {
	defer func() {
		if v := recover(); v != nil {
			b.panicked(v)
			err = errPanic
		}
	}()
	return change(b.base)
}
