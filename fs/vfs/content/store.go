package content

import (
	"context"
	"sync"
	"time"
)

// Store holds what the files of a mount share: the budgets of bytes and the
// server handles that may be closed while idle. Its methods may be called by
// several goroutines at once.
type Store struct {
	o     Options
	start time.Time // what the int64 times of this package count from

	mu      sync.Mutex // guards all below, and what File says of it; a leaf: nothing is locked under it
	cache   cache
	room    room
	lost    int64   // bytes of lost writes that are kept aside
	err     error   // the first lost write that no Handle was there to hear of
	streams streams // sequential readers, who share the read-ahead
	remotes list[*remote]
	opened  int // server handles that are open
	idle    *time.Timer
	closed  bool
}

// New returns a Store.
func New(o Options) *Store {
	o.defaults()
	s := &Store{o: o, start: o.Now()}
	s.cache.size = o.CacheSize
	s.room.size = o.WriteBuffer
	s.room.files = make(map[*File]struct{})
	s.streams.all = make(map[*stream]struct{})
	return s
}

// now is the time in nanoseconds since the Store's beginning, by the monotonic
// clock. It is never 0, which stands for "never".
func (s *Store) now() int64 { return s.stamp(s.o.Now()) }

func (s *Store) stamp(t time.Time) int64 { return int64(t.Sub(s.start)) + 1 }

func (s *Store) time(stamp int64) time.Time { return s.start.Add(time.Duration(stamp - 1)) }

// Stats is what a Store holds now, in bytes where nothing else is said.
type Stats struct {
	CacheSize, Cached, Asked     int64     // Cached + Asked <= CacheSize
	WriteBuffer, Dirty, InFlight int64     // Dirty <= WriteBuffer; InFlight is the part of Dirty that is sent
	Lost                         int64     // of writes that failed, kept aside
	Remotes                      int       // server handles that are open
	Waiting                      []Waiting // files that the server does not have whole yet
}

// Waiting is a file with bytes that the server did not acknowledge yet.
type Waiting struct {
	File  Opener
	Dirty int64 // bytes
}

// Stats returns what the Store holds now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Stats{
		CacheSize: s.cache.size, Cached: s.cache.cached, Asked: s.cache.asked,
		WriteBuffer: s.room.size, Dirty: s.room.used, InFlight: s.room.inFlight,
		Lost: s.lost, Remotes: s.opened,
	}
	for f := range s.room.files {
		st.Waiting = append(st.Waiting, Waiting{File: f.opener, Dirty: f.dirty})
	}
	return st
}

// Flush sends what is dirty in all files and waits for the answers. It returns
// the first lost write that no Handle or File.Flush reported. 1 round trip.
func (s *Store) Flush(ctx context.Context) error {
	s.mu.Lock()
	files := make([]*File, 0, len(s.room.files))
	for f := range s.room.files {
		files = append(files, f)
	}
	s.mu.Unlock()
	waits := make([]func(context.Context) error, 0, len(files))
	for _, f := range files {
		f.mu.Lock()
		waits = append(waits, f.flush(false))
		f.pump()
	}
	for _, wait := range waits {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.err
	s.err = nil
	return err
}

// Close is Flush, and the end of the Store: nothing runs behind after it, and
// its files must not be used.
func (s *Store) Close(ctx context.Context) error {
	err := s.Flush(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.idle != nil {
		s.idle.Stop()
	}
	return err
}
