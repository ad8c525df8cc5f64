package content

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// flush sends all that is dirty and returns what waits for the answers; with
// disk, for the server's disk, too. Behind the last write goes a Stat, in the
// same round trip, for what the file's size and mtime are now. f.mu is held,
// and the caller pumps.
func (f *File) flush(disk bool) (wait func(context.Context) error) {
	s := &f.sender
	busy := s.busy()
	var synced *conn.Call[struct{}]
	if disk && (busy || !s.synced) {
		synced = f.sync()
	}
	if busy || f.unsure {
		f.ask()
	}
	g := s.end()
	return func(ctx context.Context) error {
		if busy && g != nil {
			select {
			case <-g.answered:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		if synced == nil {
			return nil
		}
		_, err := synced.Wait(ctx)
		return err
	}
}

// sync asks the server to bring all that was started to its disk.
func (f *File) sync() *conn.Call[struct{}] {
	out := conn.NewCall[struct{}](nil)
	if f.anyRemote() == nil {
		f.remote(reading).used = true // opened for this
	}
	f.sender.enqueue(control{}, func(r *remote, done func()) {
		if r == nil {
			done()
			out.Finish(struct{}{}, &conn.Error{Op: "fsync", Kind: conn.Stale})
			return
		}
		f.mu.Lock()
		started := f.sender.started
		f.mu.Unlock()
		r.get().Sync().Then(func(_ struct{}, err error) {
			f.mu.Lock()
			if err == nil && f.sender.started == started {
				f.sender.synced = true
			}
			f.mu.Unlock()
			done()
			out.Finish(struct{}{}, err)
		})
	})
	return out
}

// ask has a Stat stand behind all changes so far, unless one does.
func (f *File) ask() {
	s := &f.sender
	if n := len(s.gens); n > 0 && s.gens[n-1] == s.asked {
		return
	}
	s.enqueue(control{}, func(r *remote, done func()) { f.stat(r, done) })
	s.asked = s.end()
}

// stat asks for the attributes of the open file, which are those that our
// changes made unless another is started before the answer.
func (f *File) stat(r *remote, done func()) {
	f.mu.Lock()
	asked, started := f.store.now(), f.sender.started
	f.mu.Unlock()
	if r == nil {
		done()
		return
	}
	r.get().Stat().Then(func(a conn.Attr, err error) {
		if err == nil {
			f.told(a, asked, started)
		}
		done()
	})
}

// told takes in what a stat behind our changes answered.
func (f *File) told(a conn.Attr, asked int64, started uint64) {
	f.mu.Lock()
	s := &f.sender
	if s.started != started || s.unsentBytes() > 0 || f.gate != nil {
		f.mu.Unlock()
		return // there will be another one
	}
	changed := s.tainted
	if s.tainted { // nothing is dirty: the view begins anew
		f.filter(func(*extent) bool { return false })
	}
	s.tainted, s.unplaced = false, false
	if a.Size != f.size {
		f.dropClean()
		f.shrinkTo(a.Size)
		changed = true
	}
	if changed {
		f.served = 0
	}
	f.unsure = false
	f.prove(a.Mtime)
	f.mu.Unlock()
	f.opener.Wrote(a, f.store.time(asked), changed)
}

// shrinkTo takes in that another hand gave the file this size. Our own bytes
// beyond it, which were sent already, make it longer again.
func (f *File) shrinkTo(size int64) {
	f.epoch++
	f.size = size
	if e := f.view.last(); e != nil {
		f.size = max(f.size, e.end)
	}
}

// Flush sends what is dirty and waits until all of it is answered; it returns
// the first lost write since the last Flush. 1 round trip, none when clean.
func (f *File) Flush(ctx context.Context) error {
	f.mu.Lock()
	wait := f.flush(false)
	f.pump()
	if err := wait(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.lost.err
	f.lost.err = nil
	return err
}

// SetAttr changes attributes (not the size) through an open server handle, in
// order behind the writes; nil where none is open: nothing is dirty then, and
// the caller goes by path. 1 round trip, which nobody waits for here.
func (f *File) SetAttr(set conn.SetAttr) *conn.Call[struct{}] {
	f.mu.Lock()
	if f.anyRemote() == nil && !f.sender.busy() {
		f.mu.Unlock()
		return nil
	}
	out := conn.NewCall[struct{}](nil)
	f.sender.enqueue(control{changes: true, retimes: set.Valid&conn.SetTimes != 0}, func(r *remote, done func()) {
		if r == nil {
			done()
			out.Finish(struct{}{}, &conn.Error{Op: "setattr", Kind: conn.Stale})
			return
		}
		r.get().SetAttr(set).Then(func(_ struct{}, err error) {
			done()
			out.Finish(struct{}{}, err)
		})
	})
	f.pump()
	return out
}
