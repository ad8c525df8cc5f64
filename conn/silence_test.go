package conn

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// noticed is within what time a dead link has to be noticed, in each state.
const noticed = 20 * time.Second

// muteConn says nothing any more after some bytes were written to it, and
// nobody is told.
type muteConn struct {
	net.Conn
	left int
}

func (c *muteConn) Write(p []byte) (int, error) {
	n := min(len(p), max(c.left, 0))
	c.left -= len(p)
	if n > 0 {
		if m, err := c.Conn.Write(p[:n]); err != nil {
			return m, err
		}
	}
	return len(p), nil
}

// A link that falls silent anywhere in an SSH handshake is noticed, though it
// lives for whoever only writes.
func TestSilenceAnywhereInTheHandshake(t *testing.T) {
	o := optionsFor(t, "ssh://sandbox:22")
	whole := false
	for left := 0; !whole && left < 10_000; left += 150 {
		o.HostKeys.Mode = HostKeyOff
		synctest.Test(t, func(t *testing.T) {
			s, d := newSSHServer(t), newDialer(o)
			var serving sync.WaitGroup
			d.dialTCP = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				serving.Go(func() { s.serve(&muteConn{theirs, left}) })
				return ours, nil
			}
			began := time.Now()
			c, err := d.ssh(t.Context())
			if err == nil {
				whole = true
				_ = c.Close()
			} else if !errors.Is(err, errSilent) || KindOf(err) != NotConnected {
				t.Errorf("after %d bytes: %v", left, err)
			}
			if took := time.Since(began); took > noticed {
				t.Errorf("after %d bytes: noticed after %v", left, took)
			}
			serving.Wait()
		})
	}
	if !whole {
		t.Error("no handshake ever went through")
	}
}

// The same while TLS and the WebSocket are made.
func TestSilenceBeforeTheUpgrade(t *testing.T) {
	for _, url := range []string{"wss://sandbox/", "ws://127.0.0.1/"} {
		o := optionsFor(t, url)
		synctest.Test(t, func(t *testing.T) {
			d := newDialer(o)
			d.dialTCP = func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, theirs) }()
				return ours, nil
			}
			began := time.Now()
			_, err := d.ssh(t.Context())
			if took := time.Since(began); !errors.Is(err, errSilent) || took > noticed {
				t.Errorf("%s: after %v: %v", url, took, err)
			}
		})
	}
}

// A person may take their time to type a password.
func TestPromptIsNoSilence(t *testing.T) {
	o := optionsFor(t, "ssh://sandbox:22")
	o.Auth.Prompt = func(context.Context, string) (string, error) {
		time.Sleep(time.Minute)
		return "secret", nil
	}
	o.Auth.answers = newAnswers()
	synctest.Test(t, func(t *testing.T) {
		s, d := newSSHServer(t), newDialer(o)
		s.config.NoClientAuth = false
		s.config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			if string(p) != "secret" {
				return nil, errTest
			}
			return nil, nil
		}
		var serving sync.WaitGroup
		d.dialTCP = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			serving.Go(func() { s.serve(theirs) })
			return ours, nil
		}
		c, err := d.ssh(t.Context())
		if err != nil {
			t.Error(err)
		} else {
			_ = c.Close()
		}
		serving.Wait()
	})
}

// radio is a link to a server in memory: connections that may fall silent, in a
// bubble of synthetic time.
type radio struct {
	rtt time.Duration

	mu     sync.Mutex // guards all below
	mute   bool       // nothing arrives any more, on present connections
	dumb   bool       // nor on new ones
	refuse error      // of dials
	dials  int
	open   []*radioTransport
}

func (r *radio) dial(ctx context.Context) (transport, error) {
	r.mu.Lock()
	r.dials++
	refuse, dumb := r.refuse, r.dumb
	r.mu.Unlock()
	if dumb {
		<-ctx.Done()
		return nil, ended(ctx)
	}
	time.Sleep(10 * r.rtt)
	if refuse != nil {
		return nil, refuse
	}
	t := &radioTransport{radio: r, over: make(chan struct{})}
	t.heard()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = append(r.open, t)
	return t, nil
}

func (r *radio) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *radio) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dials
}

// strand has all present connections hear nothing any more.
func (r *radio) strand() {
	r.set(func() {
		for _, t := range r.open {
			t.stranded.Store(true)
		}
	})
}

// drop resets them.
func (r *radio) drop() {
	r.mu.Lock()
	open := r.open
	r.open = nil
	r.mu.Unlock()
	for _, t := range open {
		_ = t.close()
	}
}

type radioTransport struct {
	radio    *radio
	stranded atomic.Bool
	once     sync.Once
	over     chan struct{}
	last     atomic.Int64
	pings    atomic.Int64
}

func (t *radioTransport) heard() { t.last.Store(time.Now().UnixNano()) }

// answer waits for a round trip, or for ever.
func (t *radioTransport) answer(ctx context.Context) error {
	arrives := time.After(t.radio.rtt)
	for {
		select {
		case <-t.over:
			return errCut
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-arrives:
			if !t.stranded.Load() {
				t.heard()
				return nil
			}
		}
	}
}

func (t *radioTransport) openChannel(ctx context.Context) (io.ReadWriteCloser, error) {
	ours, _ := net.Pipe()
	return &radioChannel{Conn: ours, t: t}, t.answer(ctx)
}

func (t *radioTransport) ping(ctx context.Context) error {
	t.pings.Add(1)
	return t.answer(ctx)
}

func (t *radioTransport) run(ctx context.Context, _ string) (string, error) {
	return "", t.answer(ctx)
}

func (t *radioTransport) refusesSFTP(context.Context) bool { return false }
func (t *radioTransport) lastByte() time.Time              { return time.Unix(0, t.last.Load()) }
func (t *radioTransport) bytes() (in, out int64)           { return 0, 0 }
func (t *radioTransport) wait() error                      { <-t.over; return errCut }

func (t *radioTransport) close() error {
	t.once.Do(func() { close(t.over) })
	return nil
}

type radioChannel struct {
	net.Conn
	t *radioTransport
}

// radioSession answers each request after a round trip: every name is a file.
type radioSession struct {
	t      *radioTransport
	ctx    context.Context
	cancel context.CancelFunc
	over   chan struct{}
	once   sync.Once
	asking sync.WaitGroup
}

func openRadio(ctx context.Context, channel io.ReadWriteCloser, known *features) (session, error) {
	t := channel.(*radioChannel).t
	if known == nil {
		if err := t.answer(ctx); err != nil {
			return nil, err
		}
	}
	s := &radioSession{t: t, over: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	go func() {
		<-t.over
		_ = s.close()
	}()
	return s, nil
}

func (s *radioSession) start(r *request) {
	s.asking.Go(func() {
		if err := s.t.answer(s.ctx); err != nil {
			r.err = &lostError{sent: true, cause: &Error{Op: "connection", Kind: NotConnected}}
		} else {
			r.attr, r.text, r.opened = Attr{Mode: TypeRegular | 0o644, UID: 7}, "/home", "h"
		}
		r.done(r)
	})
}

func (s *radioSession) withdraw(*request) bool { return false }
func (s *radioSession) features() features     { return features{maxRead: 1000, maxWrite: 1000} }
func (s *radioSession) ended() <-chan struct{} { return s.over }
func (s *radioSession) cause() error {
	return &lostError{sent: true, cause: &Error{Op: "connection", Kind: NotConnected}}
}

func (s *radioSession) close() error {
	s.cancel()
	s.asking.Wait()
	s.once.Do(func() { close(s.over) })
	return nil
}

// onRadio runs f with a Client of a radio in a bubble.
func onRadio(t *testing.T, o Options, f func(t *testing.T, r *radio, c *Client)) {
	synctest.Test(t, func(t *testing.T) {
		playRadio(t, o, f)
	})
}

// playRadio is onRadio within a bubble.
func playRadio(t *testing.T, o Options, f func(t *testing.T, r *radio, c *Client)) {
	r := &radio{rtt: 20 * time.Millisecond}
	c, err := newClient(t.Context(), o.withDefaults(), r.dial, openRadio)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // what is opened behind the scenes is open
	f(t, r, c)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.Close(ctx)
}

// awaitState waits until the state is entered and returns how long that took.
func awaitState(t *testing.T, c *Client, want func(Status) bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !want(c.Status()) {
		if time.Since(began) > 10*time.Minute {
			t.Fatalf("does not come: %+v", c.Status())
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(began)
}

func generation(n int) func(Status) bool {
	return func(s Status) bool { return s.State == StateUp && s.Generation == n }
}

// A dead link that serves is noticed, idle or at work.
func TestSilenceWhileUp(t *testing.T) {
	for _, busy := range []bool{false, true} {
		onRadio(t, Options{}, func(t *testing.T, r *radio, c *Client) {
			time.Sleep(3700 * time.Millisecond) // between two looks
			r.strand()
			if busy {
				c.Lstat("/x")
			}
			if took := awaitState(t, c, generation(2)); took > noticed+time.Second {
				t.Errorf("busy %v: another connection after %v", busy, took)
			}
		})
	}
}

// One that falls silent while a session is made is noticed, too: the attempt
// ends and the next one serves.
func TestSilenceInTheSession(t *testing.T) {
	for after := range 4 { // round trips: before the channel, SFTP's handshake, the home directory, …
		onRadio(t, Options{}, func(t *testing.T, r *radio, c *Client) {
			r.drop()
			call := c.Lstat("/x")
			time.Sleep(time.Duration(10*int(r.rtt) + after*int(r.rtt) + int(r.rtt)/2))
			r.strand()
			began := time.Now()
			if _, err := call.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > noticed+2*time.Second {
				t.Errorf("after %d round trips: answered after %v", after, took)
			}
		})
	}
}

// After a change of network an answer to a short question is due; a live link
// gives it and stays.
func TestNetworkChangesWhileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan struct{})
		playRadio(t, Options{NetworkChanges: changes}, func(t *testing.T, r *radio, c *Client) {
			for range 5 {
				changes <- struct{}{}
				time.Sleep(time.Second)
			}
			if s := c.Status(); s.Generation != 1 || s.State != StateUp {
				t.Errorf("a live link was given up: %+v", s)
			}
			r.strand()
			changes <- struct{}{}
			if took := awaitState(t, c, generation(2)); took > 3*time.Second {
				t.Errorf("another connection after %v", took)
			}
		})
	})
}

// While down an attempt is made at once, whatever the back-off says; one that
// is under way and goes nowhere is left for it. A login that was refused is not
// tried again because of it.
func TestNetworkChangesWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changes := make(chan struct{})
		playRadio(t, Options{NetworkChanges: changes, Timeout: -1}, func(t *testing.T, r *radio, c *Client) {
			r.set(func() { r.refuse = dialFailed(NotConnected, Network, nil) })
			r.drop()
			c.Lstat("/x")
			time.Sleep(2 * time.Minute) // pauses are 15 s by now, less jitter
			awaitState(t, c, func(s Status) bool { return s.State == StateConnecting })
			awaitState(t, c, func(s Status) bool { return s.State == StateDown })
			r.set(func() { r.refuse = nil })
			changes <- struct{}{}
			if took := awaitState(t, c, generation(2)); took > time.Second {
				t.Errorf("connected after %v", took)
			}

			r.set(func() { r.dumb = true })
			r.drop()
			c.Lstat("/x")
			time.Sleep(6 * time.Second)
			r.set(func() { r.dumb = false })
			changes <- struct{}{}
			if took := awaitState(t, c, generation(3)); took > 3*time.Second {
				t.Errorf("an attempt that hears nothing was left after %v", took)
			}

			r.set(func() { r.refuse = dialFailed(NotConnected, AuthFailed, nil) })
			r.drop()
			before := r.count()
			for range 10 {
				c.Lstat("/x")
				changes <- struct{}{}
				time.Sleep(time.Second)
			}
			if n := r.count() - before; n > 1 {
				t.Errorf("%d logins within 10 s of a refusal", n)
			}
		})
	})
}

// A machine that slept, its wall clock ahead of the monotonic one, looks at the
// link when it wakes; a wall clock that is set hurts nothing.
func TestWake(t *testing.T) {
	var ahead atomic.Int64
	wall := func() time.Time { return time.Now().Round(0).Add(time.Duration(ahead.Load())) }
	onRadio(t, Options{wall: wall, Timeout: -1}, func(t *testing.T, r *radio, c *Client) {
		ahead.Add(int64(time.Hour)) // set forward
		time.Sleep(2 * time.Second)
		ahead.Add(int64(-3 * time.Hour)) // and back
		time.Sleep(2 * time.Second)
		if s := c.Status(); s.Generation != 1 || s.State != StateUp {
			t.Errorf("a clock that was set cost the connection: %+v", s)
		}
		r.strand()
		ahead.Add(int64(time.Minute))
		if took := awaitState(t, c, generation(2)); took > wakeToEnd+2*time.Second {
			t.Errorf("another connection after %v", took)
		}
		r.set(func() { r.refuse = dialFailed(NotConnected, Network, nil) })
		r.drop()
		c.Lstat("/x")
		time.Sleep(2 * time.Minute)
		awaitState(t, c, func(s Status) bool { return s.State == StateConnecting })
		awaitState(t, c, func(s Status) bool { return s.State == StateDown })
		r.set(func() { r.refuse = nil })
		ahead.Add(int64(8 * time.Hour))
		if took := awaitState(t, c, generation(3)); took > 2500*time.Millisecond {
			t.Errorf("connected after %v", took)
		}
	})
}
