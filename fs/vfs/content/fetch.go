package content

import (
	"errors"
	"io"

	"github.com/sbxmount/sbxmount/conn"
)

// fetch is a read on its way. Its bytes come into the view only where the view
// still shows it: what was written or truncated meanwhile is not undone.
type fetch struct {
	file   *File
	from   *remote
	off    int64
	want   int64 // bytes
	at     int64 // when it was sent
	epoch  uint64
	stream *stream   // that it was made for, or nil
	behind *prefetch // that it is part of, in the background class, or nil

	buf   []byte
	n     int             // bytes that arrived
	again bool            // an early end was met, and the file is longer by its attributes
	call  *conn.Call[int] // set when it was started; guarded by File.mu
	done  chan struct{}   // closed when the answer is in the view
	err   error           // set before done is closed
}

func (t *fetch) end() int64 { return t.off + t.want }

// errAgain ends a fetch whose bytes are to be asked for again by who waits.
var errAgain = errors.New("content: to be asked for again")

// unit is how much one fetch asks for: a request's worth, and with a large
// window four, which halves the reads that lie across two fetches.
func (f *File) unit(window int64) int64 {
	n := int64(f.store.o.MaxRead)
	if window >= 8*n && f.store.cache.size >= 64*n {
		return 4 * n
	}
	return n
}

// ask is a range to be asked for, in fetches of up to unit bytes.
type ask struct{ off, end, unit int64 }

// request makes fetches for what is not known of a range, as far as the budget
// allows, and returns where it stopped; freed is closed when there may be room
// again. The caller starts the fetches when it has let f.mu go.
func (f *File) request(a ask, add func(off, n int64) *fetch) (stop int64, freed <-chan struct{}) {
	for a.off < a.end {
		e := f.view.at(a.off)
		if e != nil && e.state == clean && e.chunk.gone.Load() {
			f.remove(e)
			e = nil
		}
		if e != nil {
			a.off = e.end
			continue
		}
		n := min(a.end-a.off, a.unit)
		if next := f.view.from(a.off); next != nil {
			n = min(n, next.off-a.off)
		}
		if freed := f.store.reserve(f, n); freed != nil {
			return a.off, freed
		}
		t := add(a.off, n)
		f.view.insert(&extent{off: a.off, end: a.off + n, state: asked, at: t.at, fetch: t})
		a.off += n
	}
	return a.off, nil
}

// newFetch makes a fetch over r. It keeps r open until it was started.
func (f *File) newFetch(off, n int64, s *stream, r *remote) *fetch {
	return &fetch{
		file: f, from: f.use(r), off: off, want: n, at: f.store.now(),
		epoch: f.epoch, stream: s, done: make(chan struct{}),
	}
}

// start sends a fetch. No lock is held.
func (t *fetch) start() {
	t.buf = make([]byte, t.want)
	call := t.from.get().ReadAt(t.buf, t.off)
	f := t.file
	f.mu.Lock()
	t.call = call
	f.unuse(t.from)
	if len(f.remotes.closing) > 0 {
		f.pump()
	} else {
		f.mu.Unlock()
	}
	call.Then(t.answered)
}

// answered takes the answer.
func (t *fetch) answered(n int, err error) {
	t.n += n
	switch {
	case int64(t.n) == t.want:
		t.finish(nil)
	case err == nil:
		t.finish(&conn.Error{Op: "read", Kind: conn.Protocol, Err: io.ErrShortBuffer})
	case !errors.Is(err, io.EOF):
		t.finish(err)
	default:
		t.endedEarly()
	}
}

// endedEarly finds out why the file ended before the size that was known when
// the fetch was sent. Only the server's attributes make a file shorter, never
// an end of file alone.
func (t *fetch) endedEarly() {
	f := t.file
	f.mu.Lock()
	changing := f.epoch != t.epoch || f.gate != nil
	asked := f.store.now()
	f.mu.Unlock()
	if changing || t.behind != nil {
		t.finish(errAgain)
		return
	}
	t.from.get().Stat().Then(func(a conn.Attr, err error) {
		switch {
		case err != nil:
			t.finish(err)
		case a.Size < t.end():
			if f.cutShort(t, a) {
				f.opener.Wrote(a, f.store.time(asked), true)
			}
			t.finish(errAgain)
		case t.again:
			t.finish(&conn.Error{Op: "read", Kind: conn.Other, Err: io.ErrUnexpectedEOF})
		default: // it grew again in between
			t.again = true
			t.from.get().ReadAt(t.buf[t.n:], t.off+int64(t.n)).Then(t.answered)
		}
	})
}

// cutShort takes in that the server's file is shorter than t was sent for.
func (f *File) cutShort(t *fetch, a conn.Attr) (changed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch != t.epoch || f.gate != nil || a.Size >= f.size {
		return false
	}
	f.filter(func(e *extent) bool { return e.state == dirty || e.state == sent })
	f.shrinkTo(a.Size)
	f.served = 0
	// Between the server's end and bytes of ours behind it there will be zeros.
	f.zeroHoles(a.Size)
	if !f.sender.busy() {
		f.prove(a.Mtime)
	}
	return true
}

// zeroHoles makes all of [off, size) that is not dirty zeros.
func (f *File) zeroHoles(off int64) {
	now := f.store.now()
	for off < f.size {
		e := f.view.at(off)
		if e != nil && e.state != asked {
			off = e.end
			continue
		}
		end := f.size
		if next := f.view.from(off + 1); next != nil {
			end = next.off
		}
		if e != nil {
			end = min(end, e.end)
			f.split(off)
			f.remove(f.view.at(off))
		}
		f.view.insert(&extent{off: off, end: end, state: zeros, at: now})
		off = end
	}
}

// finish brings what arrived into the view and lets those go who wait for it.
func (t *fetch) finish(err error) {
	f := t.file
	f.mu.Lock()
	f.doomed = f.doomed[:0]
	f.view.each(t.off, t.end(), func(e *extent) {
		if e.state == asked && e.fetch == t {
			f.doomed = append(f.doomed, e)
		}
	})
	var c *chunk
	littered := false
	if len(f.doomed) > 0 && t.n > 0 {
		c, littered = f.store.fill(f, t.buf)
	} else {
		f.store.unreserve(t.want)
	}
	for _, e := range f.doomed {
		f.arrived(t, e, c)
	}
	clear(f.doomed)
	if c != nil && c.refs == 0 {
		f.store.drop(c)
	}
	if littered {
		f.sweepGone()
	}
	if t.at < f.seen+provenAfter {
		f.unproven = true
	}
	if t.stream != nil {
		t.stream.arrived(int64(t.n), t.at, f.store)
	}
	t.err = err
	close(t.done)
	f.mu.Unlock()
	if t.behind != nil {
		t.behind.arrived(err)
	}
}

// arrived makes the part of e that t brought clean and takes the rest out.
func (f *File) arrived(t *fetch, e *extent, c *chunk) {
	have := t.off + int64(t.n)
	if c == nil || e.off >= have {
		f.remove(e)
		return
	}
	if e.end > have {
		f.split(have)
		f.remove(f.view.at(have))
	}
	e.state, e.fetch = clean, nil
	e.chunk, e.base = c, t.off
	c.refs++
}
