package faults

import (
	"path"
	"slices"
	"time"
)

// SFTP says what becomes of requests and answers. Rules of one kind are tried
// in order; the first that acts counts.
type SFTP struct {
	Without  []string // extensions that are neither told nor known
	ReadOnly bool     // every change fails, and statvfs says that the file system is read-only
	Full     *Full
	Fail     []Failing // requests that fail without being carried out
	Stall    []Match   // requests that are carried out and never answered
	Lies     []Lying
	Hostile  *Hostile

	Hold  time.Duration // each answer is kept back for so long after its request came
	Drip  time.Duration // answers go out one byte at a time, with this pause after each
	Close int64         // the session ends once so many bytes of answers have gone out
	Swap  bool          // of two answers that are due to requests sent together, the second goes first
}

// Match names requests. The zero value matches all but INIT.
type Match struct {
	Op    string // "OPEN", "FSETSTAT", …; an extension's name; "INIT"; "" all
	Path  string // pattern of path.Match for the last name of the path, or of the path a handle was opened with; "" all
	Skip  int    // matching requests that are spared before
	Times int    // matching requests that are met; 0: all
}

// Failing is a status that a request ends with.
type Failing struct {
	Match
	Code uint32 // status code; 0: FAILURE
	Text string
}

// Lying is a lie that a request is answered with.
type Lying struct {
	Match
	Lie Lie
}

// Full is a disk that fills up.
type Full struct {
	After int64 // bytes of WRITE requests that find room
	Quota bool  // the user's share is used up: statvfs goes on to tell of room
}

// Hostile is a server that lies at random, the same for the same seed and the
// same requests.
type Hostile struct {
	Seed uint64
	Rate float64 // share of answers that are lies
	Fit  bool    // a lie about names, attributes or data is told only where they are, and not in the handshake
	Lies []Lie   // those that it chooses from; nil: all
}

const (
	fxOK          = 0
	fxEOF         = 1
	fxFailure     = 4
	fxUnsupported = 8
)

// matches reports whether a request is one that m names, spared ones included.
func (m Match) matches(q *request) bool {
	if m.Op == "" && q.Op == "INIT" || m.Op != "" && m.Op != q.Op {
		return false
	}
	if m.Path == "" {
		return true
	}
	ok, err := path.Match(m.Path, path.Base(q.Path))
	return err == nil && ok
}

// verdict is what the knobs have decided about a request.
type verdict struct {
	fail  bool
	code  uint32
	text  string
	stall bool
	lie   Lie
	fit   bool // the lie is told only where it fits the answer
}

// judge decides about a request. It is called once for each, in their order.
func (r *Running) judge(q *request, h *hostile) verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := &r.sftp
	var v verdict
	fail := r.first("fail", q, len(k.Fail), func(i int) Match { return k.Fail[i].Match })
	switch {
	case slices.Contains(k.Without, q.Op):
		v = verdict{fail: true, code: fxUnsupported}
	case fail >= 0:
		v = verdict{fail: true, code: k.Fail[fail].Code, text: k.Fail[fail].Text}
	case k.ReadOnly && q.changes():
		v.fail = true
	case k.Full != nil && q.Op == "WRITE":
		r.written += int64(q.length)
		v.fail = r.written > k.Full.After
	case k.Full != nil && q.Op == "copy-data":
		v.fail = r.written >= k.Full.After
	}
	if v.fail {
		r.stats.Faults["fail "+q.Op]++
		if v.code == 0 {
			v.code = fxFailure
		}
		return v
	}
	if r.first("stall", q, len(k.Stall), func(i int) Match { return k.Stall[i] }) >= 0 {
		r.stats.Faults["stall "+q.Op]++
		v.stall = true
	} else if i := r.first("lie", q, len(k.Lies), func(i int) Match { return k.Lies[i].Match }); i >= 0 {
		v.lie = k.Lies[i].Lie
	} else if k.Hostile != nil && q.Op != "INIT" {
		v.lie, v.fit = h.choose(k.Hostile), k.Hostile.Fit
	}
	return v
}

// first returns the first of n rules that acts on a request, -1 for none. All
// that match are counted up to there. r.mu is held.
func (r *Running) first(kind string, q *request, n int, match func(int) Match) int {
	for i := range n {
		m := match(i)
		if m.matches(q) && r.hit(sftpRule{kind, i}, m.Skip, m.Times) {
			return i
		}
	}
	return -1
}
