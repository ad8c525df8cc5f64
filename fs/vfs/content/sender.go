package content

import (
	"slices"

	"github.com/tidwall/btree"
)

// sender brings a file's changes to its server handles in order. Guarded by
// File.mu.
//
// Whoever makes work for it calls pump. One goroutine at a time starts what can
// be started, with File.mu let go around each start: the order of starts is the
// order of decisions, and no lock is held across them. The others leave their
// work to that one.
type sender struct {
	pumping bool
	queue   []*control               // in order; the writes of their gen and before go first
	gens    []*gen                   // not answered in full, the oldest first; the last may be open
	made    uint64                   // gens made
	unsent  list[*extent]            // dirty extents that wait for nothing but their turn
	tail    *extent                  // the dirty extent that grows, or nil
	sending btree.Map[int64, *write] // in flight, by offset; they don't overlap
	flying  int64                    // bytes in flight
	on      *remote                  // where the writes in flight are; nil: none is in flight
	run     int64                    // bytes written one after another up to runEnd
	runEnd  int64
	open    int64  // changes that were not answered: bytes, and controls that change
	started uint64 // changes started, to tell whether a Stat stands behind all
	settled int64  // when the last change was answered
	synced  bool   // the server's disk has all that was answered
	asked   *gen   // a Stat stands behind it
	// unplaced says that appended bytes may lie elsewhere than the view shows
	// them, until a Stat finds the size that the view has. tainted says that
	// the view may be wrong whatever the size: a write was lost, or something
	// changed the file before such a Stat.
	unplaced, tainted bool
}

// gen is what happens between two flushes: a flush ends the present one and
// waits until it and those before it are answered.
type gen struct {
	n        uint64
	unsent   int64         // bytes
	pending  int64         // bytes and controls that were not answered
	ended    bool          // takes no more changes
	answered chan struct{} // closed when this gen and all before it are answered
}

// control is an operation that stands in order with a file's writes.
type control struct {
	gen     *gen
	changes bool // it changes the file
	retimes bool // its mtime, too
	// start starts it and has done called with its answer. No lock is held; r
	// is nil where no server handle is open.
	start func(r *remote, done func())
}

// write is bytes on their way to the server.
type write struct {
	off      int64
	data     []byte
	gen      *gen
	on       *remote
	appended bool
	blocked  []*extent // dirty extents that overlap it and go after it
}

func (w *write) end() int64 { return w.off + int64(len(w.data)) }

// busy reports whether a change was not answered.
func (s *sender) busy() bool { return s.open > 0 }

// willChange reports whether a change of attributes waits for its turn, which
// later writes must not overtake.
func (s *sender) willChange() bool {
	return slices.ContainsFunc(s.queue, func(c *control) bool { return c.changes })
}

// present returns the gen that changes now belong to.
func (s *sender) present() *gen {
	if n := len(s.gens); n > 0 && !s.gens[n-1].ended {
		return s.gens[n-1]
	}
	s.made++
	g := &gen{n: s.made, answered: make(chan struct{})}
	s.gens = append(s.gens, g)
	return g
}

// end ends the present gen, so that nothing of it waits for more to come, and
// returns the last one; nil if all was answered.
func (s *sender) end() *gen {
	n := len(s.gens)
	if n == 0 {
		return nil
	}
	s.gens[n-1].ended = true
	return s.gens[n-1]
}

// retireGens lets those go who wait for gens that are answered.
func (s *sender) retireGens() {
	for len(s.gens) > 0 && s.gens[0].pending == 0 && (s.gens[0].ended || len(s.gens) == 1) {
		close(s.gens[0].answered)
		s.gens[0].ended = true
		s.gens[0] = nil
		s.gens = s.gens[1:]
	}
}

// wrote counts n new dirty bytes.
func (s *sender) wrote(g *gen, n int64) {
	g.unsent += n
	g.pending += n
	s.open += n
}

// unwrite forgets a dirty extent that will not be sent.
func (s *sender) unwrite(e *extent) {
	s.unsent.remove(&e.queue)
	e.gen.unsent -= e.len()
	e.gen.pending -= e.len()
	s.open -= e.len()
	if s.tail == e {
		s.tail = nil
	}
}

// enqueue puts a control behind all changes so far.
func (s *sender) enqueue(c control, start func(r *remote, done func())) {
	c.gen, c.start = s.present(), start
	c.gen.pending++
	if c.changes {
		s.open++
	}
	s.end()
	s.queue = append(s.queue, &c)
}

// pump starts what can be started and lets File.mu go, which its caller holds.
func (f *File) pump() {
	s := &f.sender
	if s.pumping {
		f.mu.Unlock()
		return
	}
	s.pumping = true
	for {
		start := f.next()
		if start == nil {
			break
		}
		f.mu.Unlock()
		start()
		f.mu.Lock()
	}
	s.pumping = false
	s.retireGens()
	f.mu.Unlock()
}

// next takes what is to be started next, nil if nothing can be.
func (f *File) next() (start func()) {
	s := &f.sender
	if closing := f.remotes.closing; len(closing) > 0 {
		f.remotes.closing = closing[1:]
		return func() {
			closing[0].get().Close()
			f.store.remoteClosed(closing[0])
		}
	}
	limit := s.made
	if len(s.queue) > 0 {
		c := s.queue[0]
		if s.on != nil && s.on.closed {
			return nil // order holds within one server handle only
		}
		if s.unsentUpTo(c.gen.n) == 0 {
			s.queue = s.queue[1:]
			return f.startControl(c)
		}
		limit = c.gen.n
	}
	if w := f.nextWrite(limit); w != nil {
		return func() {
			w.on.get().WriteAt(w.data, w.off).Then(func(_ struct{}, err error) { f.written(w, err) })
		}
	}
	return nil
}

func (s *sender) unsentBytes() int64 { return s.unsentUpTo(s.made) }

// unsentUpTo returns how many dirty bytes of the gens up to last were not
// started.
func (s *sender) unsentUpTo(last uint64) (n int64) {
	for _, g := range s.gens {
		if g.n <= last {
			n += g.unsent
		}
	}
	return n
}

func (f *File) startControl(c *control) func() {
	if c.changes {
		f.sender.started++
	}
	r := f.anyRemote()
	return func() {
		c.start(r, func() {
			f.mu.Lock()
			c.gen.pending--
			if c.changes {
				f.sender.open--
				f.changed(c.retimes)
			}
			f.closeIdle()
			f.pump()
		})
	}
}

// changed notes that a change of ours was answered, which may have given the
// file another mtime.
func (f *File) changed(retimed bool) {
	f.unsure = f.unsure || retimed
	f.sender.settled = f.store.now()
	f.sender.synced = false
}
