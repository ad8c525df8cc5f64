package conn

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// sshConn is one authenticated SSH connection to a sandbox.
type sshConn struct {
	*ssh.Client
	link *link
}

// lastByte returns when any byte last arrived from the other end, be it a
// pong: the sign of life.
func (c *sshConn) lastByte() time.Time { return c.link.lastByte() }

// bytes returns how many bytes came and went on the wire.
func (c *sshConn) bytes() (in, out int64) { return c.link.in.Load(), c.link.out.Load() }

// dialSSH makes one authenticated SSH connection with one login attempt. ctx
// bounds all of it and none of what comes after: its end closes the connection
// during the dial and never later. About 8 round trips: up to 3 for the
// WebSocket, 1 for the versions, 2 for the key exchange, 2 for the login; the
// provider's API, where one is asked, comes before.
//
// Its errors are *Error with a *DialError in the chain.
func dialSSH(ctx context.Context, o *Options) (*sshConn, error) {
	return newDialer(o).ssh(ctx)
}

// DialStream connects to a sandbox's SSH port and returns the bytes as they
// are, for another SSH client. Each Write goes out at once. It has no
// deadlines; Close may be called at any time.
func DialStream(ctx context.Context, o Options) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	d := newDialer(&o)
	ctx, heard := d.listen(ctx)
	defer heard()
	_, s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	return s.Conn, nil
}

// dialer makes one connection.
type dialer struct {
	o       *Options
	dialTCP func(ctx context.Context, network, addr string) (net.Conn, error)
	link    atomic.Pointer[link] // the latest one
	turn    turn
}

func newDialer(o *Options) *dialer {
	return &dialer{o: o, dialTCP: (&net.Dialer{Control: setSocket, Timeout: silenceToGiveUp}).DialContext}
}

// turn says whose turn it is in a handshake. It is the other end's, but while
// something on this machine is asked: a person for a password, an agent for a
// signature that wants a key to be touched. The zero value is ready to use.
type turn struct {
	mu    sync.Mutex // guards all below; a leaf
	asked int        // questions on this machine that are not answered
	since time.Time  // when the last one was
}

// ours makes it our turn until what it returns is called.
func (t *turn) ours() (over func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.asked--
		t.since = time.Now()
	}
}

// theirs reports whether it has been theirs for as long as an attempt may be
// silent.
func (t *turn) theirs() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked == 0 && time.Since(t.since) > silenceToGiveUp
}

// listen returns a context that ends when the other end owes an answer for too
// long, in whichever step: a dead link says nothing. What it returns beside it
// ends that.
func (d *dialer) listen(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var listening sync.WaitGroup
	listening.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if l := d.link.Load(); l != nil && time.Since(l.lastByte()) > silenceToGiveUp && d.turn.theirs() {
				cancel(errSilent)
			}
		}
	})
	return ctx, func() {
		cancel(nil)
		listening.Wait()
	}
}

// tcp dials a TCP connection.
func (d *dialer) tcp(ctx context.Context, addr string) (*link, error) {
	c, err := d.dialTCP(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	l := newLink(c)
	d.link.Store(l)
	return l, nil
}

// stream is a byte stream to an SSH port, with the TCP connection it is on.
type stream struct {
	net.Conn
	link *link
}

// stream asks the provider for the endpoint and connects to it.
func (d *dialer) stream(ctx context.Context) (sandbox.Endpoint, *stream, error) {
	e, err := d.o.Provider.Endpoint(ctx)
	if err != nil {
		return e, nil, providerFailed(ctx, err)
	}
	s, err := d.connect(ctx, e)
	if errors.Is(err, SandboxNotFound) {
		err = d.lookAgain(ctx, err)
	}
	return e, s, err
}

func (d *dialer) connect(ctx context.Context, e sandbox.Endpoint) (*stream, error) {
	switch e.URL.Scheme {
	case "ws", "wss":
		ws, err := d.webSocket(ctx, e)
		if err != nil {
			return nil, err
		}
		return &stream{Conn: ws, link: ws.link}, nil
	case "ssh":
		l, err := d.tcp(ctx, e.URL.Host)
		if err != nil {
			return nil, networkFailed(ctx, err)
		}
		return &stream{Conn: l, link: l}, nil
	}
	return nil, dialFailed(NotConnected, BadEndpoint, errors.New("a scheme that is not ws, wss or ssh"))
}

// lookAgain asks the provider what "not found" means: the edge proxy says it
// of a paused sandbox, too.
func (d *dialer) lookAgain(ctx context.Context, notFound error) error {
	state, err := d.o.Provider.State(ctx)
	switch {
	case err != nil:
		return notFound
	case state == sandbox.Paused:
		return dialFailed(NotConnected, SandboxPaused, nil)
	case state == sandbox.Gone:
		return dialFailed(Gone, SandboxNotFound, nil)
	}
	return notFound
}
