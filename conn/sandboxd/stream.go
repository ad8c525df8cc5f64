package sandboxd

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	// maxMessage is websocat's buffer: what it reads from TCP at once becomes
	// one message.
	maxMessage = 64 << 10
	// maxUnsent bounds what waits to become messages: enough that the next is
	// ready when one has gone.
	maxUnsent = 4 * maxMessage
)

// wsStream is the byte stream inside of a WebSocket. Like a bridge that reads
// from a socket, it sends what has come together in one message.
type wsStream struct {
	ws   *websocket.Conn
	tcp  net.Conn
	r    io.Reader // rest of the message being read; the reader's own
	sent chan struct{}

	mu     sync.Mutex // guards what follows
	wake   sync.Cond  // of mu: any of it changed
	unsent []byte
	err    error // why no more can be sent
}

var _ net.Conn = (*wsStream)(nil)

func newStream(ws *websocket.Conn, tcp net.Conn) *wsStream {
	ws.SetReadLimit(-1)
	s := &wsStream{ws: ws, tcp: tcp, sent: make(chan struct{})}
	s.wake.L = &s.mu
	go s.send()
	return s
}

// Read reads on over message boundaries. An empty message is the end, as it is
// for websocat.
func (s *wsStream) Read(p []byte) (int, error) {
	for {
		fresh := s.r == nil
		if fresh {
			_, r, err := s.ws.Reader(context.Background())
			if websocket.CloseStatus(err) != -1 {
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			s.r = r
		}
		n, err := s.r.Read(p)
		if err == io.EOF {
			s.r, err = nil, nil
			if fresh && n == 0 {
				return 0, io.EOF
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write takes p over; it blocks while too much waits to be sent.
func (s *wsStream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.unsent) > maxUnsent && s.err == nil {
		s.wake.Wait()
	}
	if s.err != nil {
		return 0, s.err
	}
	s.unsent = append(s.unsent, p...)
	s.wake.Broadcast()
	return len(p), nil
}

// send sends what is written, until the end.
func (s *wsStream) send() {
	defer close(s.sent)
	var out []byte
	for {
		s.mu.Lock()
		for len(s.unsent) == 0 && s.err == nil {
			s.wake.Wait()
		}
		ended := len(s.unsent) == 0
		s.unsent, out = out[:0], s.unsent
		s.wake.Broadcast()
		s.mu.Unlock()
		if ended {
			_ = s.ws.Close(websocket.StatusNormalClosure, "")
			return
		}
		if err := s.sendAll(out); err != nil {
			s.fail(err)
			_ = s.ws.CloseNow()
			return
		}
	}
}

func (s *wsStream) sendAll(p []byte) error {
	for len(p) > 0 {
		n := min(len(p), maxMessage)
		if err := s.ws.Write(context.Background(), websocket.MessageBinary, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

func (s *wsStream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.wake.Broadcast()
}

// Close sends what is left, if the other end takes it within a moment, and a
// close frame.
func (s *wsStream) Close() error {
	s.fail(net.ErrClosed)
	abort := time.AfterFunc(time.Second, func() { _ = s.ws.CloseNow() })
	<-s.sent
	abort.Stop()
	return nil
}

func (s *wsStream) LocalAddr() net.Addr  { return s.tcp.LocalAddr() }
func (s *wsStream) RemoteAddr() net.Addr { return s.tcp.RemoteAddr() }

func (s *wsStream) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (s *wsStream) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (s *wsStream) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
