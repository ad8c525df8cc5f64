package faults

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Frames says how the bytes to the client are cut into WebSocket messages and
// frames, and how the connection ends.
type Frames struct {
	Message  int // bytes in a message, as far as there are as many; 0: up to 64 KiB
	Fragment int // bytes in each frame of a message; 0: all in one
	Ping     int // a ping before every so many'th frame, between fragments too
	Empty    int // an empty message before every so many'th
	Text     bool

	End   End   // how the connection ends
	After int64 // once so many bytes have gone to the client
}

// End is an end of a WebSocket connection, or a frame that has to be taken for
// one; empty is none.
type End string

// The ends. Those after EndSilence break the protocol, RFC 6455.
const (
	EndClose       End = "close 1000"
	EndNoCode      End = "close without a code"
	EndError       End = "close 1011" // internal error
	EndHangup      End = "end without a close"
	EndReset       End = "reset"
	EndMidFrame    End = "end amid a frame"
	EndSilence     End = "silence"
	EndPage        End = "page in a text message"
	EndHuge        End = "frame of 2^62 bytes"
	EndHugeSign    End = "frame of 2^63 bytes"
	EndReserved    End = "reserved bits"
	EndMasked      End = "masked frame"
	EndOpcode      End = "unknown opcode"
	EndContinues   End = "continuation of nothing"
	EndInterleaved End = "message within a message"
	EndLongPing    End = "ping of 126 bytes"
	EndSplitPing   End = "fragmented ping"
	EndBadCode     End = "close 5"
	EndHalfCode    End = "close with half a code"
)

// Ends returns all of them.
func Ends() []End {
	return []End{
		EndClose, EndNoCode, EndError, EndHangup, EndReset, EndMidFrame, EndSilence, EndPage, EndHuge, EndHugeSign,
		EndReserved, EndMasked, EndOpcode, EndContinues, EndInterleaved, EndLongPing, EndSplitPing, EndBadCode, EndHalfCode,
	}
}

const (
	opContinue = 0x0
	opText     = 0x1
	opBinary   = 0x2
	opClose    = 0x8
	opPing     = 0x9
	opPong     = 0xa

	final    = 0x80
	maskBit  = 0x80
	reserved = 0x70
)

// acceptKey answers a Sec-WebSocket-Key, RFC 6455, section 4.2.2.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

func switching(accept string) string {
	return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Accept: " + accept + "\r\n\r\n"
}

// frameConn is a byte stream in WebSocket frames that the knobs form. One
// goroutine reads, and any may write.
type frameConn struct {
	net.Conn // TCP
	in       *bufio.Reader
	knobs    Frames
	left     int64 // rest of the frame being read
	mask     [4]byte
	at       int // place in the mask

	out   sync.Mutex // serialises frames; held while one is written
	frame int        // frames sent, guarded by out

	mu      sync.Mutex // guards what follows
	wake    sync.Cond  // of mu
	unsent  []byte
	sent    int64
	message int
	err     error
	done    chan struct{} // closed when the goroutine that sends has ended
}

func newFrameConn(c net.Conn, in *bufio.Reader, f Frames) *frameConn {
	fc := &frameConn{Conn: c, in: in, knobs: f, done: make(chan struct{})}
	fc.wake.L = &fc.mu
	go fc.send()
	return fc
}

// Read reads on over the client's frames and answers its pings.
func (c *frameConn) Read(p []byte) (int, error) {
	for c.left == 0 {
		if err := c.nextFrame(); err != nil {
			return 0, err
		}
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.left)])
	c.unmask(p[:n])
	c.left -= int64(n)
	return n, err
}

func (c *frameConn) unmask(p []byte) {
	for i := range p {
		p[i] ^= c.mask[c.at&3]
		c.at++
	}
}

var errFrame = errors.New("the client breaks the WebSocket protocol")

// nextFrame reads a frame's header, and all of a control frame.
func (c *frameConn) nextFrame() error {
	var head [2]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	n := int64(head[1] &^ maskBit)
	switch n {
	case 126:
		var b [2]byte
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return err
		}
		n = int64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		if _, err := io.ReadFull(c.in, b[:]); err != nil {
			return err
		}
		n = int64(binary.BigEndian.Uint64(b[:]))
	}
	if head[1]&maskBit == 0 || head[0]&reserved != 0 || n < 0 {
		return errFrame
	}
	if _, err := io.ReadFull(c.in, c.mask[:]); err != nil {
		return err
	}
	c.left, c.at = n, 0
	return c.control(head[0] & 0xf)
}

// control takes in what is no data.
func (c *frameConn) control(op byte) error {
	if op < opClose {
		return nil
	}
	if c.left > 125 {
		return errFrame
	}
	body := make([]byte, c.left)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return err
	}
	c.unmask(body)
	c.left = 0
	switch op {
	case opPing:
		return c.write(final|opPong, body)
	case opClose:
		_ = c.write(final|opClose, body[:min(2, len(body))])
		return io.EOF
	}
	return nil
}

const (
	bridgeMessage = 64 << 10
	maxUnsent     = 4 << 20
	// linger lets a message grow that is to be larger than what comes at once.
	linger = 2 * time.Millisecond
)

func (c *frameConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) > maxUnsent && c.err == nil {
		c.wake.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	c.unsent = append(c.unsent, p...)
	c.wake.Broadcast()
	return len(p), nil
}

func (c *frameConn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	c.wake.Broadcast()
}

// Close sends what is left, if the client takes it within a moment, and ends
// the TCP connection.
func (c *frameConn) Close() error {
	c.fail(net.ErrClosed)
	t := time.AfterFunc(time.Second, func() { _ = c.Conn.Close() })
	<-c.done
	t.Stop()
	return c.Conn.Close()
}

// kill resets the connection at once.
func (c *frameConn) kill() {
	c.fail(net.ErrClosed)
	abort(c.Conn)
}

// send sends messages until the end.
func (c *frameConn) send() {
	defer close(c.done)
	for {
		message, err := c.next()
		if err == nil {
			err = c.sendMessage(message)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// next waits for what becomes the next message.
func (c *frameConn) next() ([]byte, error) {
	size := c.knobs.Message
	if size == 0 {
		size = bridgeMessage
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.unsent) == 0 && c.err == nil {
		c.wake.Wait()
	}
	if len(c.unsent) < size && size > bridgeMessage && c.err == nil {
		c.mu.Unlock()
		time.Sleep(linger)
		c.mu.Lock()
	}
	if len(c.unsent) == 0 {
		_ = c.write(final|opClose, []byte{0x03, 0xe8})
		return nil, c.err
	}
	n := min(size, len(c.unsent))
	if k := c.knobs; k.End != "" && c.sent+int64(n) > k.After {
		n = int(max(k.After-c.sent, 0))
		c.unsent = c.unsent[:n] // what comes after the end is lost
	}
	message := append([]byte(nil), c.unsent[:n]...)
	c.unsent = c.unsent[n:]
	c.sent += int64(n)
	c.message++
	c.wake.Broadcast()
	return message, nil
}

// sendMessage sends one message in the frames that the knobs ask for, and the
// end where it is due.
func (c *frameConn) sendMessage(p []byte) error {
	op := byte(opBinary)
	if c.knobs.Text {
		op = opText
	}
	if n := c.knobs.Empty; n > 0 && c.message%n == 0 {
		if err := c.write(final|op, nil); err != nil {
			return err
		}
	}
	c.mu.Lock()
	ends := c.knobs.End != "" && c.sent >= c.knobs.After
	c.mu.Unlock()
	for len(p) > 0 {
		n := len(p)
		if f := c.knobs.Fragment; f > 0 {
			n = min(f, n)
		}
		first := op
		if n == len(p) {
			first |= final
		}
		if err := c.pinged(first, p[:n]); err != nil {
			return err
		}
		op, p = opContinue, p[n:]
	}
	if ends {
		return c.end()
	}
	return nil
}

// pinged sends a frame of data, after a ping where one is due.
func (c *frameConn) pinged(first byte, p []byte) error {
	c.out.Lock()
	c.frame++
	due := c.knobs.Ping > 0 && c.frame%c.knobs.Ping == 0
	c.out.Unlock()
	if due {
		if err := c.write(final|opPing, []byte("still there?")); err != nil {
			return err
		}
	}
	return c.write(first, p)
}

// write sends one frame.
func (c *frameConn) write(first byte, p []byte) error {
	c.out.Lock()
	defer c.out.Unlock()
	_, err := c.Conn.Write(append(header(first, uint64(len(p))), p...))
	return err
}

func header(first byte, n uint64) []byte {
	switch {
	case n < 126:
		return []byte{first, byte(n)}
	case n < 1<<16:
		return binary.BigEndian.AppendUint16([]byte{first, 126}, uint16(n))
	}
	return binary.BigEndian.AppendUint64([]byte{first, 127}, n)
}

// errEnded ends the sending after an End.
var errEnded = errors.New("ended as the knob says")

// end ends the connection as the knob says. What the client sends is still
// read, as long as it does.
func (c *frameConn) end() error {
	raw := func(b ...byte) {
		c.out.Lock()
		defer c.out.Unlock()
		_, _ = c.Conn.Write(b)
	}
	switch c.knobs.End {
	case EndHangup:
		_ = c.Conn.Close()
	case EndReset:
		abort(c.Conn)
	case EndMidFrame:
		raw(append(header(final|opBinary, 1000), make([]byte, 500)...)...)
		_ = c.Conn.Close()
	case EndPage:
		_ = c.write(final|opText, []byte(htmlPage))
	case EndInterleaved:
		_ = c.write(opBinary, []byte("a"))
		_ = c.write(final|opBinary, []byte("b"))
	case EndSilence:
	default:
		raw(endBytes[c.knobs.End]...)
	}
	return errEnded
}

var endBytes = map[End][]byte{
	EndClose:     {final | opClose, 2, 0x03, 0xe8},
	EndNoCode:    {final | opClose, 0},
	EndError:     {final | opClose, 2, 0x03, 0xf3},
	EndBadCode:   {final | opClose, 2, 0x00, 0x05},
	EndHalfCode:  {final | opClose, 1, 0x03},
	EndHuge:      header(final|opBinary, 1<<62),
	EndHugeSign:  header(final|opBinary, 1<<63),
	EndReserved:  {final | reserved | opBinary, 1, 'x'},
	EndMasked:    {final | opBinary, maskBit | 1, 1, 2, 3, 4, 'x'},
	EndOpcode:    {final | 0x3, 1, 'x'},
	EndContinues: {final | opContinue, 1, 'x'},
	EndLongPing:  append(header(final|opPing, 126), make([]byte, 126)...),
	EndSplitPing: {opPing, 1, 'x'},
}
