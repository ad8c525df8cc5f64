package sftp

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// Client is one SFTP session. All methods may be called by several goroutines
// at once; none of those that start a request blocks.
type Client struct {
	rw io.ReadWriteCloser

	mu     sync.Mutex // guards all below
	queue  []*Request // not yet taken by the writer, in order
	flight map[uint32]*Request
	late   []*Request // started after the session's end
	nextID uint32
	cause  error         // why the session ended; nil while it lives
	wake   chan struct{} // the writer's; holds at most one token

	listed int // bytes of all listings that are being made; the reader's alone

	told  Server        // in the handshake; read-only once anything was answered
	ended chan struct{} // closed when all requests were answered
	done  sync.WaitGroup
}

// Request is an operation that was started; see Cancel.
type Request struct {
	typ   byte
	body  func([]byte) []byte              // appends the packet's fields
	reply func(typ byte, d *decoder) error // takes the answer; an error breaks the session
	lost  func(error)                      // takes the end of the session instead

	read *readInto // of a READ

	sent bool // guarded by Client.mu
	gone bool // withdrawn; guarded by Client.mu
}

// readInto is where a READ's data goes.
type readInto struct {
	buf    []byte // what is still missing
	n      int    // what came
	pieces int    // in how many replies
}

// New starts a session on rw, which it owns. The handshake is sent at once;
// requests that are started before its answer go out right behind it. Wait is
// for the answer.
func New(rw io.ReadWriteCloser) *Client {
	c := &Client{
		rw: rw, flight: make(map[uint32]*Request), wake: make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	c.done.Add(2)
	go c.write()
	go c.read()
	return c
}

// Wait waits for the handshake and returns what the server can. The limits and
// the home directory are asked for right behind INIT: 1 round trip.
func (c *Client) Wait(ctx context.Context) (Server, error) {
	var (
		limits Limits
		known  bool
		home   string
		attr   Attr
		asked  = make(chan struct{}, 3)
		lost   error // written by the reader goroutine, before it sends on asked
	)
	note := func(err error) {
		if e := (*LostError)(nil); errors.As(err, &e) {
			lost = e.Cause
		}
		asked <- struct{}{}
	}
	c.limits(func(l Limits, err error) { limits, known = l, err == nil; note(err) })
	c.Realpath(".", func(path string, err error) { home = path; note(err) })
	c.Stat(".", func(a Attr, err error) { attr = a; note(err) })
	for range cap(asked) {
		select {
		case <-asked:
		case <-ctx.Done():
			return Server{}, context.Cause(ctx)
		}
	}
	if lost != nil {
		return Server{}, lost
	}
	s := c.told
	if known {
		s.Limits.take(limits)
	}
	s.Home, s.HomeAttr = home, attr
	return s, nil
}

// Ended is closed when the session is over and every request was answered.
func (c *Client) Ended() <-chan struct{} { return c.ended }

// Cause returns why the session ended, nil while it lives.
func (c *Client) Cause() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Close ends the session and waits for its goroutines: not to be called from
// within an answer.
func (c *Client) Close() error {
	c.fail(ErrClosed)
	c.done.Wait()
	return nil
}

// start queues requests, back to back.
func (c *Client) start(rs ...*Request) {
	c.mu.Lock()
	if c.cause != nil {
		if c.late = append(c.late, rs...); len(c.late) == len(rs) {
			go c.turnAway() // never from within start
		}
		c.mu.Unlock()
		return
	}
	c.queue = append(c.queue, rs...)
	c.mu.Unlock()
	c.poke()
}

// turnAway answers, in order, what was started after the session's end.
func (c *Client) turnAway() {
	<-c.ended
	for {
		c.mu.Lock()
		if len(c.late) == 0 {
			c.mu.Unlock()
			return
		}
		r := c.late[0]
		cause := c.cause
		c.mu.Unlock()
		r.lost(&LostError{Cause: cause})
		c.mu.Lock()
		c.late = c.late[1:] // only now: who comes meanwhile starts no second goroutine
		c.mu.Unlock()
	}
}

func (c *Client) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Cancel withdraws r. True promises that it was not sent and that its answer
// will not be called.
func (c *Client) Cancel(r *Request) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.sent || r.gone || c.cause != nil {
		return false
	}
	r.gone = true
	for i, q := range c.queue {
		if q == r {
			c.queue = append(c.queue[:i], c.queue[i+1:]...)
			break
		}
	}
	return true
}

// fail ends the session; the first cause counts. The reader answers what is
// left when it has stopped.
func (c *Client) fail(cause error) {
	c.mu.Lock()
	first := c.cause == nil
	if first {
		c.cause = cause
	}
	c.mu.Unlock()
	if first {
		_ = c.rw.Close()
		c.poke()
	}
}

// gather is how many bytes of packets make one write: what a WebSocket message
// and a few SSH packets hold. A packet that is larger goes with what is before it.
const gather = 64 << 10

// write is the writer goroutine.
func (c *Client) write() {
	defer c.done.Done()
	buf := []byte{0, 0, 0, 5, typeInit, 0, 0, 0, protocolVersion}
	for {
		if len(buf) > 0 {
			if _, err := c.rw.Write(buf); err != nil {
				c.fail(fmt.Errorf("write: %w", err))
				return
			}
		}
		var ok bool
		if buf, ok = c.take(buf[:0]); !ok {
			return
		}
		if len(buf) == 0 {
			<-c.wake
		}
	}
}

// maxFlight bounds the requests that wait for an answer: far over what programs
// and what is read ahead of them have in flight. A server may leave those
// unanswered that nobody waits for, as the closing of a listing.
const maxFlight = 1 << 18

// take moves requests from the queue into the table and their packets into b,
// up to about gather bytes. False: the session is over.
func (c *Client) take(b []byte) ([]byte, bool) {
	for len(b) < gather {
		c.mu.Lock()
		if c.cause != nil {
			c.mu.Unlock()
			return nil, false
		}
		if len(c.queue) == 0 {
			c.queue = nil
			c.mu.Unlock()
			break
		}
		if len(c.flight) >= maxFlight {
			c.mu.Unlock()
			c.fail(broken("too many requests that it does not answer"))
			return nil, false
		}
		r := c.queue[0]
		c.queue[0] = nil
		c.queue = c.queue[1:]
		id := c.newID()
		c.flight[id] = r
		r.sent = true
		c.mu.Unlock()
		b = appendPacket(b, r.typ, id, r.body)
	}
	return b, true
}

// newID returns an id that is not in flight. c.mu is held.
func (c *Client) newID() uint32 {
	for {
		c.nextID++
		if _, taken := c.flight[c.nextID]; !taken {
			return c.nextID
		}
	}
}

// read is the reader goroutine. It ends the session with its own end.
func (c *Client) read() {
	defer c.done.Done()
	r := &reader{c: c, br: bufio.NewReaderSize(c.rw, readBuffer)}
	err := r.hello()
	for err == nil {
		err = r.packet()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the server ended the session: %w", io.ErrUnexpectedEOF)
	}
	c.fail(err)
	c.abandon()
}

// abandon answers all that is left.
func (c *Client) abandon() {
	c.mu.Lock()
	cause, flight, queue := c.cause, c.flight, c.queue
	c.flight, c.queue = nil, nil
	c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(flight)) {
		flight[id].lost(&LostError{Sent: true, Cause: cause})
	}
	for _, r := range queue {
		r.lost(&LostError{Sent: r.sent, Cause: cause})
	}
	close(c.ended)
}

// readBuffer holds a burst of small replies; data that is larger passes it by.
const readBuffer = 16 << 10

// maxPieces bounds the replies to one READ of maxIO: a server that serves a
// memory page at a time needs 64.
const maxPieces = 1024

// reader reads packets.
type reader struct {
	c       *Client
	br      *bufio.Reader
	head    [9]byte
	scratch []byte // a packet but DATA; reused
}

// packet reads one reply and hands it to its request.
func (r *reader) packet() error {
	if _, err := io.ReadFull(r.br, r.head[:9]); err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(r.head[:4]))
	if length < 5 || length > maxPacket {
		return broken("a packet of an impossible length")
	}
	typ, id := r.head[4], binary.BigEndian.Uint32(r.head[5:])
	c := r.c
	c.mu.Lock()
	q := c.flight[id]
	delete(c.flight, id)
	c.mu.Unlock()
	if q == nil {
		return broken("an answer to what was not asked")
	}
	err := r.answer(q, typ, int(length)-5)
	if err != nil {
		q.lost(&LostError{Sent: true, Cause: err})
	}
	return err
}

func (r *reader) answer(q *Request, typ byte, n int) error {
	if typ == typeData && q.read != nil {
		return r.data(q, n)
	}
	body, err := r.body(n)
	if err != nil {
		return err
	}
	return q.reply(typ, &decoder{b: body})
}

// body reads n bytes into the scratch buffer.
func (r *reader) body(n int) ([]byte, error) {
	if n > cap(r.scratch) {
		r.scratch = make([]byte, n, max(n, 4096))
	}
	b := r.scratch[:n]
	_, err := io.ReadFull(r.br, b)
	return b, err
}

// data reads a DATA packet into its request's buffer and has the rest asked
// for where it is short.
func (r *reader) data(q *Request, n int) error {
	if n < 4 {
		return broken("a DATA packet without data")
	}
	if _, err := io.ReadFull(r.br, r.head[:4]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(r.head[:4]))
	switch {
	case size != n-4:
		return broken("DATA whose lengths disagree")
	case size == 0:
		return broken("DATA without bytes")
	case size > len(q.read.buf):
		return broken("more DATA than asked for")
	}
	if _, err := io.ReadFull(r.br, q.read.buf[:size]); err != nil {
		return err
	}
	if q.read.pieces++; q.read.pieces > maxPieces {
		return broken("DATA in countless pieces")
	}
	q.read.n += size
	q.read.buf = q.read.buf[size:]
	return q.reply(typeData, nil)
}
