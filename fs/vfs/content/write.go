package content

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// maxPiece is how much a write takes from the buffer at a time: the largest
// write that the kernel makes.
const maxPiece = 1 << 20

// WriteAt takes a copy of p for off; of an append handle for the file's end.
// It waits only for room in the write buffer and for a truncate on its way, or
// with WriteThrough for the server; then it costs 1 round trip, else none. It
// returns how many bytes it took. A write that was lost before is reported
// here once, and again by Flush.
func (h *Handle) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	f := h.file
	switch {
	case h.flags&conn.OpenWrite == 0:
		return 0, &conn.Error{Op: "write", Kind: conn.BadHandle}
	case off < 0:
		return 0, &conn.Error{Op: "write", Kind: conn.Invalid}
	case len(p) == 0:
		return 0, nil
	}
	if err := h.lostBefore(); err != nil {
		return 0, err
	}
	total := 0
	for total < len(p) {
		piece := p[total:min(len(p), total+int(min(maxPiece, f.store.o.WriteBuffer/4)))]
		if err := f.store.takeRoom(ctx, f, int64(len(piece))); err != nil {
			return total, err
		}
		if err := f.lockOpen(ctx); err != nil {
			f.store.giveRoom(f, int64(len(piece)))
			return total, err
		}
		at := off + int64(total)
		if h.flags&conn.OpenAppend != 0 {
			at = f.size
		}
		f.put(piece, at, h.flags&conn.OpenAppend != 0)
		f.pump()
		total += len(piece)
	}
	if !f.store.o.WriteThrough {
		return total, nil
	}
	if err := h.Flush(ctx); err != nil {
		return 0, err
	}
	return total, nil
}

// lockOpen locks f.mu while no truncate or copy is on its way.
func (f *File) lockOpen(ctx context.Context) error {
	for {
		f.mu.Lock()
		gate := f.gate
		if gate == nil {
			return nil
		}
		f.mu.Unlock()
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// put writes p into the view. Its room is taken already.
func (f *File) put(p []byte, off int64, appended bool) {
	s := &f.sender
	now := f.store.now()
	end := off + int64(len(p))
	if off > f.size {
		f.view.insert(&extent{off: f.size, end: off, state: zeros, at: now})
	}
	oldest, before := f.carve(off, end)
	if s.runEnd != off {
		s.run = 0
	}
	s.run += int64(len(p))
	s.runEnd = end
	f.size = max(f.size, end)
	f.shown(now)
	f.unproven = true
	g := s.present()
	if oldest != nil && !s.willChange() {
		g = oldest // who waits for the bytes that these replace waits for these
	} else {
		before = nil
	}
	for len(p) > 0 {
		n := 0
		if t := s.tail; before == nil && t != nil && t.end == off && t.appended == appended && t.gen == g {
			n = s.tail.grow(p, f.store.o.MaxWrite)
			s.wrote(s.tail.gen, int64(n))
		}
		if n == 0 {
			e := f.newDirty(p, off, appended, g, now)
			n = len(e.data)
			if before != nil {
				s.unsent.insertAfter(&e.queue, before)
				before = &e.queue
			} else {
				s.unsent.pushBack(&e.queue)
			}
			s.wrote(g, int64(n))
			s.tail = e
		}
		p, off = p[n:], off+int64(n)
	}
}

// newDirty makes an extent of the first bytes of p. What will go out at once
// gets no spare capacity; what waits for more gets as much as there is already,
// so that a file that grows by small writes is copied twice at most and a tiny
// one takes no large buffer.
func (f *File) newDirty(p []byte, off int64, appended bool, g *gen, now int64) *extent {
	maxLen := f.store.o.MaxWrite
	n := min(len(p), maxLen)
	room := n
	if f.sender.flying > 0 {
		room = int(min(int64(maxLen), max(int64(n), f.sender.run)))
	}
	e := &extent{off: off, end: off + int64(n), state: dirty, at: now, appended: appended, gen: g}
	e.queue.self = e
	if room == n {
		e.data = append([]byte(nil), p[:n]...)
	} else {
		e.data = append(make([]byte, 0, room), p[:n]...)
	}
	f.view.insert(e)
	return e
}

// grow appends what of p fits to a dirty extent and returns how much.
func (e *extent) grow(p []byte, maxLen int) int {
	n := min(len(p), maxLen-len(e.data))
	if n <= 0 {
		return 0
	}
	if need := len(e.data) + n; need > cap(e.data) {
		e.data = append(make([]byte, 0, min(maxLen, max(need, 2*cap(e.data)))), e.data...)
	}
	e.data = append(e.data, p[:n]...)
	e.end += int64(n)
	return n
}
