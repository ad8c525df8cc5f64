package content

import (
	"sync/atomic"
	"time"
)

// chunk is cached bytes with their place in the budget. Extents show parts of
// it.
type chunk struct {
	links[*chunk]
	file *File
	data []byte      // guarded by Store.mu; nil once evicted
	used int64       // guarded by Store.mu: when it was last read
	gone atomic.Bool // set when data goes, for a look without Store.mu
	refs int         // extents that show it; guarded by File.mu
}

// cache is the budget of clean and asked-for bytes, guarded by Store.mu.
//
// Eviction takes from whom it hurts least: a file that holds more than its
// fair share gives way to itself; else the least recently read bytes of the
// file that was read least recently go.
type cache struct {
	size, cached, asked int64
	files               list[*File] // with chunks, the most recently read first
	freed               chan struct{}
}

// reserve takes n bytes for a fetch of f, evicting as needed. Where all is
// taken by what is asked for, it returns a channel that is closed when some
// of that has arrived.
func (s *Store) reserve(f *File, n int64) (freed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cache.makeRoom(f, n) {
		s.cache.asked += n
		return nil
	}
	if s.cache.freed == nil {
		s.cache.freed = make(chan struct{})
	}
	return s.cache.freed
}

// unreserve gives back what a fetch did not fill.
func (s *Store) unreserve(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache.asked -= n
	s.cache.wake()
}

// fill turns a fetch's reservation of len(data) into a chunk. littered says
// that the file's view names more evicted chunks than others.
func (s *Store) fill(f *File, data []byte) (c *chunk, littered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cache.asked -= int64(len(data))
	return s.insert(f, data), f.gone > 64+f.chunks.len
}

// admit makes a chunk of bytes that a write brought to the server; nil if
// there is no room.
func (s *Store) admit(f *File, data []byte) *chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.cache.makeRoom(f, int64(len(data))) {
		return nil
	}
	return s.insert(f, data)
}

func (s *Store) insert(f *File, data []byte) *chunk {
	c := &chunk{file: f, data: data, used: s.now()}
	c.self = c
	s.cache.cached += int64(len(data))
	f.cached += int64(len(data))
	f.chunks.pushFront(&c.links)
	s.cache.files.pushFront(&f.links)
	s.cache.wake()
	if s.idle == nil && !s.closed {
		s.idle = time.AfterFunc(idleAfter/2, s.sweep)
	}
	return c
}

// use returns a chunk's bytes for reading, nil if they were evicted.
func (s *Store) use(c *chunk) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.data != nil {
		c.used = s.now()
		c.file.chunks.pushFront(&c.links)
		s.cache.files.pushFront(&c.file.links)
	}
	return c.data
}

// drop gives up chunks that no extent shows any more.
func (s *Store) drop(c *chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.data != nil {
		s.cache.evict(c)
		s.cache.wake()
	}
	c.file.gone-- // no extent is left to sweep
}

func (c *cache) makeRoom(f *File, n int64) bool {
	for c.cached+c.asked+n > c.size {
		victim := f
		if f.cached == 0 || f.cached+n <= c.size/2 {
			victim = c.files.back()
			if victim == f && c.files.len > 1 {
				victim = c.files.before(&f.links)
			}
		}
		if victim == nil {
			return false
		}
		c.evict(victim.chunks.back())
	}
	return true
}

func (c *cache) evict(k *chunk) {
	f := k.file
	n := int64(len(k.data))
	k.data = nil
	k.gone.Store(true)
	f.chunks.remove(&k.links)
	f.cached -= n
	f.gone++
	c.cached -= n
	if f.chunks.len == 0 {
		c.files.remove(&f.links)
	}
}

func (c *cache) wake() {
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
}

// sweep gives back what nobody has read for idleAfter, and what is left of
// evicted bytes in files that nobody touches.
func (s *Store) sweep() {
	var files []*File
	s.mu.Lock()
	old := s.now() - int64(idleAfter)
	for f := s.cache.files.back(); f != nil; f = s.cache.files.back() {
		for k := f.chunks.back(); k != nil && k.used < old; k = f.chunks.back() {
			s.cache.evict(k)
		}
		if f.chunks.len > 0 {
			break
		}
		files = append(files, f)
	}
	s.cache.wake()
	s.idle = nil
	if s.cache.cached > 0 && !s.closed {
		s.idle = time.AfterFunc(idleAfter/2, s.sweep)
	}
	s.mu.Unlock()
	for _, f := range files {
		f.mu.Lock()
		f.sweepGone()
		f.mu.Unlock()
	}
}
