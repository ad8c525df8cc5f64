package link

import (
	"net"
	"sync"
	"time"
)

const (
	// maxChunk is read at once: enough that system calls do not matter.
	maxChunk = 256 << 10
	// minChunk is read at once from a slow wire: a packet.
	minChunk = 1500
	// slice is how long a chunk of a wire with a rate takes at most, so that
	// its bytes arrive as a stream and connections take turns.
	slice = 2 * time.Millisecond
	// router is how much is buffered in front of a wire with a rate. What is
	// beyond waits in the sender's socket.
	router = 20 * time.Millisecond
	// maxQueued bounds one direction of one connection: 5 s of 400 Mbit/s, or
	// 1 GB/s over a round trip of half a second.
	maxQueued = 256 << 20
)

// chunk is a piece of the stream on its way, or its end.
type chunk struct {
	data  []byte
	due   time.Time
	round int64
	end   bool
	fault Fault // with end: how
}

// flow is one direction of a connection: a reader that stamps, a queue, and a
// writer that waits for the stamp.
type flow struct {
	line *line
	dir  Direction
	from *net.TCPConn
	to   *net.TCPConn
	last time.Time // stamp of the latest chunk: stamps never go back; the reader's own

	mu     sync.Mutex
	moved  *sync.Cond // queue or state changed
	queue  []chunk    // guarded by mu
	queued int        // bytes in queue; guarded by mu
	busy   bool       // somebody holds the socket for writing; guarded by mu
	over   bool       // the direction has ended, the rest is dropped; owned by the socket's holder
}

var buffers = sync.Pool{New: func() any { return new([maxChunk]byte) }}

func newFlow(c *line, d Direction, from, to *net.TCPConn) *flow {
	f := &flow{line: c, dir: d, from: from, to: to}
	f.moved = sync.NewCond(&f.mu)
	return f
}

// read takes bytes from the socket and sends them on their way, up to the end.
func (f *flow) read() {
	for {
		buf := buffers.Get().(*[maxChunk]byte)
		n, err := f.take(buf[:])
		if n > 0 {
			f.send(buf, n)
		} else {
			buffers.Put(buf)
		}
		if err != nil {
			f.push(chunk{end: true, fault: ending(err), due: f.stamp(0)})
			return
		}
	}
}

// take reads when the line lets something pass and the wire has room.
func (f *flow) take(buf []byte) (int, error) {
	if !f.line.pass() {
		return 0, net.ErrClosed
	}
	n, wait := f.line.link.wire(f.dir)
	if wait > 0 {
		sleepUntil(f.line.ctx, time.Now().Add(wait))
	}
	return f.from.Read(buf[:n])
}

// stamp is when n bytes read now arrive.
func (f *flow) stamp(n int) time.Time {
	due := f.line.arrival(f.dir, n)
	if due.Before(f.last) {
		due = f.last
	}
	f.last = due
	return due
}

// send delivers at once what needs not wait, and queues the rest. It takes
// over buf. What fills less than half of it is copied, so that many small
// chunks on a long link cost no more memory than their bytes.
func (f *flow) send(buf *[maxChunk]byte, n int) {
	c := chunk{data: buf[:n], due: f.stamp(n), round: f.line.departs(f.dir)}
	if !c.due.After(time.Now()) && f.claim() {
		f.deliver(c)
		f.yield()
		return
	}
	if n < maxChunk/2 {
		c.data = append([]byte(nil), buf[:n]...)
		buffers.Put(buf)
	}
	f.push(c)
}

// claim takes the socket for writing if nothing is queued before.
func (f *flow) claim() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy || len(f.queue) > 0 {
		return false
	}
	f.busy = true
	return true
}

// yield gives the socket back.
func (f *flow) yield() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy = false
	f.moved.Broadcast()
}

// push queues a chunk, then waits while too much is queued.
func (f *flow) push(c chunk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, c)
	f.queued += len(c.data)
	f.moved.Broadcast()
	for f.queued > maxQueued {
		f.moved.Wait()
	}
}

// pop takes the socket and the oldest chunk.
func (f *flow) pop() chunk {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.busy || len(f.queue) == 0 {
		f.moved.Wait()
	}
	f.busy = true
	c := f.queue[0]
	f.queue[0] = chunk{}
	f.queue = f.queue[1:]
	f.queued -= len(c.data)
	f.moved.Broadcast()
	return c
}

// write delivers queued chunks at their time, up to the end.
func (f *flow) write() {
	for {
		c := f.pop()
		sleepUntil(f.line.ctx, c.due)
		f.deliver(c)
		f.yield()
		if c.end {
			return
		}
	}
}

// deliver hands a chunk to the socket, or does what ends the stream. It is
// called by whoever holds the socket and takes over the chunk's data.
func (f *flow) deliver(c chunk) {
	defer recycle(c.data)
	if !f.line.pass() || f.over {
		return
	}
	if c.end {
		f.finish(c.fault)
		return
	}
	n, fault, sprung := f.line.link.spring(f.dir, len(c.data))
	f.line.arrives(f.dir, c.round, n) // before the write: the answer may be quick
	if _, err := f.to.Write(c.data[:n]); err != nil {
		// What the other direction still carries is to arrive: it will end
		// by itself, since the same socket is broken.
		f.over = true
		f.line.ended()
	}
	if sprung {
		f.finish(fault)
	}
}

// finish ends the direction; what comes later is dropped.
func (f *flow) finish(fault Fault) {
	switch fault {
	case Reset:
		f.line.reset()
	case Stop:
		f.line.strand()
	case HalfClose:
		f.to.CloseWrite()
		if !f.over {
			f.over = true
			f.line.ended()
		}
	}
}

// recycle gives a full-size buffer back.
func recycle(data []byte) {
	if cap(data) == maxChunk {
		buffers.Put((*[maxChunk]byte)(data[:maxChunk]))
	}
}
