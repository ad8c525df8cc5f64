package conn

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is a TCP connection that knows when a byte last arrived, and that can
// hold back what is written until a whole frame is there.
//
// What is written above it (a WebSocket frame in pieces of 4 KiB, a TLS record
// each) goes out as one TCP write between cork and uncork. A Write never waits
// for the network while a little is held back, so that the pong that a reading
// goroutine writes does not wait behind bulk data.
type link struct {
	net.Conn
	made    time.Time
	last    atomic.Int64 // nanoseconds from made to the last byte's arrival
	in, out atomic.Int64 // bytes

	mu      sync.Mutex // guards all below; not held while Conn is written
	changed *sync.Cond // writing ended, or err was set
	corked  bool
	writing bool   // a goroutine writes spare to Conn
	buf     []byte // to be written
	spare   []byte // the other buffer
	err     error  // the first write error; sticky
}

// maxHeld is what a link holds back before a Write waits: a frame of the
// largest message with room for control frames.
const maxHeld = 2 * maxMessage

func newLink(c net.Conn) *link {
	l := &link{Conn: c, made: time.Now()}
	l.changed = sync.NewCond(&l.mu)
	return l
}

// lastByte returns when a byte last arrived; when the link was made if none
// did.
func (l *link) lastByte() time.Time { return l.made.Add(time.Duration(l.last.Load())) }

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	if n > 0 {
		l.in.Add(int64(n))
		l.last.Store(int64(time.Since(l.made)))
	}
	return n, err
}

// Write sends p, or keeps it for uncork or for the Write that is under way.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.writing && len(l.buf) >= maxHeld && l.err == nil {
		l.changed.Wait()
	}
	if l.err != nil {
		return 0, l.err
	}
	l.buf = append(l.buf, p...)
	if l.writing || l.corked && len(l.buf) < maxHeld {
		return len(p), nil
	}
	return len(p), l.flush()
}

// cork begins to hold writes back.
func (l *link) cork() {
	l.mu.Lock()
	l.corked = true
	l.mu.Unlock()
}

// uncork sends what was held back and returns when it was taken by the kernel.
func (l *link) uncork() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.corked = false
	for l.writing && l.err == nil {
		l.changed.Wait()
	}
	if l.err != nil {
		return l.err
	}
	return l.flush()
}

// flush writes buf until it is empty. l.mu is held on entry and exit; nobody
// else is writing.
func (l *link) flush() error {
	l.writing = true
	for len(l.buf) > 0 && l.err == nil {
		l.buf, l.spare = l.spare[:0], l.buf
		l.mu.Unlock()
		n, err := l.Conn.Write(l.spare)
		l.out.Add(int64(n))
		l.mu.Lock()
		if err != nil {
			l.err = err
		}
		l.changed.Broadcast()
	}
	l.writing = false
	l.changed.Broadcast()
	return l.err
}
