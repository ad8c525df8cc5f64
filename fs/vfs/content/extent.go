package content

import "github.com/tidwall/btree"

// state says what stands behind an extent.
type state uint8

const (
	zeros state = iota // zero bytes, here and (once what makes them is answered) there
	clean              // the server's bytes, in a chunk
	asked              // a fetch is on its way
	dirty              // written here, to be sent
	sent               // written here, sent, not answered
	gone               // taken out of the map
)

// extent is a range of a file's view with one state. Bytes that it shows never
// change: a write puts another extent in their place.
type extent struct {
	off, end int64
	state    state
	at       int64 // when its bytes were asked for or written; see File.Fresh

	chunk *chunk // clean: shows chunk.data from base on
	base  int64  // offset in the file of chunk.data[0]
	fetch *fetch // asked

	// dirty and sent:
	data     []byte // the bytes; a tail has spare capacity
	appended bool   // by an append handle
	gen      *gen   // dirty: which flush waits for it
	op       *write // sent: in which write; dirty: the write that it must wait for
	queue    links[*extent]
}

func (e *extent) len() int64 { return e.end - e.off }

// extents is a file's view: extents that don't overlap, by offset. What lies
// between them is not known here.
type extents struct {
	m btree.Map[int64, *extent]
}

// at returns the extent that has the byte at off, or nil.
func (x *extents) at(off int64) (found *extent) {
	x.m.Descend(off, func(_ int64, e *extent) bool {
		if e.end > off {
			found = e
		}
		return false
	})
	return found
}

// from returns the first extent that begins at off or later, or nil.
func (x *extents) from(off int64) (found *extent) {
	x.m.Ascend(off, func(_ int64, e *extent) bool {
		found = e
		return false
	})
	return found
}

// each calls f for all extents that have bytes in [off, end), in order. f must
// not change the map.
func (x *extents) each(off, end int64, f func(*extent)) {
	if off >= end {
		return
	}
	if e := x.at(off); e != nil {
		f(e)
		off = e.end
	}
	x.m.Ascend(off, func(_ int64, e *extent) bool {
		if e.off >= end {
			return false
		}
		f(e)
		return true
	})
}

func (x *extents) insert(e *extent) { x.m.Set(e.off, e) }

func (x *extents) delete(e *extent) { x.m.Delete(e.off) }

// last returns the last extent, or nil.
func (x *extents) last() *extent {
	_, e, _ := x.m.Max()
	return e
}

// split makes off a border between extents.
func (f *File) split(off int64) {
	e := f.view.at(off)
	if e == nil || e.off == off {
		return
	}
	right := &extent{
		off: off, end: e.end, state: e.state, at: e.at, chunk: e.chunk, base: e.base,
		fetch: e.fetch, appended: e.appended, gen: e.gen, op: e.op,
	}
	right.queue.self = right
	e.end = off
	switch e.state {
	case clean:
		e.chunk.refs++
	case dirty:
		right.data = e.data[off-e.off:]
		e.data = e.data[: off-e.off : off-e.off]
		if f.sender.tail == e {
			f.sender.tail = right
		}
		if e.op != nil {
			e.op.blocked = append(e.op.blocked, right)
		} else {
			f.sender.unsent.insertAfter(&right.queue, &e.queue)
		}
	case sent:
		right.data = e.data[off-e.off:]
		e.data = e.data[: off-e.off : off-e.off]
	}
	f.view.insert(right)
}

// carve empties [off, end) of the view and returns the oldest flush that
// waits for what was dirty there, or nil, and what stood before it in the
// queue to the server.
func (f *File) carve(off, end int64) (oldest *gen, before *links[*extent]) {
	f.split(off)
	f.split(end)
	f.doomed = f.doomed[:0]
	f.view.each(off, end, func(e *extent) { f.doomed = append(f.doomed, e) })
	for _, e := range f.doomed {
		if e.state == dirty {
			if oldest == nil || e.gen.n < oldest.n {
				oldest = e.gen
			}
			if e.op == nil && (before == nil || before == &e.queue) {
				before = e.queue.prev
			}
		}
		f.remove(e)
	}
	clear(f.doomed)
	return oldest, before
}

// remove takes an extent out of the view. The bytes of one that was not sent
// leave the write buffer.
func (f *File) remove(e *extent) {
	f.view.delete(e)
	switch e.state {
	case clean:
		if e.chunk.refs--; e.chunk.refs == 0 {
			f.store.drop(e.chunk)
		}
	case dirty:
		f.sender.unsent.remove(&e.queue)
		f.sender.unwrite(e)
		f.store.giveRoom(f, e.len())
		if f.sender.tail == e {
			f.sender.tail = nil
		}
	}
	e.state, e.data, e.chunk = gone, nil, nil
}

// dropClean takes out all that does not wait for an answer to a write: bytes,
// zeros and fetches.
func (f *File) dropClean() {
	f.filter(func(e *extent) bool { return e.state == dirty || e.state == sent })
}

// sweepGone takes out what was evicted.
func (f *File) sweepGone() {
	f.filter(func(e *extent) bool { return e.state != clean || !e.chunk.gone.Load() })
}

// filter takes out of the view what keep does not want.
func (f *File) filter(keep func(*extent) bool) {
	f.doomed = f.doomed[:0]
	f.view.m.Scan(func(_ int64, e *extent) bool {
		if !keep(e) {
			f.doomed = append(f.doomed, e)
		}
		return true
	})
	for _, e := range f.doomed {
		f.remove(e)
	}
	clear(f.doomed)
	f.doomed = f.doomed[:0]
	if cap(f.doomed) > 64 {
		f.doomed = nil
	}
}
