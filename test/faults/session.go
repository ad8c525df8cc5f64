package faults

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// session stands between an SFTP session of the sandbox, which reads requests
// from it and writes answers to it, and the client's channel. The sandbox
// answers each request before it reads the next.
type session struct {
	r       *Running
	channel io.ReadWriteCloser
	hostile *hostile
	hold    time.Duration
	drip    time.Duration
	end     int64
	work    sync.WaitGroup // reader and writer
	open    atomic.Int64   // requests that have come and are not answered

	// What follows is the sandbox's goroutine's.
	pending []byte   // request that it is reading
	current *request // request that it is to answer
	verdict verdict
	partial []byte            // of the answer
	paths   map[string]string // by handle
	swapped *answer           // kept back until the next

	requests queue[*request]
	answers  queue[answer]
}

// answer is what is sent for a request: nothing, a packet, or something else.
type answer struct {
	q     *request
	bytes []byte
	due   time.Time
	last  bool // the session ends after it
	drop  bool // all connections are reset after it
	drip  bool
}

func newSession(r *Running, channel io.ReadWriteCloser) *session {
	r.mu.Lock()
	k := r.sftp
	r.stats.Sessions++
	r.mu.Unlock()
	s := &session{
		r: r, channel: channel, hold: k.Hold, drip: k.Drip, end: k.Close, paths: map[string]string{},
	}
	seed := uint64(0)
	if k.Hostile != nil {
		seed = k.Hostile.Seed
	}
	s.hostile = &hostile{rand: r.random(seed)}
	s.requests.init()
	s.answers.init()
	s.work.Go(s.readRequests)
	s.work.Go(s.sendAnswers)
	return s
}

// readRequests takes requests in as they come.
func (s *session) readRequests() {
	for {
		p, err := readPacket(s.channel)
		if err != nil {
			s.requests.close()
			return
		}
		q := parse(p)
		s.r.arrived(q)
		s.open.Add(1)
		if !s.requests.put(q, len(p)) {
			return
		}
	}
}

// Read gives the sandbox its next request, as bytes. Requests that are to fail
// are answered here.
func (s *session) Read(p []byte) (int, error) {
	for len(s.pending) == 0 {
		q, ok := s.requests.get()
		if !ok {
			return 0, io.EOF
		}
		if q.handle != "" {
			q.Path = s.paths[q.handle]
		}
		s.current = q
		s.verdict = s.r.judge(q, s.hostile)
		if s.verdict.fail {
			s.answer(status(q.ID, s.verdict.code, s.verdict.text))
			continue
		}
		s.pending = framed(q.packet)
	}
	n := copy(p, s.pending)
	s.pending = s.pending[n:]
	return n, nil
}

// Write takes the sandbox's answer.
func (s *session) Write(p []byte) (int, error) {
	s.partial = append(s.partial, p...)
	for len(s.partial) >= 4 {
		n := int(binary.BigEndian.Uint32(s.partial))
		if len(s.partial) < 4+n {
			break
		}
		packet := slices.Clone(s.partial[4 : 4+n])
		s.partial = append(s.partial[:0], s.partial[4+n:]...)
		s.learn(packet)
		s.answer(s.r.rewrite(s.current, packet))
	}
	return len(p), nil
}

// learn keeps which path a handle stands for.
func (s *session) learn(packet []byte) {
	f := fields(packet[1:])
	f.u32()
	switch {
	case packet[0] == fxpHandle:
		s.paths[f.str()] = s.current.Path
	case s.current.Op == "CLOSE":
		delete(s.paths, s.current.handle)
	}
}

// answer queues the answer to the current request, with the lie that was
// decided on.
func (s *session) answer(packet []byte) {
	a := answer{q: s.current, bytes: framed(packet), due: time.Now().Add(s.hold)}
	switch {
	case s.verdict.stall:
		return
	case s.verdict.fit && !s.verdict.lie.fits(s.current, packet):
	case s.verdict.lie != "":
		s.r.faulted(string(s.verdict.lie))
		s.verdict.lie.tell(&a, packet, s.hostile.rand)
	}
	if s.swap(a) {
		return
	}
	s.answers.put(a, len(a.bytes))
	if s.swapped != nil {
		s.answers.put(*s.swapped, len(s.swapped.bytes))
		s.swapped = nil
	}
}

// swap keeps an answer back if the one to the next request can go before it.
func (s *session) swap(a answer) bool {
	s.r.mu.Lock()
	swap := s.r.sftp.Swap
	s.r.mu.Unlock()
	if !swap || s.swapped != nil || s.requests.empty() {
		return false
	}
	s.swapped = &a
	return true
}

// sendAnswers sends what is due, in order.
func (s *session) sendAnswers() {
	sent := int64(0)
	for {
		a, ok := s.answers.get()
		if !ok {
			return
		}
		time.Sleep(time.Until(a.due))
		if s.end > 0 && sent+int64(len(a.bytes)) >= s.end {
			a.bytes, a.last = a.bytes[:s.end-sent], true
		}
		sent += int64(len(a.bytes))
		if len(a.bytes) > 0 {
			s.open.Add(-1)
			s.r.answered(a.q, len(a.bytes))
		}
		if s.send(a) != nil || a.last {
			_ = s.channel.Close()
			s.requests.close()
		}
		if a.drop {
			s.r.sandbox().Drop()
		}
	}
}

func (s *session) send(a answer) error {
	pause := s.drip
	if a.drip && pause == 0 {
		pause = slowDrip
	}
	if pause == 0 {
		_, err := s.channel.Write(a.bytes)
		return err
	}
	for i := range a.bytes {
		if _, err := s.channel.Write(a.bytes[i : i+1]); err != nil {
			return err
		}
		time.Sleep(pause)
	}
	return nil
}

// slowDrip is the pace of the lie Drips.
const slowDrip = 100 * time.Millisecond

// Close ends the session and waits for its goroutines. What is not answered
// counts as lost.
func (s *session) Close() error {
	s.answers.close()
	s.requests.close()
	err := s.channel.Close()
	s.work.Wait()
	s.r.lost(int(s.open.Load()))
	return err
}
