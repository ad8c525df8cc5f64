package link

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// line is one relayed connection.
type line struct {
	link    *Link
	client  *net.TCPConn
	number  int64     // in the order in which they were accepted
	settled time.Time // when TCP's handshake would have ended on a real link
	base    int64     // the round that the handshake took

	serverSeen atomic.Int64 // latest round that the server has got a request of

	ctx      context.Context // ends with the connection
	end      context.CancelFunc
	stranded chan struct{} // closed: nothing passes any more
	strand   func()
	dead     atomic.Bool  // reset rather than closed in order
	overs    atomic.Int32 // directions that have ended

	mu     sync.Mutex
	server *net.TCPConn // guarded by mu
}

func newLine(l *Link, client *net.TCPConn) *line {
	c := &line{link: l, client: client, stranded: make(chan struct{})}
	c.ctx, c.end = context.WithCancel(context.Background())
	c.strand = sync.OnceFunc(func() { close(c.stranded) })
	l.mu.Lock()
	c.settled = time.Now().Add(l.rtt)
	l.mu.Unlock()
	c.base = l.clientSeen.Load() + 1
	return c
}

// run dials the server and relays until both directions have ended.
func (c *line) run() {
	defer c.link.remove(c)
	defer c.hangUp()
	if !c.pass() {
		return
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(c.ctx, "tcp", c.link.target)
	if err != nil {
		c.dead.Store(true)
		return
	}
	server := conn.(*net.TCPConn)
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	defer context.AfterFunc(c.ctx, c.hangUp)()

	var flows sync.WaitGroup
	for _, f := range []*flow{newFlow(c, Up, c.client, server), newFlow(c, Down, server, c.client)} {
		flows.Go(f.read)
		flows.Go(f.write)
	}
	flows.Wait()
}

// reset ends the connection with a RST at both ends, at once.
func (c *line) reset() {
	c.dead.Store(true)
	c.end()
	c.hangUp()
}

// hangUp closes both sockets: in order, or with a RST when the line is dead.
func (c *line) hangUp() {
	c.end()
	c.mu.Lock()
	server := c.server
	c.mu.Unlock()
	for _, conn := range []*net.TCPConn{c.client, server} {
		if conn == nil {
			continue
		}
		if c.dead.Load() {
			conn.SetLinger(0)
		}
		conn.Close()
	}
}

// ended counts the directions that have ended; after both the connection does.
func (c *line) ended() {
	if c.overs.Add(1) == 2 {
		c.end()
	}
}

// pass waits while nothing may pass. False: the connection has ended.
func (c *line) pass() bool {
	for {
		lit := c.link.light()
		select {
		case <-c.ctx.Done():
			return false
		case <-c.stranded:
			<-c.ctx.Done()
			return false
		default:
		}
		select {
		case <-lit:
			return true
		default:
		}
		select {
		case <-lit:
		case <-c.stranded:
		case <-c.ctx.Done():
		}
	}
}

// arrival is when bytes read now reach the other end, TCP's handshake included.
func (c *line) arrival(d Direction, n int) time.Time {
	due := c.link.depart(d, n)
	c.link.mu.Lock()
	half := c.link.rtt / 2
	c.link.mu.Unlock()
	earliest := c.settled.Add(half) // the client's first bytes follow its ACK
	if d == Down {
		earliest = earliest.Add(half) // the server's follow the arrival of that ACK
	}
	if due.Before(earliest) {
		return earliest
	}
	return due
}

// departs is the round of a chunk that is sent now.
func (c *line) departs(d Direction) int64 {
	if d == Up {
		return max(c.link.clientSeen.Load(), c.base) + 1
	}
	return max(c.serverSeen.Load(), c.base)
}

// arrives notes that a chunk of this round was delivered.
func (c *line) arrives(d Direction, round int64, n int) {
	seen := &c.link.clientSeen
	if d == Up {
		seen = &c.serverSeen
	}
	for old := seen.Load(); old < round && !seen.CompareAndSwap(old, round); old = seen.Load() {
	}
	c.link.bytes[d].Add(int64(n))
	c.link.chunks[d].Add(1)
}

// ending turns the error of a read into what the other end is told.
func ending(err error) Fault {
	if errors.Is(err, io.EOF) {
		return HalfClose
	}
	return Reset
}
