package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
)

// countingConn counts the writes that reach TCP.
type countingConn struct {
	net.Conn
	writes *atomic.Int64
}

func (c countingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// countingBridge is a bridge that counts the messages it receives and fails
// the test for empty ones and too large ones.
func countingBridge(t testing.TB, messages *atomic.Int64, handle func(net.Conn)) string {
	return webServer(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		c.SetReadLimit(maxMessage)
		ours, theirs := net.Pipe()
		go func() {
			defer ours.Close()
			for {
				_, m, err := c.Read(context.Background())
				if err != nil {
					if websocket.CloseStatus(err) == websocket.StatusMessageTooBig || errors.Is(err, websocket.ErrMessageTooBig) {
						t.Error("a message is too large")
					}
					return
				}
				if len(m) == 0 {
					t.Error("an empty message")
				}
				messages.Add(1)
				if _, err := ours.Write(m); err != nil {
					return
				}
			}
		}()
		go func() {
			_, _ = io.Copy(messageWriter{c}, ours)
		}()
		handle(theirs)
	})
}

type messageWriter struct{ c *websocket.Conn }

func (w messageWriter) Write(p []byte) (int, error) {
	return len(p), w.c.Write(context.Background(), websocket.MessageBinary, p)
}

// A write of 255 KiB, the largest that sftp-server takes, is 8 SSH packets
// that x/crypto writes in 3 pieces each: 24 messages and some 80 TCP writes
// without coalescing.
func TestLargeWriteIsFewMessages(t *testing.T) {
	var messages, writes atomic.Int64
	o := optionsFor(t, countingBridge(t, &messages, newSSHServer(t).serve))
	d := newDialer(o)
	dial := d.dialTCP
	d.dialTCP = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		return countingConn{c, &writes}, err
	}
	c, err := d.ssh(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const rounds, size = 20, 255 << 10
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.Start("count"); err != nil {
		t.Fatal(err)
	}
	m, w := messages.Load(), writes.Load()
	for range rounds {
		if _, err := in.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	_ = in.Close()
	if got, _ := io.ReadAll(out); string(got) != strconv.Itoa(rounds*size) {
		t.Fatalf("the server counted %q", got)
	}
	m, w = messages.Load()-m, writes.Load()-w
	t.Logf("%.1f messages and %.1f TCP writes for 255 KiB", float64(m)/rounds, float64(w)/rounds)
	if m > 12*rounds {
		t.Errorf("%d messages for %d writes of 255 KiB", m, rounds)
	}
	if w > m+2 {
		t.Errorf("%d TCP writes for %d messages", w, m)
	}
}

// slowConn is a connection whose writes wait to be let through.
type slowConn struct {
	net.Conn
	let    chan struct{}
	closed chan struct{}
	once   sync.Once
	got    [][]byte
}

func newSlowConn() *slowConn {
	return &slowConn{let: make(chan struct{}), closed: make(chan struct{})}
}

func (c *slowConn) Write(p []byte) (int, error) {
	select {
	case <-c.let:
		c.got = append(c.got, bytes.Clone(p))
		return len(p), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *slowConn) Close() error { c.once.Do(func() { close(c.closed) }); return nil }

func TestCoalescerGathersWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlowConn()
		c := newCoalescer(below)
		write := func(n int) { _, _ = c.Write(make([]byte, n)) }
		write(10)
		synctest.Wait() // the first is being sent
		for range 5 {
			write(100)
		}
		write(0)
		below.let <- struct{}{}
		below.let <- struct{}{}
		synctest.Wait()
		if len(below.got) != 2 || len(below.got[0]) != 10 || len(below.got[1]) != 500 {
			t.Fatalf("sent %d messages", len(below.got))
		}
		_ = c.Close()
	})
}

func TestCoalescerBoundsWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlowConn()
		c := newCoalescer(below)
		_, _ = c.Write([]byte("x"))
		synctest.Wait()
		data := make([]byte, 3*maxMessage)
		_, _ = pattern{}.Read(data)
		written := make(chan error, 1)
		go func() { _, err := c.Write(data); written <- err }()
		synctest.Wait()
		select {
		case <-written:
			t.Fatal("a write of 192 KiB did not wait")
		default:
		}
		for range 4 {
			below.let <- struct{}{}
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := bytes.Join(below.got[1:], nil); !bytes.Equal(got, data) {
			t.Fatalf("%d bytes arrived in another order", len(got))
		}
		_ = c.Close()
	})
}

func TestCoalescerCloseEndsWaitingWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCoalescer(newSlowConn())
		failed := make(chan error, 1)
		go func() { _, err := c.Write(make([]byte, 5*maxMessage)); failed <- err }()
		synctest.Wait()
		_ = c.Close()
		if err := <-failed; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a write into a closed connection ended with %v", err)
		}
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a write after Close ended with %v", err)
		}
		_ = c.Close()
	})
}

func TestCoalescerErrorIsSticky(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlowConn()
		c := newCoalescer(below)
		_ = below.Close()
		_, _ = c.Write([]byte("x"))
		synctest.Wait()
		if _, err := c.Write([]byte("y")); err == nil {
			t.Fatal("a write after a failed one succeeded")
		}
		_ = c.Close()
	})
}

// A pong must not wait behind bulk data that the network does not take.
func TestLinkDoesNotBlockSmallWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlowConn()
		l := newLink(below)
		l.cork()
		_, _ = l.Write(make([]byte, maxMessage))
		sent := make(chan error, 1)
		go func() { sent <- l.uncork() }()
		synctest.Wait() // uncork waits for the network
		for range 10 {
			if _, err := l.Write([]byte("pong")); err != nil {
				t.Fatal(err)
			}
		}
		below.let <- struct{}{}
		below.let <- struct{}{}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		if len(below.got) != 2 || string(below.got[1]) != "pongpongpongpongpongpongpongpongpongpong" {
			t.Fatalf("%d TCP writes", len(below.got))
		}
	})
}

// What is held back is bounded even if a peer has us write control frames
// without end.
func TestLinkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := newSlowConn()
		l := newLink(below)
		go func() { _, _ = l.Write([]byte("x")) }()
		synctest.Wait()
		var taken atomic.Int64
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				n, err := l.Write(make([]byte, 1024))
				if err != nil {
					return
				}
				taken.Add(int64(n))
			}
		}()
		synctest.Wait()
		if n := taken.Load(); n > maxHeld+1024 {
			t.Errorf("%d bytes are held back", n)
		}
		_ = below.Close()
		<-done
	})
}

func BenchmarkStream(b *testing.B) {
	for _, way := range []struct{ name, command string }{{"receive", "send"}, {"send", "count"}} {
		b.Run(way.name, func(b *testing.B) {
			c := mustDial(b, optionsFor(b, bridge(b, newSSHServer(b).serve)))
			const size = 64 << 20
			b.SetBytes(size)
			for b.Loop() {
				s, err := c.NewSession()
				if err != nil {
					b.Fatal(err)
				}
				if way.command == "send" {
					s.Stdout = io.Discard
					err = s.Run("send " + strconv.Itoa(size))
				} else {
					s.Stdin = io.LimitReader(pattern{}, size)
					err = s.Run("count")
				}
				if err != nil {
					b.Fatal(err)
				}
				_ = s.Close()
			}
		})
	}
}
