package content

import "time"

// pattern is how a handle is read: up to maxStreams readers that each go on
// from where they were. Guarded by File.mu.
type pattern struct {
	streams []*stream // the most recently used first
	off     int64     // of the last read
	any     bool      // there was one
}

const (
	// maxStreams is how many readers of one handle are told apart.
	maxStreams = 8
	// page is what a random read is rounded to: the kernel's grain.
	page = 4096
	// smallFile is what is fetched whole by whatever read comes first: the
	// round trip costs more than the bytes.
	smallFile = 64 << 10
	// reorder is how far behind its stream a read may come: the kernel has two
	// read-aheads of 128 KiB in flight, or as many of up to 1 MiB as it is told,
	// and its threads overtake each other.
	reorder = 4 << 20
	// quickGrowth is the window up to which it grows four times at once.
	quickGrowth = 1 << 20
	// floorWindow is what a window may grow to whatever the rate says: enough to
	// keep both ends busy over a round trip too short to measure.
	floorWindow = 4 << 20
	// activeFor is how long a stream counts for the fair share after a read.
	activeFor = int64(2 * time.Second)
)

// stream is one reader.
type stream struct {
	next   int64 // forward: where the next read is expected
	off    int64 // the last read
	step   int64 // from the read before to the last; 0: not known
	window int64 // bytes to have asked for beyond next; 0: no evidence yet
	ahead  int64 // forward: asked for up to here; strided: reads asked for beyond the last
	grown  int64 // forward: what ahead was when the window last grew
	stride bool  // reads of one size at one distance, which may be negative

	rate rate
	used int64 // when it was last read; guarded by Store.mu
}

// rate measures what arrives for a stream.
type rate struct {
	since int64   // the present measurement's begin
	bytes int64   // arrived since
	best  float64 // bytes a nanosecond, decaying
	// late says that an answer since the window last grew took clearly more than
	// a round trip: requests queue on the way, so the link's end is near.
	late bool
}

// promptIn is what an answer may take beyond one and a half round trips: what
// ends and server need to handle a request.
const promptIn = int64(4 * time.Millisecond)

// follow finds the reader that [off, end) belongs to, moves its window and
// returns the fetches for what is not here and for what will be wanted.
func (h *Handle) follow(off, end int64, here bool) (fetches []*fetch) {
	f, p := h.file, &h.pattern
	s := p.match(off, end)
	p.off, p.any = off, true
	if f.gate != nil {
		return nil // what the server would tell now is neither the old nor the new
	}
	add := func(off, n int64) *fetch {
		t := f.newFetch(off, n, s, f.remote(reading))
		fetches = append(fetches, t)
		return t
	}
	if s.window > 0 {
		f.store.join(s)
	}
	if !here {
		if s.window > 0 {
			s.grow(off, end, f.hole(off, end), f.store)
		}
		f.request(f.wanted(s, off, end), add)
	}
	switch {
	case s.window <= 1:
	case s.stride:
		f.aheadStrided(s, off, end, add)
	default:
		f.aheadForward(s, add)
	}
	return fetches
}

// hole reports whether a part of [off, end) was not even asked for.
func (f *File) hole(off, end int64) bool {
	for off < end {
		e := f.view.at(off)
		if e == nil || e.state == clean && e.chunk.gone.Load() {
			return true
		}
		off = e.end
	}
	return false
}

// wanted returns what to ask for so that [off, end) can be read: whole pages,
// all of a small file, of a window the first unit.
func (f *File) wanted(s *stream, off, end int64) ask {
	a := ask{off: off / page * page, end: (end + page - 1) / page * page, unit: f.unit(s.window)}
	if f.size <= smallFile {
		a.off, a.end = 0, f.size
	}
	if s.window > 1 && !s.stride {
		a.end = max(a.end, off+min(s.window, a.unit))
		s.ahead = max(s.ahead, a.end)
	}
	a.end = min(a.end, f.size)
	return a
}

// aheadForward keeps the window beyond s.next asked for, a unit at a time.
func (f *File) aheadForward(s *stream, add func(off, n int64) *fetch) {
	unit := f.unit(s.window)
	s.ahead = max(s.ahead, s.next)
	for s.ahead < f.size {
		n := min(unit, f.size-s.ahead)
		if s.ahead+n > s.next+s.window {
			return
		}
		stop, freed := f.request(ask{s.ahead, s.ahead + n, unit}, add)
		s.ahead = stop
		if freed != nil {
			return
		}
	}
}

// aheadStrided keeps reads at the stream's distance asked for, as many as the
// window holds: each alone, or, where they lie closer than their length apart,
// half a window at a time as one.
func (f *File) aheadStrided(s *stream, off, end int64, add func(off, n int64) *fetch) {
	n := end - off
	reads := max(1, s.window/n)
	s.ahead = max(0, s.ahead-1)
	dense := max(s.step, -s.step) <= 2*n
	if dense && s.ahead > reads/2 {
		return
	}
	for s.ahead < reads {
		first := off + (s.ahead+1)*s.step
		last := first
		s.ahead++
		if dense {
			last = off + reads*s.step
			s.ahead = reads
		}
		a := ask{off: max(0, min(first, last)) / page * page, end: max(first, last) + n, unit: f.unit(0)}
		a.end = min((a.end+page-1)/page*page, f.size)
		if _, freed := f.request(a, add); freed != nil {
			return
		}
	}
}

// match returns the stream that a read goes on with, or a new one.
func (p *pattern) match(off, end int64) *stream {
	for i, s := range p.streams {
		if s.takes(off, end) {
			copy(p.streams[1:i+1], p.streams[:i])
			p.streams[0] = s
			return s
		}
	}
	s := &stream{next: end, off: off, ahead: end}
	if off == 0 {
		s.window = 1 // who begins at the beginning goes on: grow makes it a request
	} else if p.any {
		s.step = off - p.off
	}
	if len(p.streams) == maxStreams {
		p.streams = p.streams[:maxStreams-1]
	}
	p.streams = append([]*stream{s}, p.streams...)
	return s
}

// takes reports whether the stream goes on with a read, and goes on.
func (s *stream) takes(off, end int64) bool {
	n := end - off
	switch {
	case s.stride:
		if off != s.off+s.step {
			return false
		}
		s.off = off
	case off == s.next, s.window > 1 && off < max(s.next+n, s.ahead) && off >= s.next-reorder:
		s.window = max(s.window, 1)
		s.next = max(s.next, end)
		s.off = off
	case s.window == 0 && s.step != 0 && off == s.off+s.step:
		s.stride, s.window, s.ahead, s.off = true, n, 0, off
	default:
		return false
	}
	return true
}

// grow takes in that the reader has to wait: the window doubles, at first more,
// once for each window that was read, until more in flight would not arrive
// faster. hole says that what is read was not even asked for.
func (s *stream) grow(off, end int64, hole bool, store *Store) {
	n, unit := end-off, int64(store.o.MaxRead)
	share := store.share(unit)
	reached := off >= s.grown
	if hole && !s.stride {
		s.ahead, reached = off, true
	}
	switch {
	case s.stride:
		s.window = min(max(2*s.window, n), share)
	case s.window <= 1:
		s.window = min(max(n, unit), share)
		s.grown = off + s.window
	case reached:
		factor := int64(2)
		useful := max(floorWindow, int64(2*s.rate.best*float64(store.o.RTT())))
		if !s.rate.late {
			factor, useful = 4, share
		} else if s.window < quickGrowth {
			factor = 4
		}
		s.window = min(max(s.window, min(s.window*factor, useful)), share)
		s.grown = max(s.ahead, off+1)
		if !s.rate.late {
			s.grown = max(s.grown, off+s.window) // how late these come is to be seen first
		}
		s.rate.late = false
	}
}

// arrived measures the rate: n bytes came that were asked for at that time.
func (s *stream) arrived(n, at int64, store *Store) {
	now := store.now()
	r := &s.rate
	r.late = r.late || now-at > int64(store.o.RTT())*3/2+promptIn
	if r.since == 0 {
		r.since = now
	}
	r.bytes += n
	took := now - r.since
	if took < max(int64(store.o.RTT()), int64(20*time.Millisecond)) {
		return
	}
	r.best = max(float64(r.bytes)/float64(took), r.best*0.75)
	r.since, r.bytes = now, 0
}
