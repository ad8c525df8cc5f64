package content

// streams are the sequential readers of all files, guarded by Store.mu.
type streams struct {
	all     map[*stream]struct{}
	active  int // read within activeFor, as of counted
	counted int64
}

// join counts a stream for the fair share.
func (s *Store) join(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.used = s.now()
	if _, ok := s.streams.all[st]; !ok {
		s.streams.all[st] = struct{}{}
		s.streams.active++
	}
}

// leave ends the count of a handle's streams.
func (s *Store) leave(p *pattern) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, st := range p.streams {
		if _, ok := s.streams.all[st]; ok {
			delete(s.streams.all, st)
			s.streams.active--
		}
	}
}

// share is how much one reader may have asked for: its part of half the cache,
// the other half being for what was read.
func (s *Store) share(unit int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.now(); now-s.streams.counted > activeFor/8 {
		s.streams.counted, s.streams.active = now, 0
		for st := range s.streams.all {
			if now-st.used < activeFor {
				s.streams.active++
			} else {
				delete(s.streams.all, st)
			}
		}
	}
	return max(unit, s.cache.size/2/int64(max(1, s.streams.active)))
}
