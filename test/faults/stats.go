package faults

import "maps"

// Stats is what the SFTP server has met, over all sessions.
type Stats struct {
	Dials       int            // requests for an upgrade
	Sessions    int            // SFTP sessions
	Requests    map[string]int // by their names: "OPEN", "fsync@openssh.com", …
	Bytes       int64          // of requests, with their headers
	BytesBack   int64          // of answers
	InFlight    int            // requests without an answer now
	MaxInFlight int
	Waits       int            // times that a request arrived when no other was unanswered
	RoundTrips  int            // length of the longest chain of request, answer, request
	Faults      map[string]int // answers that a knob changed, by the lie's or rule's name
}

func newStats() Stats { return Stats{Requests: map[string]int{}, Faults: map[string]int{}} }

// Total is how many requests there were.
func (s Stats) Total() int {
	n := 0
	for _, count := range s.Requests {
		n += count
	}
	return n
}

// Stats returns a copy.
func (r *Running) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.stats
	s.Requests, s.Faults = maps.Clone(s.Requests), maps.Clone(s.Faults)
	return s
}

// ResetStats starts counting anew; what is in flight stays.
func (r *Running) ResetStats() {
	r.mu.Lock()
	defer r.mu.Unlock()
	inFlight := r.stats.InFlight
	r.stats = newStats()
	r.stats.InFlight, r.stats.MaxInFlight = inFlight, inFlight
	r.clock = 0
}

// arrived counts a request and returns the round trip that it belongs to.
func (r *Running) arrived(q *request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.stats
	s.Requests[q.Op]++
	s.Bytes += int64(len(q.packet) + 4)
	if s.InFlight == 0 {
		s.Waits++
	}
	s.InFlight++
	s.MaxInFlight = max(s.MaxInFlight, s.InFlight)
	q.round = r.clock + 1
	s.RoundTrips = max(s.RoundTrips, q.round)
}

// answered counts an answer on its way to the client.
func (r *Running) answered(q *request, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.InFlight--
	r.stats.BytesBack += int64(bytes)
	r.clock = max(r.clock, min(q.round, r.stats.RoundTrips))
}

// lost counts requests whose session ended before their answers.
func (r *Running) lost(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.InFlight -= n
}

func (r *Running) faulted(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Faults[name]++
}
