package content

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// ReadAt returns n bytes from off, fewer only at the file's end. The result is
// a slice of the cache's own bytes, which never change, or of buf, whose
// length is at least n. No round trip where the bytes are here, else 1, and
// one more where no server handle was open.
func (h *Handle) ReadAt(ctx context.Context, n int, off int64, buf []byte) ([]byte, error) {
	f := h.file
	switch {
	case h.flags&conn.OpenRead == 0:
		return nil, &conn.Error{Op: "read", Kind: conn.BadHandle}
	case off < 0 || n < 0:
		return nil, &conn.Error{Op: "read", Kind: conn.Invalid}
	}
	f.mu.Lock()
	if off >= f.size {
		f.mu.Unlock()
		return buf[:0], nil
	}
	end := min(off+int64(n), f.size)
	found := f.slice(off, end)
	fetches := h.follow(off, end, found != nil || f.here(off, end))
	f.mu.Unlock()
	f.start(fetches)
	if found != nil {
		return found, nil
	}
	return f.gather(ctx, off, end, buf, fetches)
}

// start sends fetches. No lock is held.
func (f *File) start(fetches []*fetch) {
	for _, t := range fetches {
		t.start()
	}
	if len(fetches) > 0 {
		f.store.touch(fetches[0].from)
		f.store.closeIdleRemotes()
	}
}

// slice returns [off, end) where one extent has all its bytes, else nil.
func (f *File) slice(off, end int64) []byte {
	e := f.view.at(off)
	if e == nil || e.end < end {
		return nil
	}
	b := f.bytes(e)
	if b == nil {
		return nil
	}
	return b[off-e.off : end-e.off : end-e.off]
}

// bytes returns an extent's bytes for showing them to a program; nil where it
// has none (any more).
func (f *File) bytes(e *extent) []byte {
	var b []byte
	switch e.state {
	case dirty, sent:
		b = e.data
	case clean:
		if b = f.store.use(e.chunk); b != nil {
			b = b[e.off-e.base : e.end-e.base]
		}
	}
	if b != nil {
		f.shown(e.at)
	}
	return b
}

// here reports whether all of [off, end) can be read without waiting.
func (f *File) here(off, end int64) bool {
	for off < end {
		e := f.view.at(off)
		if e == nil || e.state == asked || e.state == clean && e.chunk.gone.Load() {
			return false
		}
		off = e.end
	}
	return true
}

// gather copies [off, end) into buf piece by piece, waiting for what is on its
// way and asking for what is not. started are fetches that it need not wait
// for twice: one of them that failed is the answer.
func (f *File) gather(ctx context.Context, off, end int64, buf []byte, started []*fetch) ([]byte, error) {
	pos := off
	for {
		f.mu.Lock()
		end = min(end, f.size)
		pos = f.copyOut(buf, off, pos, end)
		if pos >= end {
			f.mu.Unlock()
			return buf[:max(0, end-off)], nil
		}
		t, wait, err := f.missing(pos, end, &started)
		f.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case wait == nil:
			f.start(started)
			continue
		case t != nil && t.takeBack():
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if t != nil && t.failed() {
			return nil, t.err
		}
	}
}

// missing finds out what to wait for so that the byte at pos can be read: a
// fetch, or something else. Where it is nil, the fetches in started are to be
// started. The error is that of a fetch in started that should have brought
// the byte.
func (f *File) missing(pos, end int64, started *[]*fetch) (t *fetch, wait <-chan struct{}, err error) {
	if e := f.view.at(pos); e != nil {
		return e.fetch, e.fetch.done, nil
	}
	for _, t := range *started {
		if t.off <= pos && pos < t.end() && t.failed() {
			return nil, nil, t.err
		}
	}
	if f.gate != nil { // what the server would tell now is neither the old nor the new
		return nil, f.gate, nil
	}
	*started = nil
	_, freed := f.request(ask{pos, end, f.unit(0)}, func(off, n int64) *fetch {
		t := f.newFetch(off, n, nil, f.remote(reading))
		*started = append(*started, t)
		return t
	})
	if len(*started) > 0 {
		return nil, nil, nil
	}
	return nil, freed, nil
}

// failed reports whether the fetch is over and brought an error that is for
// whoever waits for it.
func (t *fetch) failed() bool {
	select {
	case <-t.done:
		return t.err != nil && t.err != errAgain && t.behind == nil
	default:
		return false
	}
}

// copyOut copies what is here from pos on and returns where it stopped.
func (f *File) copyOut(buf []byte, off, pos, end int64) int64 {
	for pos < end {
		e := f.view.at(pos)
		if e == nil {
			return pos
		}
		part := buf[pos-off : min(e.end, end)-off]
		switch e.state {
		case asked:
			return pos
		case zeros:
			clear(part)
			f.shown(e.at)
		default:
			b := f.bytes(e)
			if b == nil {
				f.remove(e)
				return pos
			}
			copy(part, b[pos-e.off:])
		}
		pos += int64(len(part))
	}
	return pos
}

// takeBack withdraws a background fetch that somebody waits for now, if it was
// not sent, so that it is asked for in the foreground.
func (t *fetch) takeBack() bool {
	if t.behind == nil {
		return false
	}
	t.file.mu.Lock()
	call := t.call
	t.file.mu.Unlock()
	return call != nil && call.Cancel(errAgain)
}
