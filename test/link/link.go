package link

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options say where a link leads and how it is at first.
type Options struct {
	Target string        // host:port of the server
	RTT    time.Duration // round trip: half of it each way
	Rate   int64         // bits a second in each direction; 0: as fast as the machine
}

// Direction of traffic, seen from the client.
type Direction int

const (
	Up   Direction = iota // client to server
	Down                  // server to client
)

// Link relays TCP connections. Its methods may be called at any time from any
// goroutine.
type Link struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	conns      atomic.Int64
	bytes      [2]atomic.Int64 // delivered, by Direction
	chunks     [2]atomic.Int64 // reads that brought them: an upper bound of packets
	clientSeen atomic.Int64    // latest round that the client was given an answer of
	sprung     atomic.Int64

	mu    sync.Mutex
	rtt   time.Duration      // guarded by mu
	rate  int64              // guarded by mu
	free  [2]time.Time       // when the wire has sent what it was given; guarded by mu
	lines map[*line]struct{} // present connections; guarded by mu
	lit   chan struct{}      // closed while traffic passes; guarded by mu
	traps [2]*trap           // guarded by mu
	ended bool               // guarded by mu
}

// Stats are counts since New.
type Stats struct {
	Conns      int64 // connections accepted
	Up, Down   int64 // bytes delivered
	UpChunks   int64 // reads that brought them
	DownChunks int64
	RoundTrips int64 // longest chain of request, answer, request; TCP's handshake included
	Sprung     int64 // faults that After has done
}

// Sub is what happened since an earlier s0.
func (s Stats) Sub(s0 Stats) Stats {
	return Stats{
		Conns: s.Conns - s0.Conns, Up: s.Up - s0.Up, Down: s.Down - s0.Down,
		UpChunks: s.UpChunks - s0.UpChunks, DownChunks: s.DownChunks - s0.DownChunks,
		RoundTrips: s.RoundTrips - s0.RoundTrips, Sprung: s.Sprung - s0.Sprung,
	}
}

// New starts a link that listens on a free port of 127.0.0.1. Close ends it.
func New(o Options) (*Link, error) {
	if _, _, err := net.SplitHostPort(o.Target); err != nil {
		return nil, fmt.Errorf("link target: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &Link{
		target: o.Target, listener: listener,
		rtt: o.RTT, rate: o.Rate,
		lines: make(map[*line]struct{}),
		lit:   make(chan struct{}),
	}
	close(l.lit)
	l.running.Go(l.accept)
	return l, nil
}

// Addr is where clients connect: "127.0.0.1:port".
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Set changes delay and rate from the next byte on. What is on its way keeps
// its time.
func (l *Link) Set(rtt time.Duration, rate int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rtt, l.rate = rtt, rate
	l.free = [2]time.Time{}
}

// Cut resets all present connections at both ends. What is on its way is lost.
// New ones are accepted.
func (l *Link) Cut() {
	for _, line := range l.present() {
		line.reset()
	}
}

// CutOne resets one present connection: the n-th by age, 0 for the oldest, -1
// for the youngest. It reports whether there is one.
func (l *Link) CutOne(n int) bool {
	lines := l.present()
	slices.SortFunc(lines, func(a, b *line) int { return cmp.Compare(a.number, b.number) })
	if n < 0 {
		n += len(lines)
	}
	if n < 0 || n >= len(lines) {
		return false
	}
	lines[n].reset()
	return true
}

// Blackhole stops all traffic, or lets it go on. Nothing is lost and nobody is
// told. Connections made meanwhile are accepted, as they are by the kernel's
// backlog, and hear nothing.
func (l *Link) Blackhole(dark bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.lit:
		if dark {
			l.lit = make(chan struct{})
		}
	default:
		if !dark {
			close(l.lit)
		}
	}
}

// Strand stops the present connections for good without telling either end,
// as when the client's address changes. New ones work.
func (l *Link) Strand() {
	for _, line := range l.present() {
		line.strand()
	}
}

// Stats returns the counts so far.
func (l *Link) Stats() Stats {
	return Stats{
		Conns: l.conns.Load(),
		Up:    l.bytes[Up].Load(), Down: l.bytes[Down].Load(),
		UpChunks: l.chunks[Up].Load(), DownChunks: l.chunks[Down].Load(),
		RoundTrips: l.clientSeen.Load(), Sprung: l.sprung.Load(),
	}
}

// Close resets all connections and returns when nothing of the link runs.
func (l *Link) Close() error {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	err := l.listener.Close()
	l.Cut()
	l.running.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		line := newLine(l, client.(*net.TCPConn))
		line.number = l.conns.Add(1)
		if !l.add(line) {
			line.reset()
			return
		}
		l.running.Go(line.run)
	}
}

// add enters a connection in the table, unless the link has ended.
func (l *Link) add(line *line) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.lines[line] = struct{}{}
	}
	return !l.ended
}

func (l *Link) remove(line *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lines, line)
}

func (l *Link) present() []*line {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := make([]*line, 0, len(l.lines))
	for line := range l.lines {
		lines = append(lines, line)
	}
	return lines
}

// depart puts n bytes on the wire and says when they arrive.
func (l *Link) depart(d Direction, n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.rate > 0 {
		if l.free[d].Before(now) {
			l.free[d] = now
		}
		l.free[d] = l.free[d].Add(time.Duration(float64(n) * 8 / float64(l.rate) * float64(time.Second)))
		now = l.free[d]
	}
	return now.Add(l.rtt / 2)
}

// wire says how much to read at once, and how long to wait before, so that
// no more than a router's buffer is in front of the wire.
func (l *Link) wire(d Direction) (n int, wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.rate == 0 {
		return maxChunk, 0
	}
	n = int(l.rate / 8 * int64(slice) / int64(time.Second))
	return min(max(n, minChunk), maxChunk), time.Until(l.free[d].Add(-router))
}

// light returns a channel that is closed when traffic may pass.
func (l *Link) light() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lit
}
