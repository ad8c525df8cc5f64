package conn

import (
	"context"
	"slices"
	"sync"
	"time"
)

// connection is one transport with its lanes. It ends as a whole: when its
// transport does, or when any of its sessions ends that was not retired.
type connection struct {
	t     transport
	since time.Time
	who   chan struct{}      // closed when id is known, or nobody can tell
	gone  chan struct{}      // closed when the Client has taken back what was on it
	doubt chan time.Duration // the link may have gone: a sign of life is due within this time

	hushed chan struct{} // closed when it is out and all that was sent on it has ended

	// Guarded by Client.mu.
	opening int   // bulk lanes being opened
	limit   int   // lanes that it may have
	lost    []*op // what its lanes left unanswered
	out     bool  // nothing is sent on it any more

	mu    sync.Mutex // guards all below; locked within Client.mu
	all   []*lane
	id    *identity      // of its server process, once known
	cause error          // why it ended
	dead  chan struct{}  // closed with cause
	wg    sync.WaitGroup // guard, and the watchers of its lanes
}

func (c *Client) newConnection(t transport) *connection {
	conn := &connection{t: t, since: time.Now(), limit: c.o.MaxLanes, dead: make(chan struct{}),
		who: make(chan struct{}), gone: make(chan struct{}), hushed: make(chan struct{}), doubt: make(chan time.Duration, 1)}
	conn.wg.Go(func() { conn.askWho(c.ctx) })
	conn.wg.Go(func() { c.guard(conn) })
	conn.wg.Go(func() {
		err := t.wait()
		if err == nil {
			err = errServerClosed
		}
		conn.end(err)
	})
	return conn
}

// adopt adds a lane, unless the connection has ended. A lane that ends without
// having been released ends the connection.
func (conn *connection) adopt(l *lane) bool {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if conn.cause != nil {
		return false
	}
	conn.all = append(conn.all, l)
	conn.wg.Go(func() {
		<-l.s.ended()
		conn.mu.Lock()
		in := slices.Contains(conn.all, l)
		conn.mu.Unlock()
		if in {
			conn.end(l.s.cause())
		}
	})
	return true
}

// release lets a lane end by itself.
func (conn *connection) release(l *lane) {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	conn.all = slices.DeleteFunc(conn.all, func(x *lane) bool { return x == l })
}

func (conn *connection) lanes() int {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return len(conn.all)
}

// full reports whether no further lane fits. Client.mu is held.
func (conn *connection) full() bool { return conn.lanes()+conn.opening >= conn.limit }

// serves reports whether c still uses the connection. c.mu is held.
func (conn *connection) serves(c *Client) bool {
	return conn == c.primary || slices.Contains(c.extra, conn)
}

// hush closes hushed when it is time. Client.mu is held.
func (conn *connection) hush() {
	if !conn.out {
		return
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	if slices.ContainsFunc(conn.all, func(l *lane) bool { return l.flight.Len() > 0 }) {
		return
	}
	select {
	case <-conn.hushed:
	default:
		close(conn.hushed)
	}
}

func (conn *connection) why() error {
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.cause
}

// end ends the connection; the first cause counts. It does not wait.
func (conn *connection) end(cause error) {
	conn.mu.Lock()
	first := conn.cause == nil
	if first {
		conn.cause = cause
	}
	conn.mu.Unlock()
	if first {
		close(conn.dead)
		_ = conn.t.close()
	}
}

// close ends the connection and waits until its lanes have answered all that
// they had.
func (conn *connection) close() {
	conn.end(&Error{Op: "connection", Kind: Closed})
	conn.settle()
}

// settle waits for the sessions of a connection that has ended.
func (conn *connection) settle() {
	conn.mu.Lock()
	all := slices.Clone(conn.all)
	conn.mu.Unlock()
	for _, l := range all {
		_ = l.s.close()
	}
	conn.wg.Wait()
}

// Bounds of silence. Together they find a dead link within 20 seconds, a
// second of which goes into looking once a second; the first one keeps proxies
// from taking an idle connection for dead.
const (
	silenceToAsk = 8 * time.Second
	silenceToEnd = 10 * time.Second // after asking
	wakeToEnd    = 5 * time.Second  // after asking, when this machine has slept: its radio needs a while
	// changeToEnd is after asking, when this machine's network has changed: a
	// packet that was lost is sent again three times within. On links whose
	// round trip is longer than a third of it, three round trips.
	changeToEnd = 2 * time.Second

	// silenceToGiveUp ends an attempt to connect whose other end owes an answer.
	// There is nothing to ask with before SSH serves.
	silenceToGiveUp = silenceToAsk + silenceToEnd
)

// guard looks after one connection until it ends, from before its first session
// on: it asks for a sign of life after a silence, or when the link is in doubt,
// and ends it when none comes. Any byte is one.
func (c *Client) guard(conn *connection) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	for {
		select {
		case <-conn.dead:
			return
		case bound := <-conn.doubt:
			c.prove(ctx, conn, bound)
		case <-tick.C:
			if c.endHung(conn); time.Since(conn.t.lastByte()) > silenceToAsk {
				c.prove(ctx, conn, silenceToEnd)
			}
		}
	}
}

// watch takes a connection that serves out of service when it ends.
func (c *Client) watch(conn *connection) {
	<-conn.dead
	c.ended(conn)
}

// endHung ends the connection if one of its lanes owes an answer for longer
// than an operation may take: a server that hangs, or one that was made to open
// a FIFO. What has waited for so long on that lane fails, the rest is replayed.
func (c *Client) endHung(conn *connection) {
	if c.o.Timeout < 0 {
		return
	}
	conn.mu.Lock()
	lanes := slices.Clone(conn.all)
	conn.mu.Unlock()
	c.mu.Lock()
	defer c.unlock()
	for _, l := range lanes {
		if l.overdue(c.o.Timeout) {
			l.hung = true
			conn.end(errHung)
		}
	}
}

// prove asks for a sign of life and ends the connection when within the bound
// not a byte comes. New doubt meanwhile shortens the wait.
func (c *Client) prove(ctx context.Context, conn *connection, bound time.Duration) {
	asked := time.Now()
	since := asked
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.NewTimer(bound)
	defer late.Stop()
	answer := make(chan error, 1)
	go func() { answer <- conn.t.ping(ctx) }()
	for {
		select {
		case err := <-answer:
			if err != nil && c.ctx.Err() == nil {
				conn.end(err)
			} else if err == nil {
				c.measured(time.Since(asked))
			}
			return
		case bound := <-conn.doubt:
			since = time.Now()
			late.Reset(min(bound, silenceToEnd-time.Since(asked)))
		case <-late.C:
			if !conn.t.lastByte().After(since) {
				conn.end(errSilent)
			}
			return
		case <-conn.dead:
			return
		}
	}
}

// measured takes a round trip time. c.mu is not held.
func (c *Client) measured(rtt time.Duration) {
	c.mu.Lock()
	defer c.unlock()
	c.state.rtt = rtt
}
