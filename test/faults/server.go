package faults

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// Server is a sandbox with faults, before it is started. Its Sandbox's Edge and
// SFTP are the knobs' and have to be nil.
type Server struct {
	Sandbox sandboxd.Options
	Edge    Edge
	Frames  Frames
	Stream  Stream
	SFTP    SFTP
	Shell   bool // exec channels are answered as a shell on the sandbox would; see shell.go
}

// Running is a sandbox with faults. Its methods are safe for concurrent use.
type Running struct {
	*sandboxd.Server

	mu          sync.Mutex // guards what follows; held for no I/O
	edge        Edge
	frames      Frames
	stream      Stream
	sftp        SFTP
	counts      map[any]int // how often a rule has matched, by its place among the knobs
	written     int64       // bytes that WRITE requests carried, for SFTP.Full
	stats       Stats
	clock       int // round trips that the client has been given the answers of
	sessions    uint64
	edgeChanged chan struct{}          // closed by the next SetEdge
	pids        map[*sandboxd.Conn]int // for Shell: the connections' processes
}

// Start starts the sandbox. It ends with ctx or Close.
func (f Server) Start(ctx context.Context) (*Running, error) {
	r := &Running{edge: f.Edge, frames: f.Frames, stream: f.Stream, sftp: f.SFTP, counts: map[any]int{}, edgeChanged: make(chan struct{})}
	r.stats = newStats()
	o := f.Sandbox
	o.Edge = func(next http.Handler) http.Handler { return &edge{r: r, next: next} }
	o.SFTP = func(channel io.ReadWriteCloser) io.ReadWriteCloser { return newSession(r, channel) }
	if f.Shell {
		r.pids = map[*sandboxd.Conn]int{}
		o.Exec = r.shell
	}
	s, err := sandboxd.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.Server = s
	r.mu.Unlock()
	return r, nil
}

// SetEdge, SetFrames and SetStream change what the next dials meet; what they
// have counted starts anew.
func (r *Running) SetEdge(e Edge) {
	r.set(func() {
		r.edge = e
		close(r.edgeChanged)
		r.edgeChanged = make(chan struct{})
	}, edgeRule{})
}
func (r *Running) SetFrames(f Frames) { r.set(func() { r.frames = f }) }
func (r *Running) SetStream(s Stream) { r.set(func() { r.stream = s }, streamRule{}) }

// SetSFTP changes what the next requests meet, on open sessions too. Seed,
// Hold, Drip and Close count for new sessions.
func (r *Running) SetSFTP(s SFTP) {
	r.set(func() {
		r.sftp = s
		r.written = 0
		for rule := range r.counts {
			if _, ok := rule.(sftpRule); ok {
				delete(r.counts, rule)
			}
		}
	})
}

func (r *Running) set(change func(), rules ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	for _, rule := range rules {
		delete(r.counts, rule)
	}
}

// sandbox waits for nothing: requests come only after Start.
func (r *Running) sandbox() *sandboxd.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Server
}

// Rules are counted under their kind and place.
type (
	edgeRule   struct{}
	streamRule struct{}
	sftpRule   struct {
		kind  string
		index int
	}
)

// hit counts a match of a rule and reports whether the rule acts: after skip
// matches, times often (0: from then on). r.mu is held.
func (r *Running) hit(rule any, skip, times int) bool {
	n := r.counts[rule]
	r.counts[rule] = n + 1
	return n >= skip && (times == 0 || n < skip+times)
}

// random returns a generator that depends on the seed and on how many sessions
// were before.
func (r *Running) random(seed uint64) *rand.Rand {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions++
	return rand.New(rand.NewPCG(seed, r.sessions))
}
