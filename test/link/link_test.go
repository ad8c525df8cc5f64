package link

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server accepts connections and hands each to serve in a goroutine of its own.
func server(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				serve(conn.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return listener.Addr().String()
}

func echo(conn *net.TCPConn) {
	io.Copy(conn, conn)
	conn.CloseWrite()
}

func start(t testing.TB, o Options) *Link {
	t.Helper()
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial connects through the link. No step of a test may take longer than the
// connection's deadline.
func dial(t testing.TB, l *Link) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn.(*net.TCPConn)
}

// ask sends a byte and waits for its echo.
func ask(t testing.TB, conn *net.TCPConn) time.Duration {
	t.Helper()
	began := time.Now()
	var b [1]byte
	if _, err := conn.Write(b[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestBytesArriveInOrder(t *testing.T) {
	for _, o := range []Options{{}, {RTT: 10 * time.Millisecond}, {RTT: 4 * time.Millisecond, Rate: 400e6}} {
		o.Target = server(t, echo)
		l := start(t, o)
		conn := dial(t, l)
		data := make([]byte, 8<<20)
		rand.NewChaCha8([32]byte{1}).Read(data)

		var sending sync.WaitGroup
		sending.Go(func() {
			for rest := data; len(rest) > 0; { // pieces of all sizes
				n := min(1+rand.IntN(300_000), len(rest))
				conn.Write(rest[:n])
				rest = rest[n:]
			}
			conn.CloseWrite()
		})
		got, err := io.ReadAll(conn)
		sending.Wait()
		if err != nil || sha256.Sum256(got) != sha256.Sum256(data) {
			t.Errorf("%+v: %d of %d bytes came back, or not the same: %v", o, len(got), len(data), err)
		}
		if s := l.Stats(); s.Up != int64(len(data)) || s.Down != int64(len(data)) || s.Conns != 1 {
			t.Errorf("%+v: counted %+v", o, s)
		}
	}
}

// soonest is the shortest of a few tries: other programs make a machine late,
// nothing makes it early.
func soonest(try func() time.Duration) time.Duration {
	best := try()
	for range 7 {
		best = min(best, try())
	}
	return best
}

func TestDelay(t *testing.T) {
	const rtt = 30 * time.Millisecond
	l := start(t, Options{Target: server(t, echo), RTT: rtt})
	first := func() time.Duration {
		began := time.Now() // the link's clock starts at the accept, which may be before the dial's end
		ask(t, dial(t, l))
		return time.Since(began)
	}
	if d := soonest(first); d < 2*rtt || d > 3*rtt {
		t.Errorf("first answer after %v, want 2 round trips of %v: one is the handshake's", d, rtt)
	}
	conn := dial(t, l)
	ask(t, conn)
	if d := soonest(func() time.Duration { return ask(t, conn) }); d < rtt || d > rtt+rtt/3 {
		t.Errorf("answer after %v, want %v", d, rtt)
	}
	l.Set(0, 0)
	if d := soonest(func() time.Duration { return ask(t, conn) }); d > rtt/3 {
		t.Errorf("answer after %v without delay", d)
	}
}

func TestServerSpeaksFirst(t *testing.T) {
	const rtt = 30 * time.Millisecond
	l := start(t, Options{RTT: rtt, Target: server(t, func(c *net.TCPConn) { c.Write([]byte("hello")) })})
	d := soonest(func() time.Duration {
		began := time.Now()
		if got, err := io.ReadAll(dial(t, l)); string(got) != "hello" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		return time.Since(began)
	})
	if d < 2*rtt-rtt/6 || d > 3*rtt {
		t.Errorf("the greeting comes after %v, want 2 round trips of %v", d, rtt)
	}
}

func TestRate(t *testing.T) {
	const size = 2 << 20
	l := start(t, Options{Target: server(t, func(c *net.TCPConn) {
		io.Copy(io.Discard, c)
		c.Write([]byte{1})
	}), Rate: 80e6})
	d := soonest(func() time.Duration {
		began := time.Now()
		var sending sync.WaitGroup
		for range 2 { // share the wire
			conn := dial(t, l)
			sending.Go(func() {
				conn.Write(make([]byte, size/2))
				conn.CloseWrite()
				io.ReadAll(conn)
			})
		}
		sending.Wait()
		return time.Since(began)
	})
	want := time.Duration(float64(size) * 8 / 80e6 * float64(time.Second))
	if d < want*95/100 || d > want*130/100 {
		t.Errorf("%d bytes took %v, want %v", size, d, want)
	}
}

func TestRoundTripsAreCountedByCausality(t *testing.T) {
	l := start(t, Options{Target: server(t, echo), RTT: 60 * time.Millisecond})
	conn := dial(t, l)
	ask(t, conn)
	if n := l.Stats().RoundTrips; n != 2 {
		t.Errorf("handshake and one question: %d round trips, want 2", n)
	}
	before := l.Stats()
	for range 3 {
		ask(t, conn)
	}
	if n := l.Stats().Sub(before).RoundTrips; n != 3 {
		t.Errorf("three questions one after the other: %d round trips", n)
	}
	before = l.Stats()
	for range 10 {
		conn.Write(make([]byte, 100))
	}
	io.ReadFull(conn, make([]byte, 1000))
	if n := l.Stats().Sub(before).RoundTrips; n != 1 {
		t.Errorf("ten questions at once: %d round trips, want 1", n)
	}
}

func TestCut(t *testing.T) {
	ended := make(chan error, 2)
	l := start(t, Options{Target: server(t, func(c *net.TCPConn) {
		_, err := io.Copy(c, c)
		ended <- err
	})})
	conn := dial(t, l)
	ask(t, conn)
	l.Cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client sees %v, want a reset", err)
	}
	if err := <-ended; !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the server sees %v, want a reset", err)
	}
	ask(t, dial(t, l))
}

func TestBlackhole(t *testing.T) {
	l := start(t, Options{Target: server(t, echo)})
	conn := dial(t, l)
	ask(t, conn)
	l.Blackhole(true)
	conn.Write([]byte("late"))
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes came through, %v", n, err)
	}
	l.Blackhole(false)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "late" {
		t.Errorf("after the outage: %q, %v", got, err)
	}
}

func TestStrand(t *testing.T) {
	l := start(t, Options{Target: server(t, echo)})
	conn := dial(t, l)
	ask(t, conn)
	l.Strand()
	conn.Write([]byte{1})
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a stranded connection gives %v", err)
	}
	ask(t, dial(t, l))
}

func TestAfter(t *testing.T) {
	payload := bytes.Repeat([]byte("0123456789"), 100)
	target := server(t, func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 1)) // a reset must not hit the client's connect
		c.Write(payload)
		io.Copy(io.Discard, c)
	})
	for _, test := range []struct {
		fault Fault
		want  error
	}{{HalfClose, nil}, {Reset, syscall.ECONNRESET}, {Stop, os.ErrDeadlineExceeded}} {
		l := start(t, Options{Target: target})
		l.After(Down, 123, test.fault)
		conn := dial(t, l)
		conn.Write([]byte{1})
		if test.fault == Stop {
			conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		}
		got, err := io.ReadAll(conn)
		if !errors.Is(err, test.want) {
			t.Errorf("fault %d: %v, want %v", test.fault, err, test.want)
		}
		// A reset may overtake what the socket still held.
		if len(got) > 123 || test.fault != Reset && len(got) != 123 || !bytes.Equal(got, payload[:len(got)]) {
			t.Errorf("fault %d: %d bytes passed, want 123", test.fault, len(got))
		}
	}
}

func TestRefusedTarget(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()
	conn, err := net.Dial("tcp", start(t, Options{Target: addr}).Addr())
	if err == nil {
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a refused target shows as %v, want a reset", err)
	}
	if _, err := New(Options{Target: "no port"}); err == nil {
		t.Error("a target without a port is taken")
	}
}

func TestCloseEndsAllThatWaits(t *testing.T) {
	for _, prepare := range []func(*Link){
		func(*Link) {},
		func(l *Link) { l.Blackhole(true) },
		func(l *Link) { l.Strand() },
		func(l *Link) { l.Set(time.Hour, 0) },
		func(l *Link) { l.Set(0, 1000) },
	} {
		l := start(t, Options{Target: server(t, echo)})
		conn := dial(t, l)
		ask(t, conn)
		prepare(l)
		conn.Write(make([]byte, 1<<20))
		began := time.Now()
		l.Close()
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("Close took %v", d)
		}
	}
}

func TestCutOne(t *testing.T) {
	l := start(t, Options{Target: server(t, echo)})
	var conns []*net.TCPConn
	for range 3 {
		conns = append(conns, dial(t, l))
		ask(t, conns[len(conns)-1])
	}
	if !l.CutOne(0) || !l.CutOne(-1) || l.CutOne(7) || l.CutOne(-8) {
		t.Error("there are the first and the last, and no others")
	}
	for _, i := range []int{0, 2} {
		if _, err := conns[i].Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("number %d sees %v", i, err)
		}
	}
	ask(t, conns[1])
}
