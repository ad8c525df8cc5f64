package fs

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// staleOpens sees to it that a name which is replaced all the time can be
// opened at every moment, as rename(2) promises.
//
// The kernel looks a name up and then opens the inode; in between a rename may
// put another in its place. The answer ESTALE has the kernel look the path up
// afresh and open once more, and only once. So from that lookup to the open's
// answer, what takes names away in this mount stands back. An open that fails
// again lost to somebody on the sandbox: then the file is missing, and no
// program expects ESTALE of an open.
type staleOpens struct {
	known atomic.Int32 // entries in told, so that lookups need no lock without any

	mu    sync.Mutex // guards all below; a leaf
	told  map[uint32]time.Time
	again map[uint32]chan struct{} // threads that are trying again; closed by the open's answer
}

// retryWithin is how long after an ESTALE a thread's lookup can still be the
// kernel's own, which it sends at once, and how long anybody stands back: a
// lookup and an open on a slow link.
const retryWithin = time.Second

// lookup is told of every lookup, before it is carried out.
func (s *staleOpens) lookup(thread uint32) {
	if s.known.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.told[thread]
	if !ok || time.Since(at) >= retryWithin || s.again[thread] != nil {
		return
	}
	if s.again == nil {
		s.again = map[uint32]chan struct{}{}
	}
	s.again[thread] = make(chan struct{})
}

// opened is told of every open's end and returns the error for the program.
func (s *staleOpens) opened(thread uint32, err error) error {
	stale := err != nil && conn.KindOf(err) == conn.Stale
	if !stale && s.known.Load() == 0 {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.known.Store(int32(len(s.told))) }()
	at, second := s.told[thread]
	second = second && time.Since(at) < retryWithin
	delete(s.told, thread)
	if done := s.again[thread]; done != nil {
		close(done)
		delete(s.again, thread)
	}
	switch {
	case !stale:
		return err
	case second:
		return conn.NotExist
	}
	s.forget()
	if s.told == nil {
		s.told = map[uint32]time.Time{}
	}
	s.told[thread] = time.Now()
	return err
}

// forget drops those that did not try again.
func (s *staleOpens) forget() {
	for thread, at := range s.told {
		if time.Since(at) >= retryWithin {
			delete(s.told, thread)
			delete(s.again, thread)
		}
	}
}

// standBack waits for the opens that are being tried again, before a name is
// taken away.
func (s *staleOpens) standBack(r *request) {
	if s.known.Load() == 0 {
		return
	}
	s.mu.Lock()
	var all []chan struct{}
	for _, done := range s.again {
		all = append(all, done)
	}
	s.mu.Unlock()
	enough := time.NewTimer(retryWithin)
	defer enough.Stop()
	for _, done := range all {
		select {
		case <-done:
		case <-enough.C:
			return
		case <-r.Done():
			return
		}
	}
}
