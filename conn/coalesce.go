package conn

import (
	"net"
	"runtime"
	"sync"
)

// maxMessage is the largest WebSocket message that is sent: websocat reads the
// network in pieces of at most this size, and splits what is larger.
const maxMessage = 64 << 10

// coalescer makes few large writes out of many small ones. SSH writes a packet
// in up to three pieces; what it writes while a write below is in flight goes
// out as the next one, up to maxMessage bytes. An idle connection sends at
// once.
//
// A Write returns when its bytes are copied and waits only while maxMessage
// bytes are pending. An error below ends the connection and is returned by
// every later Write. Close drops what is pending: whoever needs it delivered
// waits for the answer to it.
type coalescer struct {
	net.Conn
	done chan struct{} // closed when run has returned

	mu      sync.Mutex // guards all below; not held while Conn is written
	changed *sync.Cond // any of them changed
	pending []byte     // written above, not yet below
	err     error      // why nothing more is written; net.ErrClosed after Close
}

func newCoalescer(below net.Conn) *coalescer {
	c := &coalescer{Conn: below, done: make(chan struct{}), pending: make([]byte, 0, maxMessage)}
	c.changed = sync.NewCond(&c.mu)
	go c.run()
	return c
}

// Write copies p.
func (c *coalescer) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := 0
	for len(p) > 0 {
		for len(c.pending) == maxMessage && c.err == nil {
			c.changed.Wait()
		}
		if c.err != nil {
			return written, c.err
		}
		n := min(len(p), maxMessage-len(c.pending))
		c.pending = append(c.pending, p[:n]...)
		c.changed.Broadcast()
		p, written = p[n:], written+n
	}
	return written, nil
}

// run writes what is pending until an error or Close.
func (c *coalescer) run() {
	defer close(c.done)
	message := make([]byte, 0, maxMessage)
	for c.await() {
		// SSH's writer is in the middle of a packet when this goroutine wakes:
		// let it finish.
		runtime.Gosched()
		c.mu.Lock()
		message, c.pending = c.pending, message[:0]
		c.changed.Broadcast()
		c.mu.Unlock()
		if len(message) == 0 {
			continue
		}
		if _, err := c.Conn.Write(message); err != nil {
			c.fail(err)
			return
		}
	}
}

// await reports whether there is something to write.
func (c *coalescer) await() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) == 0 && c.err == nil {
		c.changed.Wait()
	}
	return c.err == nil
}

// fail makes err the answer to every later Write and ends the connection, so
// that its reader learns of it.
func (c *coalescer) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.changed.Broadcast()
	c.mu.Unlock()
	_ = c.Conn.Close()
}

// Close ends the connection and waits for the goroutine that writes to it.
func (c *coalescer) Close() error {
	c.fail(net.ErrClosed)
	<-c.done
	return nil
}
