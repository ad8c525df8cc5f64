package openssh

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/test/process"
)

// patience bounds the wait for a program that starts; a loaded machine takes
// seconds.
const patience = 30 * time.Second

// find looks for the programs. sshd is not on every user's PATH, and insists
// on being called by its absolute path.
func (s *Server) find() (err error) {
	if s.sshd, err = program("sshd", "/usr/sbin", "/usr/local/sbin", "/sbin"); err != nil {
		return fmt.Errorf("%w (Debian: openssh-server)", err)
	}
	if s.options.Internal || s.options.NoSFTP {
		return nil
	}
	if s.sftp, err = program("sftp-server", "/usr/lib/openssh", "/usr/libexec/openssh", "/usr/lib/ssh", "/usr/libexec"); err != nil {
		return fmt.Errorf("%w (Debian: openssh-sftp-server)", err)
	}
	return nil
}

func program(name string, dirs ...string) (string, error) {
	for _, dir := range dirs {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(path)
}

// listen starts sshd: on the port it had, or on a free one. Between finding a
// port and binding it somebody else may take it; then another one is tried.
func (s *Server) listen() error {
	if s.SSHAddr != "" {
		_, port, err := net.SplitHostPort(s.SSHAddr)
		if err != nil {
			return err
		}
		return s.listenOn(port)
	}
	for {
		port, err := freePort()
		if err != nil {
			return err
		}
		err = s.listenOn(strconv.Itoa(port))
		if !errors.Is(err, errPortTaken) {
			return err
		}
	}
}

var errPortTaken = errors.New("the port is taken")

func (s *Server) listenOn(port string) error {
	config := s.path("sshd_config")
	if err := os.WriteFile(config, []byte(s.config(port)), 0o600); err != nil {
		return err
	}
	daemon, err := process.Start(exec.Command(s.sshd, "-D", "-e", "-f", config))
	if err != nil {
		return err
	}
	if err := daemon.Await("Server listening on", patience); err != nil {
		daemon.Kill()
		log := daemon.Output()
		if strings.Contains(log, "Address already in use") {
			return errPortTaken
		}
		return fmt.Errorf("sshd does not start: %w\n%s", err, log)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.daemon = daemon
	s.SSHAddr = net.JoinHostPort("127.0.0.1", port)
	return nil
}

// config is the text of sshd_config (sshd_config(5)).
func (s *Server) config(port string) string {
	lines := append([]string(nil), s.options.Config...)
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("ListenAddress 127.0.0.1")
	add("Port %s", port)
	add("HostKey %s", s.path("host_ed25519"))
	add("AuthorizedKeysFile %s", s.path("authorized_keys"))
	add("PidFile none")
	add("UsePAM no")
	add("StrictModes no") // the temporary directory's parents are anybody's
	add("PubkeyAuthentication yes")
	add("PasswordAuthentication no")
	add("KbdInteractiveAuthentication no")
	add("PermitRootLogin yes")
	add("UseDNS no")
	add("PrintMotd no")
	// The login shell starts everything, sftp-server too. bash run by sshd reads
	// ~/.bashrc unless it seems to be below another shell, zsh always reads its
	// own: whatever a person has there must not delay or break a test.
	add("SetEnv SHLVL=2 ZDOTDIR=%s", s.temp)
	add("LogLevel INFO")
	if n := s.options.MaxSessions; n > 0 {
		add("MaxSessions %d", n)
	}
	if m := s.options.MaxStartups; m != "" {
		add("MaxStartups %s", m)
	}
	if !s.options.NoSFTP {
		server := s.sftp
		if s.options.Internal {
			server = "internal-sftp"
		}
		add("Subsystem sftp %s", strings.Join(append([]string{server}, s.options.SFTPArgs...), " "))
	}
	return strings.Join(lines, "\n") + "\n"
}

// ClientOptions are ssh's options to log in here without the user's own
// configuration: what comes before the host in ssh, after -o in sshfs.
func (s *Server) ClientOptions() []string {
	return []string{
		"-F", "none",
		"-o", "IdentityFile=" + s.Identity,
		"-o", "IdentitiesOnly=yes",
		"-o", "IdentityAgent=none",
		"-o", "UserKnownHostsFile=" + s.KnownHosts,
		"-o", "GlobalKnownHostsFile=none",
		"-o", "StrictHostKeyChecking=yes",
		"-o", "BatchMode=yes",
		"-o", "LogLevel=ERROR",
	}
}

// SSH is an ssh client that runs a command here, past the bridge.
func (s *Server) SSH(command ...string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(s.SSHAddr)
	args := append(s.ClientOptions(), "-p", port, s.User+"@"+host)
	return exec.Command("ssh", append(args, command...)...)
}
