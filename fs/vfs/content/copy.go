package content

import (
	"context"
	"errors"

	"github.com/sbxmount/sbxmount/conn"
)

// CopyRange copies n bytes from src's offset to dst's and returns how many:
// fewer only at src's end. The server copies where it can, behind what is
// dirty in both: 2 round trips and its time. Else the bytes go through here, at
// the speed of reading ahead and writing behind.
func CopyRange(ctx context.Context, r conn.Remote, src *Handle, srcOff int64, dst *Handle, dstOff, n int64) (int64, error) {
	switch {
	case src.flags&conn.OpenRead == 0 || dst.flags&conn.OpenWrite == 0 || dst.flags&conn.OpenAppend != 0:
		return 0, &conn.Error{Op: "copy", Kind: conn.BadHandle}
	case srcOff < 0 || dstOff < 0 || n < 0:
		return 0, &conn.Error{Op: "copy", Kind: conn.Invalid}
	case src.file == dst.file && srcOff < dstOff+n && dstOff < srcOff+n:
		return 0, &conn.Error{Op: "copy", Kind: conn.Invalid}
	}
	n = min(n, src.file.Size()-srcOff)
	if n <= 0 {
		return 0, nil
	}
	if r.Info().Copies && n > maxPiece {
		done, err := copyThere(ctx, r, src, srcOff, dst, dstOff, n)
		if !errors.Is(err, conn.Unsupported) {
			return done, err
		}
	}
	return copyHere(ctx, src, srcOff, dst, dstOff, n)
}

// copyHere reads and writes.
func copyHere(ctx context.Context, src *Handle, srcOff int64, dst *Handle, dstOff, n int64) (int64, error) {
	buf := make([]byte, min(n, maxPiece))
	done := int64(0)
	for done < n {
		p, err := src.ReadAt(ctx, int(min(n-done, maxPiece)), srcOff+done, buf)
		if err != nil || len(p) == 0 {
			return done, err
		}
		m, err := dst.WriteAt(ctx, p, dstOff+done)
		done += int64(m)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// copyThere has the server copy. dst takes no writes meanwhile.
func copyThere(ctx context.Context, r conn.Remote, src *Handle, srcOff int64, dst *Handle, dstOff, n int64) (int64, error) {
	if err := src.file.drain(ctx); err != nil {
		return 0, err
	}
	f := dst.file
	if err := f.lockOpen(ctx); err != nil {
		return 0, err
	}
	f.gate = make(chan struct{})
	f.epoch++
	wait := f.flush(false)
	f.pump()
	if err := wait(ctx); err != nil { // a copy may overtake writes
		f.mu.Lock()
		f.openGate()
		f.mu.Unlock()
		return 0, err
	}
	f.mu.Lock()
	out := conn.NewCall[int64](nil)
	f.sender.enqueue(control{changes: true, retimes: true}, func(_ *remote, done func()) {
		f.mu.Lock()
		to := f.use(f.remote(writing))
		f.mu.Unlock()
		g := src.file
		g.mu.Lock()
		from := g.use(g.remote(reading))
		g.mu.Unlock()
		r.Copy(from.get(), srcOff, to.get(), dstOff, n).Then(func(copied int64, err error) {
			g.mu.Lock()
			g.unuse(from)
			g.pump()
			f.mu.Lock()
			f.copied(dstOff, n, copied)
			f.unuse(to)
			f.ask()
			f.mu.Unlock()
			done()
			out.Finish(copied, err)
		})
	})
	f.pump()
	return out.Wait(ctx)
}

// copied takes in that the server wrote up to n bytes at off, as many as
// copied for certain.
func (f *File) copied(off, n, copied int64) {
	f.epoch++
	f.sender.tainted = f.sender.tainted || f.sender.unplaced
	f.carve(min(off, f.size), min(off+n, f.size))
	if copied > 0 && off > f.size {
		f.view.insert(&extent{off: f.size, end: off, state: zeros, at: f.store.now()})
		f.unproven = true
	}
	if copied > 0 {
		f.size = max(f.size, off+copied)
	}
	f.served = 1 // what the kernel keeps of the range is old
	f.openGate()
}

// drain waits until everything that is dirty now was answered.
func (f *File) drain(ctx context.Context) error {
	f.mu.Lock()
	wait := f.flush(false)
	f.pump()
	return wait(ctx)
}
