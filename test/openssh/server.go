package openssh

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sbxmount/sbxmount/test/process"
	"golang.org/x/crypto/ssh"
)

// Bridge is what stands between the client and sshd.
type Bridge int

const (
	None       Bridge = iota // plain TCP: the URL is ssh://
	Own                      // coder/websocket, framing as websocat does
	Websockify               // Debian's websockify
	Websocat                 // a websocat found on PATH
)

var bridgeNames = [...]string{None: "none", Own: "own", Websockify: "websockify", Websocat: "websocat"}

func (b Bridge) String() string { return bridgeNames[b] }

// ParseBridge is the bridge of that name.
func ParseBridge(name string) (Bridge, error) {
	if i := slices.Index(bridgeNames[:], name); i >= 0 {
		return Bridge(i), nil
	}
	return None, fmt.Errorf("no bridge %q, there are %s", name, strings.Join(bridgeNames[:], ", "))
}

// Options of a server. The zero value is sshd's defaults without a bridge.
type Options struct {
	Bridge   Bridge
	Dir      string   // Server.Dir; "": a fresh one, removed by Close
	Internal bool     // internal-sftp instead of the sftp-server program
	NoSFTP   bool     // no SFTP subsystem at all
	SFTPArgs []string // arguments of the SFTP server: -R, -u umask, -P denied requests …

	MaxSessions int      // channels a connection; 0: sshd's 10
	MaxStartups string   // "": sshd's 10:30:100
	Config      []string // further lines of sshd_config; they come first, and in sshd the first one wins
}

// Server is a running sshd with its bridge.
type Server struct {
	URL        string // what to mount: ws://127.0.0.1:port/ or ssh://user@127.0.0.1:port
	Addr       string // the same as host:port: the bridge, or sshd without one; a link's target
	SSHAddr    string // sshd itself
	User       string // the current user, who logs in
	Identity   string // file with the private key
	KnownHosts string // file with the host key, for every name
	Dir        string // where a test works; anything on the machine is reachable, too

	options Options
	temp    string // keys, configuration
	sshd    string // programs' absolute paths
	sftp    string
	bridge  interface{ Close() error }

	mu     sync.Mutex
	daemon *process.Process // guarded by mu
	host   ssh.PublicKey    // guarded by mu
}

// New starts a server. It returns when clients can connect.
func New(o Options) (*Server, error) {
	temp, err := os.MkdirTemp("", "openssh-")
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, temp: temp, Dir: o.Dir}
	if err := s.start(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) start() error {
	for _, step := range []func() error{s.find, s.prepare, s.newHostKey, s.listen, s.startBridge} {
		if err := step(); err != nil {
			return fmt.Errorf("openssh: %w", err)
		}
	}
	return nil
}

// prepare makes the directories and the user's key.
func (s *Server) prepare() error {
	me, err := user.Current()
	if err != nil {
		return err
	}
	s.User = me.Username
	if s.Dir == "" {
		s.Dir = filepath.Join(s.temp, "files")
		if err := os.Mkdir(s.Dir, 0o755); err != nil {
			return err
		}
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(privsepDir, 0o755); err != nil {
			return err
		}
	}
	s.Identity = filepath.Join(s.temp, "id_ed25519")
	public, err := newKey(s.Identity)
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("authorized_keys"), ssh.MarshalAuthorizedKey(public), 0o600)
}

// privsepDir is compiled into Debian's sshd, which refuses to start as root
// without it. A package's service makes it; in a container nobody does.
const privsepDir = "/run/sshd"

func (s *Server) path(name string) string { return filepath.Join(s.temp, name) }

// newHostKey makes a host key and the known_hosts file that fits.
func (s *Server) newHostKey() error {
	public, err := newKey(s.path("host_ed25519"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.host = public
	s.mu.Unlock()
	s.KnownHosts = s.path("known_hosts")
	line := append([]byte("* "), ssh.MarshalAuthorizedKey(public)...)
	return os.WriteFile(s.KnownHosts, line, 0o600)
}

// startBridge puts the bridge before sshd and sets the addresses.
func (s *Server) startBridge() (err error) {
	s.Addr = s.SSHAddr
	if s.options.Bridge != None {
		if s.Addr, s.bridge, err = startBridge(s.options.Bridge, s.SSHAddr); err != nil {
			return err
		}
	}
	s.URL = s.Via(s.Addr)
	return nil
}

// Via is the URL for a client that goes through addr, as a link before the
// server.
func (s *Server) Via(addr string) string {
	if s.options.Bridge == None {
		return (&url.URL{Scheme: "ssh", User: url.User(s.User), Host: addr}).String()
	}
	return "ws://" + addr + "/"
}

// HostKey is the present host key.
func (s *Server) HostKey() ssh.PublicKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.host
}

// Restart ends sshd and all its connections and starts it again on the same
// port, with the same keys. The bridge stays.
func (s *Server) Restart() error {
	s.Stop()
	return s.listen()
}

// Rotate is a Restart with a new host key; KnownHosts and HostKey follow.
func (s *Server) Rotate() error {
	s.Stop()
	if err := s.newHostKey(); err != nil {
		return err
	}
	return s.listen()
}

// Stop ends sshd and all its connections; the port is then closed, while the
// bridge stays. Restart brings it back.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.daemon != nil {
		s.daemon.Kill()
		s.daemon = nil
	}
}

// Drop ends all connections; sshd goes on listening. The SFTP servers of
// dropped connections get no chance to finish anything.
func (s *Server) Drop() {
	if daemon := s.running(); daemon != nil {
		process.KillDescendants(daemon.PID())
	}
}

// SftpServerPIDs are the processes that serve SFTP sessions, in no order.
func (s *Server) SftpServerPIDs() []int {
	daemon := s.running()
	if daemon == nil {
		return nil
	}
	if s.options.Internal {
		return process.Leaves(daemon.PID())
	}
	return process.Named(daemon.PID(), "sftp-server")
}

// Log is the end of what sshd has written about itself.
func (s *Server) Log() string {
	if daemon := s.running(); daemon != nil {
		return daemon.Output()
	}
	return ""
}

func (s *Server) running() *process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.daemon
}

// Close ends everything and removes what was made. A second call does nothing.
// sshd comes first: a session that sees its connection end would leave orphans
// that nobody finds.
func (s *Server) Close() error {
	s.Stop()
	var err error
	if s.bridge != nil {
		err = s.bridge.Close()
		s.bridge = nil
	}
	return errors.Join(err, os.RemoveAll(s.temp))
}

// freePort is a port that was free a moment ago.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
