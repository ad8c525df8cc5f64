package conn

import (
	"context"
	"errors"
	"net"
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
	_, s, err := newDialer(&o).stream(ctx)
	if err != nil {
		return nil, err
	}
	return s.Conn, nil
}

// dialer makes one connection.
type dialer struct {
	o       *Options
	dialTCP func(ctx context.Context, network, addr string) (net.Conn, error)
}

func newDialer(o *Options) *dialer {
	return &dialer{o: o, dialTCP: (&net.Dialer{Control: setSocket}).DialContext}
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
		c, err := d.dialTCP(ctx, "tcp", e.URL.Host)
		if err != nil {
			return nil, networkFailed(ctx, err)
		}
		l := newLink(c)
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
