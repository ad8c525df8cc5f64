package content

import "slices"

// nextWrite takes the next dirty bytes of the gens up to limit that may go out
// and makes a write of them, with what lies beside them up to MaxWrite; nil if
// there are none.
func (f *File) nextWrite(limit uint64) *write {
	s := &f.sender
	for e := s.unsent.front(); e != nil; {
		if e.gen.n > limit || f.held(e) {
			e = s.unsent.after(&e.queue)
			continue
		}
		k := writing
		if e.appended {
			k = appending
		}
		on := f.remote(k)
		switch {
		case s.on != nil && s.on != on: // order holds within one server handle only
			return nil
		case s.flying > 0 && s.flying+e.len() > f.store.o.WriteBuffer/2:
			return nil // what waits here may still grow together, or be taken back
		}
		if w := s.overlap(e.off, e.end); w != nil {
			e = s.block(e, w)
			continue
		}
		return f.newWrite(f.merge(e, limit), on)
	}
	return nil
}

// held reports whether e waits for more bytes behind it: as in Nagle's
// algorithm, a tail that does not fill a request waits while others of the file
// are in flight, unless a flush wants it.
func (f *File) held(e *extent) bool {
	s := &f.sender
	return e == s.tail && s.flying > 0 && !e.gen.ended && e.len() < int64(f.store.o.MaxWrite)
}

// overlap returns a write in flight that has bytes in [off, end), or nil: of
// two that overlap, the server might carry out the later one first.
func (s *sender) overlap(off, end int64) (found *write) {
	s.sending.Descend(end-1, func(_ int64, w *write) bool {
		if w.end() > off {
			found = w
		}
		return false
	})
	return found
}

// block has e wait for w and returns what stood behind e in the queue.
func (s *sender) block(e *extent, w *write) *extent {
	next := s.unsent.after(&e.queue)
	s.unsent.remove(&e.queue)
	e.op = w
	w.blocked = append(w.blocked, e)
	return next
}

// merge returns the run of dirty extents around e that go in one write.
func (f *File) merge(e *extent, limit uint64) []*extent {
	run := []*extent{e}
	total := e.len()
	fits := func(b *extent) bool {
		return b != nil && b.state == dirty && b.op == nil && b.gen.n <= limit && b.appended == e.appended &&
			total+b.len() <= int64(f.store.o.MaxWrite) && f.sender.overlap(b.off, b.end) == nil
	}
	if !e.appended {
		for b := f.view.at(e.off - 1); fits(b); b = f.view.at(b.off - 1) {
			run = append(run, b)
			total += b.len()
		}
		slices.Reverse(run)
	}
	for b := f.view.at(e.end); fits(b); b = f.view.at(b.end) {
		run = append(run, b)
		total += b.len()
	}
	return run
}

// newWrite puts a run of neighbours in flight. Several are copied together;
// one goes as it is.
func (f *File) newWrite(run []*extent, on *remote) *write {
	s := &f.sender
	first := run[0]
	w := &write{off: first.off, gen: first.gen, on: on, appended: first.appended, data: first.data[:len(first.data):len(first.data)]}
	if len(run) > 1 {
		w.data = make([]byte, 0, run[len(run)-1].end-first.off)
	}
	for _, e := range run {
		if len(run) > 1 {
			w.data = append(w.data, e.data...)
		}
		if e.gen.n < w.gen.n {
			w.gen = e.gen
		}
		s.unsent.remove(&e.queue)
		e.gen.unsent -= e.len()
		e.gen.pending -= e.len()
		if s.tail == e {
			s.tail = nil
		}
		if e != first {
			f.view.delete(e)
			e.state, e.data = gone, nil
			first.at = min(first.at, e.at)
		}
	}
	first.end, first.data, first.state, first.op = w.end(), w.data, sent, w
	w.gen.pending += int64(len(w.data))
	s.sending.Set(w.off, w)
	s.flying += int64(len(w.data))
	s.on = on
	s.started++
	s.tainted = s.tainted || s.unplaced && !w.appended
	s.unplaced = s.unplaced || w.appended
	on.used = true
	on.inFlight++
	f.store.sending(f, int64(len(w.data)))
	if w.appended && s.unsent.len == 0 {
		f.ask() // where the bytes went is only known from the size afterwards
	}
	return w
}

// written takes the answer to a write.
func (f *File) written(w *write, err error) {
	n := int64(len(w.data))
	f.mu.Lock()
	s := &f.sender
	s.sending.Delete(w.off)
	s.flying -= n
	if w.on.inFlight--; w.on.inFlight == 0 {
		s.on = nil
	}
	for _, e := range w.blocked {
		if e.state == dirty {
			e.op = nil
			s.unsent.pushFront(&e.queue)
		}
	}
	f.settle(w, err)
	w.gen.pending -= n
	s.open -= n
	f.changed(true)
	if err != nil {
		f.lose(w, err)
	}
	f.store.sending(f, -n)
	f.closeIdle()
	f.pump()
}

// settle makes what the view still shows of an answered write clean, or, where
// it was lost or there is no room for it, unknown.
func (f *File) settle(w *write, err error) {
	f.doomed = f.doomed[:0]
	f.view.each(w.off, w.end(), func(e *extent) {
		if e.state == sent && e.op == w {
			f.doomed = append(f.doomed, e)
		}
	})
	var c *chunk
	if err == nil && len(f.doomed) > 0 {
		c = f.store.admit(f, w.data)
	}
	for _, e := range f.doomed {
		if c == nil {
			f.remove(e)
			continue
		}
		e.state, e.op, e.data = clean, nil, nil
		e.chunk, e.base = c, w.off
		c.refs++
	}
	clear(f.doomed)
	f.unproven = true
}
