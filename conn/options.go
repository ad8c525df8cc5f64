package conn

import (
	"context"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// Options says which sandbox a Client connects to, and how. The zero value of
// every field but Provider is a good default.
type Options struct {
	Provider sandbox.Provider // where to dial; asked anew for every connection
	User     string           // login user; "": the endpoint's, else "user"
	Auth     AuthOptions
	HostKeys HostKeyOptions
	TLS      *tls.Config // nil: the system's roots; at least TLS 1.2 in any case
	Insecure bool        // ws:// to another host than this one is allowed

	// Timeout bounds how long an operation waits for a link that is down
	// before it ends with TimedOut or NotConnected. 0 is for DefaultTimeout,
	// negative for ever.
	Timeout time.Duration

	// Resume lets an operation on a file's content wake a paused sandbox.
	Resume bool

	SFTP     string // "own" or "": the pipelined client; "pkg": that of pkg/sftp
	MaxConns int    // connections, 1 to 4; 0: 4
	MaxLanes int    // channels of one connection, 1 to 10; 0: 8 of the 10 that sshd allows
	Log      *slog.Logger

	MaxPause time.Duration // longest pause between attempts to connect, twice that where they can hardly help; 0: 15 s

	// NetworkChanges tells that this machine's network has changed, as
	// WatchNetwork does: the link is then looked at, or made again, at once. It
	// may be closed. nil: nobody tells.
	NetworkChanges <-chan struct{}

	wall func() time.Time // the clock on the wall; nil: the machine's
}

// DefaultTimeout is long enough for a laptop to wake and find a network.
const DefaultTimeout = 60 * time.Second

// AuthOptions says how to log in.
type AuthOptions struct {
	Identities []string // private key files, or public ones of keys in the agent
	Agent      bool     // ask the agent of SSH_AUTH_SOCK
	// Prompt asks a person and returns the answer; nil where there is none.
	Prompt func(ctx context.Context, question string) (string, error)

	answers *answers // to earlier questions, for reconnects
}

// HostKeyMode says what becomes of a host key that is not known.
type HostKeyMode string

// The modes. A key that contradicts a known one is refused in each but
// HostKeyOff.
const (
	HostKeyAcceptNew HostKeyMode = "accept-new" // it is trusted and kept; also what "" means
	HostKeyStrict    HostKeyMode = "strict"     // it is refused
	HostKeyOff       HostKeyMode = "off"        // nothing is looked at
)

// HostKeyOptions says which host keys are trusted.
type HostKeyOptions struct {
	Mode HostKeyMode
	File string // known_hosts; "": sbxmount/known_hosts in the user's configuration directory
	Name string // what the key is filed under; "": what the endpoint says
}

// withDefaults returns o with every zero value replaced.
func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.MaxConns <= 0 || o.MaxConns > maxConns {
		o.MaxConns = maxConns
	}
	if o.MaxLanes <= 0 || o.MaxLanes > maxLanes {
		o.MaxLanes = defaultLanes
	}
	if o.Auth.answers == nil {
		o.Auth.answers = newAnswers()
	}
	if o.MaxPause == 0 {
		o.MaxPause = longestPause
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

const (
	maxConns     = 4  // more connections add nothing that two cores can carry
	maxLanes     = 10 // sshd's MaxSessions
	defaultLanes = 8  // leaves room for an exec channel and for the user's own
)
