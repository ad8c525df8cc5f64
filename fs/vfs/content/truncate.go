package content

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// Truncate sets the size, in order with writes; those that come while it is on
// its way wait for it. 1 round trip. Where it fails nothing has changed; where
// ctx ends it goes on behind.
func (f *File) Truncate(ctx context.Context, size int64) error {
	if size < 0 {
		return &conn.Error{Op: "truncate", Kind: conn.Invalid}
	}
	if err := f.lockOpen(ctx); err != nil {
		return err
	}
	f.gate = make(chan struct{})
	f.epoch++
	out := conn.NewCall[struct{}](nil)
	f.sender.enqueue(control{changes: true, retimes: true}, func(_ *remote, done func()) { f.resize(size, done, out) })
	f.pump()
	_, err := out.Wait(ctx)
	return err
}

// resize starts what truncates the file on the server, and a Stat behind it.
func (f *File) resize(size int64, done func(), out *conn.Call[struct{}]) {
	f.mu.Lock()
	r := f.sender.on
	for _, w := range []*remote{f.remotes.writer, f.remotes.appender} {
		if r == nil && w != nil && w.used && !w.closed {
			r = w
		}
	}
	asked, started := f.store.now(), f.sender.started
	f.mu.Unlock()
	finish := func(err error) {
		f.mu.Lock()
		if err == nil {
			f.resized(size)
		}
		f.openGate()
		f.mu.Unlock()
		done()
	}
	if r == nil {
		f.opener.ResizeRemote(size).Then(func(_ struct{}, err error) {
			finish(err)
			out.Finish(struct{}{}, err)
		})
		return
	}
	resized := r.get().SetAttr(conn.SetAttr{Valid: conn.SetSize, Attr: conn.Attr{Size: size}})
	stat := r.get().Stat()
	resized.Then(func(_ struct{}, err error) {
		finish(err)
		stat.Then(func(a conn.Attr, statErr error) {
			if statErr == nil {
				f.told(a, asked, started)
			}
			out.Finish(struct{}{}, err)
		})
	})
}

// resized takes in that the server's file has this size now.
func (f *File) resized(size int64) {
	f.epoch++
	f.sender.tainted = f.sender.tainted || f.sender.unplaced
	if size < f.size {
		f.carve(size, f.size)
	} else if size > f.size {
		f.view.insert(&extent{off: f.size, end: size, state: zeros, at: f.store.now()})
		f.unproven = true
	}
	f.size = size
}

// openGate lets those go on who waited for a truncate or copy.
func (f *File) openGate() {
	close(f.gate)
	f.gate = nil
}
