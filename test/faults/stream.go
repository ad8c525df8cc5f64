package faults

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// Stream says what becomes of the SSH server's bytes, inside of the WebSocket.
type Stream struct {
	Greeting Greeting

	// CloseOut and CloseIn reset the connection once the server has sent, or
	// the client, so many bytes: at any step of the handshake, amid a packet.
	CloseOut, CloseIn int64

	// SilentAfter lets so many bytes through to the client and no more, while
	// the connection stays.
	SilentAfter int64

	// Drip sends to the client one byte at a time and pauses after each.
	Drip time.Duration

	Skip  int // dials that are let through before
	Times int // dials that meet these; 0: all
}

// Greeting is what the client reads in place of the SSH server's version.
type Greeting string

// The greetings.
const (
	GreetingNone    Greeting = "none"    // not a word
	GreetingEndless Greeting = "endless" // lines of a banner without end
	GreetingLong    Greeting = "long"    // one line without end
	GreetingOld     Greeting = "old"     // SSH-1.5
	GreetingHTTP    Greeting = "http"    // another protocol
)

// Greetings returns all of them.
func Greetings() []Greeting {
	return []Greeting{GreetingNone, GreetingEndless, GreetingLong, GreetingOld, GreetingHTTP}
}

var greetings = map[Greeting][]byte{
	GreetingEndless: bytes.Repeat([]byte("This is no version.\r\n"), 50),
	GreetingLong:    bytes.Repeat([]byte("long"), 250),
	GreetingOld:     []byte("SSH-1.5-OpenSSH_1.2\r\n"),
	GreetingHTTP:    []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
}

// stream is an SSH server's end of a byte stream, with faults.
type stream struct {
	net.Conn
	knobs Stream
	ends  func() // resets the connection

	in   int64 // bytes read; the reader's own
	out  int64 // bytes written; the writer's own
	once sync.Once
	done chan struct{} // closed by Close
}

func (s *stream) Read(p []byte) (int, error) {
	if k := s.knobs.CloseIn; k > 0 {
		if s.in >= k {
			s.ends()
			return 0, net.ErrClosed
		}
		p = p[:min(int64(len(p)), k-s.in)]
	}
	n, err := s.Conn.Read(p)
	s.in += int64(n)
	return n, err
}

func (s *stream) Write(p []byte) (int, error) {
	if s.knobs.Greeting != "" {
		return s.greet(p)
	}
	all := len(p)
	if k := s.knobs.CloseOut; k > 0 && s.out+int64(len(p)) >= k {
		_, _ = s.forward(p[:k-s.out])
		_ = s.Conn.Close() // after what has been written
		return 0, net.ErrClosed
	}
	if k := s.knobs.SilentAfter; k > 0 {
		p = p[:min(int64(len(p)), max(k-s.out, 0))]
	}
	if _, err := s.forward(p); err != nil {
		return 0, err
	}
	return all, nil
}

// forward sends on, drop by drop if so asked.
func (s *stream) forward(p []byte) (int, error) {
	s.out += int64(len(p))
	if s.knobs.Drip == 0 {
		return s.Conn.Write(p)
	}
	for i := range p {
		if _, err := s.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		select {
		case <-time.After(s.knobs.Drip):
		case <-s.done:
			return i, net.ErrClosed
		}
	}
	return len(p), nil
}

// greet sends the greeting in place of whatever the server says.
func (s *stream) greet(p []byte) (int, error) {
	text := greetings[s.knobs.Greeting]
	for s.knobs.Greeting == GreetingEndless || s.knobs.Greeting == GreetingLong {
		if _, err := s.Conn.Write(text); err != nil {
			return 0, err
		}
	}
	if s.out == 0 {
		_, _ = s.Conn.Write(text)
	}
	s.out += int64(len(p))
	return len(p), nil
}

// Reset is what the sandbox does to its connections when it is paused or gone.
func (s *stream) Reset() { s.ends() }

func (s *stream) Close() error {
	s.once.Do(func() { close(s.done) })
	return s.Conn.Close()
}
