package conn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// Reason says at which obstacle a dial failed. It is an error itself, so that
// errors.Is(err, conn.PortClosed) works.
type Reason uint8

// The reasons, in the order in which a dial meets them.
const (
	Network         Reason = iota // no answer, or the connection broke: worth another try
	BadEndpoint                   // what is there does not speak WebSocket, or not SSH
	SandboxNotFound               // the provider or its proxy knows no such sandbox
	SandboxPaused                 // it exists and must be resumed first
	Transitioning                 // it is changing between running and paused: worth another try
	Forbidden                     // the provider, its proxy or its traffic token says no
	TooMany                       // too many connections or logins: worth another try, later
	PortClosed                    // the sandbox runs, but nothing listens
	TLS                           // the endpoint's certificate can't be trusted
	HostKeyUnknown                // strict checking, and this host key was never seen
	HostKeyChanged                // it is not the one that was seen before
	AuthFailed                    // the SSH server lets nobody in who knocks as we do
	NoSFTP                        // logged in, but there is no SFTP
)

var reasonText = [...]string{
	Network:         "the connection could not be made",
	BadEndpoint:     "this is no sandbox's endpoint",
	SandboxNotFound: "the sandbox was not found",
	SandboxPaused:   "the sandbox is paused",
	Transitioning:   "the sandbox is changing state",
	Forbidden:       "access was denied",
	TooMany:         "too many connections",
	PortClosed:      "the sandbox's SSH port is not open",
	TLS:             "the endpoint's TLS certificate is not trusted",
	HostKeyUnknown:  "the SSH host key is not known",
	HostKeyChanged:  "the SSH host key has changed",
	AuthFailed:      "the SSH login failed",
	NoSFTP:          "the SSH server has no SFTP",
}

func (r Reason) Error() string { return reasonText[r] }

// DialError says why a dial failed and what a person can do about it. It is in
// the chain of every error that Dial and DialStream return, below an *Error
// with its Kind.
type DialError struct {
	Reason Reason
	Advice string // a sentence or two in the imperative; may name the sandbox's id; "" where there is none
	Err    error  // what lies beneath, or nil; holds no secret and no id
}

func (e *DialError) Error() string {
	if e.Err == nil {
		return e.Reason.Error()
	}
	return e.Reason.Error() + ": " + e.Err.Error()
}

// Unwrap returns what lies beneath.
func (e *DialError) Unwrap() error { return e.Err }

// Is makes a DialError match its Reason.
func (e *DialError) Is(target error) bool {
	r, ok := target.(Reason)
	return ok && r == e.Reason
}

// startBridge is what a template runs so that its SSH port can be reached.
const startBridge = "sudo websocat -b --exit-on-eof ws-l:0.0.0.0:8081 tcp:127.0.0.1:22"

var adviceText = map[Reason]string{
	Network:         "Look at this machine's network, its proxy settings (HTTPS_PROXY, NO_PROXY), and whether the provider is up.",
	BadEndpoint:     "Look at the URL, the port (--port) and the proxy in between.",
	SandboxNotFound: "Look at the id (`e2b sandbox list`). A sandbox that is paused or whose life is over is not found either; with E2B_API_KEY set a paused one is resumed. If it belongs to another team, use that team's key.",
	SandboxPaused:   "Resume it, or set E2B_API_KEY and --resume auto so that it is resumed when it is used.",
	Transitioning:   "Wait some seconds and try again.",
	Forbidden:       "Without the right traffic token the sandbox lets nobody in: give it in SBXMOUNT_TRAFFIC_TOKEN or with --traffic-token; for an id, E2B_API_KEY is enough to fetch it.",
	TooMany:         "Wait a minute and try again; close connections that are not needed.",
	PortClosed:      "The template's start command has to run the bridge: " + startBridge + "; a sandbox that was resumed without its memory needs it started again. Another port is given with --port.",
	TLS:             "A private CA's certificate is given with --ca-file.",
	AuthFailed:      "Give a key with -i, load it into the agent, or check the login user (-u).",
	NoSFTP:          "Install openssh-sftp-server in the sandbox's template and keep `Subsystem sftp` in its sshd_config.",
}

// dialFailed makes the error of a dial.
func dialFailed(kind Kind, reason Reason, err error) *Error {
	return &Error{Op: "connect", Kind: kind, Err: &DialError{Reason: reason, Advice: adviceText[reason], Err: err}}
}

// advised replaces the advice of an error that dialFailed made.
func (e *Error) advised(advice string) *Error {
	e.Err.(*DialError).Advice = advice
	return e
}

// ended makes the error of a dial whose context ended first.
func ended(ctx context.Context) *Error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return dialFailed(TimedOut, Network, errors.New("no answer in time"))
	}
	if cause := context.Cause(ctx); cause == errSilent || cause == errMoved {
		return dialFailed(NotConnected, Network, cause)
	}
	return dialFailed(Interrupted, Network, context.Cause(ctx))
}

// providerFailed makes the error of a provider that does not tell where to
// dial.
func providerFailed(ctx context.Context, err error) *Error {
	var e *sandbox.Error
	if !errors.As(err, &e) || ctx.Err() != nil {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		return dialFailed(NotConnected, Network, err)
	}
	switch e.Reason {
	case sandbox.NotFound:
		return dialFailed(Gone, SandboxNotFound, nil)
	case sandbox.IsPaused:
		return dialFailed(NotConnected, SandboxPaused, nil)
	case sandbox.Refused:
		return dialFailed(NotConnected, Forbidden, err).
			advised("Look at E2B_API_KEY and at ~/.e2b/config.json: is the key of the right team?")
	case sandbox.NoKey:
		return dialFailed(NotConnected, Forbidden, err).
			advised("Set E2B_API_KEY, or log in with `e2b auth login`.")
	case sandbox.Transitioning:
		return dialFailed(NotConnected, Transitioning, nil)
	case sandbox.TooMany:
		return dialFailed(NotConnected, TooMany, nil)
	case sandbox.BadSpec, sandbox.BadAnswer:
		return dialFailed(NotConnected, BadEndpoint, err)
	}
	return dialFailed(NotConnected, Network, err)
}

// networkFailed makes the error of a connection that could not be made or
// broke. It leaves names and addresses out: a sandbox's host name holds its id.
func networkFailed(ctx context.Context, err error) *Error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if isTLS(err) {
		return dialFailed(NotConnected, TLS, plainCause(err))
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return dialFailed(NotConnected, PortClosed, syscall.ECONNREFUSED).
			advised("Nothing listens at that address: look at host and port, and whether the server runs.")
	}
	return dialFailed(NotConnected, Network, plainCause(err))
}

// plainCause returns the part of a network error that names no host.
func plainCause(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var (
		dns       *net.DNSError
		op        *net.OpError
		hostname  x509.HostnameError
		errno     syscall.Errno
		authority x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &dns):
		return errors.New("host name: " + dns.Err)
	case errors.As(err, &hostname):
		return errors.New("the certificate is another host's")
	case errors.As(err, &authority):
		return errors.New("the certificate's authority is not known")
	case errors.As(err, &errno):
		return errno
	case errors.As(err, &op) && op.Err != nil:
		return op.Err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errors.New("the other end closed the connection")
	}
	return err
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert) ||
		strings.Contains(err.Error(), "tls: ")
}

// proxyAnswer is the JSON that E2B's edge proxy answers instead of an upgrade.
type proxyAnswer struct {
	Message string `json:"message"`
	Port    int    `json:"port"`
}

// refused makes the error of an answer that is not an upgrade. body is its
// beginning.
func refused(resp *http.Response, body []byte) *Error {
	var answer proxyAnswer
	known := json.Unmarshal(body, &answer) == nil
	said := errors.New("the answer was HTTP status " + resp.Status[:min(3, len(resp.Status))])
	switch code := resp.StatusCode; {
	case code == http.StatusBadGateway && known && answer.Port != 0,
		code == http.StatusBadGateway && strings.Contains(answer.Message, "port is not open"):
		return dialFailed(NotConnected, PortClosed, nil)
	case (code == http.StatusBadGateway || code == http.StatusNotFound) && strings.Contains(answer.Message, "not found"):
		return dialFailed(NotConnected, SandboxNotFound, nil)
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		return dialFailed(NotConnected, Forbidden, said)
	case code == http.StatusConflict:
		return dialFailed(NotConnected, Transitioning, said)
	case code == http.StatusTooManyRequests:
		return dialFailed(NotConnected, TooMany, said)
	case code == http.StatusProxyAuthRequired:
		return dialFailed(NotConnected, Network, errors.New("the HTTP proxy wants a login"))
	case code >= 500, code == http.StatusRequestTimeout:
		return dialFailed(NotConnected, Network, said)
	}
	return dialFailed(NotConnected, BadEndpoint, errors.New(said.Error()+", no WebSocket"))
}
