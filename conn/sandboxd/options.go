package sandboxd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Options say what is served and how. The zero value of all but Dir will do.
type Options struct {
	Dir  string // the directory that clients see as "/"
	Home string // the login user's home in it, absolute; default "/"
	Addr string // where to listen; default 127.0.0.1:0; loopback only

	// ID is the sandbox's; default random, of the provider's form.
	ID string
	// Token is what a WebSocket's upgrade must carry; default random. Public
	// asks for none, as a sandbox with public traffic.
	Token  string
	Public bool
	APIKey string // what the HTTP API asks for; default random
	Others int    // sandboxes that the API lists besides this one; they can't be dialled

	User    string // login name; "" takes any
	Auth    Auth
	HostKey string // file with the SSH host key, made if missing; "" makes one in memory

	// Lifetime is how long the sandbox runs before it is killed, or paused
	// with PauseAtEnd; keep-alive extends it. 0 is for ever.
	Lifetime   time.Duration
	PauseAtEnd bool
	AutoResume bool // dialling resumes a paused sandbox

	Umask       uint32 // permission bits that new files do not get, besides the process's own
	MaxSessions int    // channels a connection; default 10, as sshd
	MaxHandles  int    // open handles an SFTP session; default 1000
	Extensions  []string
	NoSFTP      bool // the subsystem is refused, as by an sshd without it

	// SSHAddr is a loopback address that serves SSH without a WebSocket; "" is
	// none.
	SSHAddr string

	// Exec runs what a client sends on an exec channel and returns its exit
	// status; nil refuses exec channels. It may be called by several goroutines
	// at once and has to end when ctx does.
	Exec func(ctx context.Context, e Exec) int

	// Edge, if set, stands in front of the listener's handler, and SFTP between
	// each SFTP session and its channel.
	Edge func(next http.Handler) http.Handler
	SFTP func(channel io.ReadWriteCloser) io.ReadWriteCloser

	Log *slog.Logger
}

// Auth says how a client logs in. The zero value takes the method none and the
// empty password, as a sandbox does whose user has no password.
type Auth struct {
	Password string          // asked for if not empty
	Keys     []ssh.PublicKey // taken if there are any
	NoNone   bool            // no method none: a client has to try the empty password
}

func (a Auth) open() bool { return a.Password == "" && len(a.Keys) == 0 }

// Exec is one command on an exec channel.
type Exec struct {
	Conn    *Conn  // the connection that it came on
	Command string // as sent
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
}

const (
	maxSessions = 10   // sshd's MaxSessions
	maxHandles  = 1000 // about what a limit of 1,024 descriptors leaves
)

// withDefaults fills in what was left out and checks the rest.
func (o Options) withDefaults() (Options, error) {
	if fi, err := os.Stat(o.Dir); err != nil {
		return o, err
	} else if !fi.IsDir() {
		return o, fmt.Errorf("%s is not a directory", o.Dir)
	}
	setDefault(&o.Home, "/")
	setDefault(&o.Addr, "127.0.0.1:0")
	setDefault(&o.ID, "i"+strings.ToLower(rand.Text()[:19]))
	setDefault(&o.Token, rand.Text())
	setDefault(&o.APIKey, "e2b_"+strings.ToLower(rand.Text()))
	if o.MaxSessions == 0 {
		o.MaxSessions = maxSessions
	}
	if o.MaxHandles == 0 {
		o.MaxHandles = maxHandles
	}
	if o.Extensions == nil {
		o.Extensions = allExtensions()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if !path.IsAbs(o.Home) {
		return o, errors.New("the home directory has to be absolute")
	}
	o.Home = path.Clean(o.Home)
	return o, errors.Join(checkLoopback(o.Addr), checkLoopback(o.SSHAddr))
}

func setDefault(s *string, v string) {
	if *s == "" {
		*s = v
	}
}

// checkLoopback refuses addresses that others could reach.
func checkLoopback(addr string) error {
	if addr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("%s is not a loopback address", addr)
	}
	return nil
}
