package conn

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// defaultUser is the login user of E2B's sandboxes.
const defaultUser = "user"

// dialLimit bounds a dial whose context does not: sshd's LoginGraceTime, which
// leaves a person time to answer a question.
const dialLimit = 2 * time.Minute

// ssh connects and logs in.
func (d *dialer) ssh(ctx context.Context) (*sshConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	ctx, heard := d.listen(ctx)
	defer heard()
	e, s, err := d.stream(ctx)
	if err != nil {
		return nil, err
	}
	h := &handshake{o: d.o, turn: &d.turn, endpoint: e, greeting: &greeting{Conn: s.Conn}}
	stop := context.AfterFunc(ctx, func() { _ = s.link.Close() })
	client, err := h.run(ctx)
	if !stop() && err == nil {
		_ = client.Close()
		err = ended(ctx)
	}
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return &sshConn{Client: client, link: s.link}, nil
}

// handshake is the SSH handshake of one connection, and how far it came.
type handshake struct {
	o        *Options
	turn     *turn
	endpoint sandbox.Endpoint
	greeting *greeting
	hostKey  error // why the host key was refused
	keyed    bool  // the host key was accepted: what fails now is the login
}

// run exchanges keys and logs in. It owns the connection and closes it when it
// fails.
func (h *handshake) run(ctx context.Context) (*ssh.Client, error) {
	checker, err := newHostKeyChecker(h.o.HostKeys, h.endpoint.HostKeyName)
	if err != nil {
		return nil, err
	}
	auth, err := newLogin(ctx, h.o, h.turn)
	if err != nil {
		return nil, err
	}
	defer auth.close()
	config := &ssh.ClientConfig{
		Config:            sshAlgorithms(),
		User:              h.user(),
		Auth:              auth.methods(),
		HostKeyAlgorithms: checker.algorithms(),
		ClientVersion:     "SSH-2.0-sbxmount",
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			h.hostKey = checker.check(ctx, key)
			h.keyed = h.hostKey == nil
			return h.hostKey
		},
	}
	wire := newCoalescer(h.greeting)
	c, channels, requests, err := ssh.NewClientConn(wire, checker.address(), config)
	if err != nil {
		_ = wire.Close()
		return nil, h.failed(ctx, err)
	}
	return ssh.NewClient(c, channels, requests), nil
}

func (h *handshake) user() string {
	switch {
	case h.o.User != "":
		return h.o.User
	case h.endpoint.User != "":
		return h.endpoint.User
	}
	return defaultUser
}

// sshAlgorithms is what x/crypto holds for secure, less SHA-1. Its order puts
// aes128-gcm first, the fastest with AES instructions.
func sshAlgorithms() ssh.Config {
	a := ssh.SupportedAlgorithms()
	return ssh.Config{
		KeyExchanges: a.KeyExchanges,
		Ciphers:      a.Ciphers,
		MACs:         slices.DeleteFunc(a.MACs, func(mac string) bool { return mac == ssh.HMACSHA1 }),
	}
}

// failed makes the error of a handshake that failed with err.
func (h *handshake) failed(ctx context.Context, err error) error {
	var negotiation *ssh.AlgorithmNegotiationError
	switch {
	case h.hostKey != nil:
		return h.hostKey
	case ctx.Err() != nil:
		return ended(ctx)
	case errors.As(err, &negotiation):
		return dialFailed(NotConnected, BadEndpoint, errors.New("the SSH server offers weak algorithms only"))
	case h.keyed && isLoginFailure(err):
		h.o.Auth.answers.forget()
		return dialFailed(NotConnected, AuthFailed, loginCause(err))
	case !h.keyed:
		return h.greetingFailed(ctx, err)
	}
	return networkFailed(ctx, err)
}

// isLoginFailure tells a refusal from a broken connection. x/crypto has no
// type for it, nor for the disconnect that OpenSSH ends too many tries with.
func isLoginFailure(err error) bool {
	text := err.Error()
	return strings.Contains(text, "unable to authenticate") || strings.Contains(text, "disconnect") ||
		strings.Contains(text, "too many authentication attempts") || strings.Contains(text, noCommonSignature) ||
		errors.Is(err, errPrompt)
}

// noCommonSignature is x/crypto's word for a server that takes RSA keys with
// SHA-1 alone.
const noCommonSignature = "no common public key signature algorithm"

// loginCause says which methods were tried.
func loginCause(err error) error {
	text := err.Error()
	if _, methods, ok := strings.Cut(text, "attempted methods ["); ok {
		methods, _, _ = strings.Cut(methods, "]")
		return errors.New("tried " + strings.ReplaceAll(methods, " ", ", "))
	}
	if errors.Is(err, errPrompt) {
		return errPrompt
	}
	if strings.Contains(text, noCommonSignature) {
		return errors.New("the server takes RSA keys with SHA-1 alone, which is off: use an ed25519 key")
	}
	return errors.New("the server ended it: too many keys in the agent, or too many failed logins")
}

// greetingFailed makes the error of a connection that ended before the host
// key was seen, by what the server sent first.
func (h *handshake) greetingFailed(ctx context.Context, err error) error {
	said := h.greeting.text()
	switch {
	case strings.Contains(said, "MaxStartups"), strings.Contains(said, "Not allowed at this time"):
		return dialFailed(NotConnected, TooMany, errors.New("sshd turns connections away for now"))
	case strings.Contains(said, "SSH-"):
		return networkFailed(ctx, err)
	case said != "":
		return dialFailed(NotConnected, BadEndpoint, errors.New("what answers is not an SSH server"))
	case errors.Is(err, io.EOF):
		return dialFailed(NotConnected, PortClosed, errors.New("the connection was closed before a greeting came")).
			advised("Look whether sshd runs in the sandbox: the bridge answers, nothing behind it does. " + adviceText[PortClosed])
	}
	return networkFailed(ctx, err)
}

// maxGreeting is enough for sshd's reasons to turn a client away.
const maxGreeting = 512

// greeting keeps the first bytes that a server sends: SSH allows lines before
// the version, and sshd says there why it hangs up.
type greeting struct {
	net.Conn

	mu    sync.Mutex // guards first: a handshake that failed may still be reading
	first []byte
}

func (g *greeting) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	g.mu.Lock()
	if room := maxGreeting - len(g.first); room > 0 {
		g.first = append(g.first, p[:min(n, room)]...)
	}
	g.mu.Unlock()
	return n, err
}

func (g *greeting) text() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return string(g.first)
}
