package openssh

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/pkg/sftp"
	"github.com/sbxmount/sbxmount/test/process"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// dial logs in with x/crypto/ssh, by whatever the server's URL says.
func dial(t *testing.T, s *Server) *ssh.Client {
	t.Helper()
	client, err := login(t, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func login(t *testing.T, s *Server) (*ssh.Client, error) {
	pem, err := os.ReadFile(s.Identity)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := stream(t, s)
	if err != nil {
		return nil, err
	}
	c, channels, requests, err := ssh.NewClientConn(conn, s.Addr, &ssh.ClientConfig{
		User:            s.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: ssh.FixedHostKey(s.HostKey()),
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

func stream(t *testing.T, s *Server) (net.Conn, error) {
	if s.options.Bridge == None {
		return net.Dial("tcp", s.Addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, s.URL, nil)
	if err != nil {
		return nil, err
	}
	return websocket.NetConn(context.Background(), ws, websocket.MessageBinary), nil
}

func open(t *testing.T, s *Server) *sftp.Client {
	t.Helper()
	client, err := sftp.NewClient(dial(t, s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func TestFilesThroughEachBridge(t *testing.T) {
	bridges := []Bridge{None, Own, Websockify}
	if _, err := exec.LookPath("websocat"); err == nil {
		bridges = append(bridges, Websocat)
	}
	for _, bridge := range bridges {
		t.Run(bridge.String(), func(t *testing.T) {
			s := Start(t, Options{Bridge: bridge})
			client := open(t, s)
			data := bytes.Repeat([]byte("sandbox "), 1<<17)
			path := filepath.Join(s.Dir, "file")
			f, err := client.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.ReadFrom(bytes.NewReader(data)); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d of %d bytes on the server, %v", len(got), len(data), err)
			}
			if f, err = client.Open(path); err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			var got bytes.Buffer
			if _, err := f.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%d of %d bytes came back, %v", got.Len(), len(data), err)
			}
			if pids := s.SftpServerPIDs(); len(pids) != 1 {
				t.Errorf("SFTP servers %v, want one", pids)
			}
		})
	}
}

func TestBridgesAnswerPings(t *testing.T) {
	for _, bridge := range []Bridge{Own, Websockify} {
		s := Start(t, Options{Bridge: bridge})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		ws, _, err := websocket.Dial(ctx, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, banner, err := ws.Read(ctx); err != nil || !bytes.HasPrefix(banner, []byte("SSH-2.0-")) {
			t.Errorf("%v: %q, %v, want sshd's banner", bridge, banner, err)
		}
		ctx = ws.CloseRead(ctx)
		if err := ws.Ping(ctx); err != nil {
			t.Errorf("%v: %v", bridge, err)
		}
		ws.CloseNow()
	}
}

// A bridge passes on that sshd hung up, and soon.
func TestEndOfServerReachesClient(t *testing.T) {
	for _, bridge := range []Bridge{None, Own, Websockify} {
		s := Start(t, Options{Bridge: bridge})
		client := dial(t, s)
		s.Drop()
		ended := make(chan error, 1)
		go func() { ended <- client.Wait() }()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("%v: the client is not told", bridge)
		}
		if client, err := login(t, s); err != nil {
			t.Errorf("%v: sshd should still listen: %v", bridge, err)
		} else {
			client.Close()
		}
	}
}

func TestRestartAndRotate(t *testing.T) {
	s := Start(t, Options{Bridge: Own})
	dial(t, s)
	port, key := s.SSHAddr, s.HostKey()
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	dial(t, s)
	if s.SSHAddr != port || !bytes.Equal(s.HostKey().Marshal(), key.Marshal()) {
		t.Error("a restart changes port or key")
	}
	if err := s.Rotate(); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(s.HostKey().Marshal(), key.Marshal()) {
		t.Error("the host key stays")
	}
	dial(t, s)
	s.Stop()
	if client, err := login(t, s); err == nil {
		client.Close()
		t.Error("a stopped sshd lets in")
	}
}

func TestVariants(t *testing.T) {
	t.Run("internal", func(t *testing.T) {
		s := Start(t, Options{Internal: true})
		if _, err := open(t, s).ReadDir(s.Dir); err != nil {
			t.Error(err)
		}
		if pids := s.SftpServerPIDs(); len(pids) != 1 {
			t.Errorf("SFTP servers %v, want one", pids)
		}
	})
	t.Run("none", func(t *testing.T) {
		s := Start(t, Options{NoSFTP: true})
		if client, err := sftp.NewClient(dial(t, s)); err == nil {
			client.Close()
			t.Error("there is SFTP")
		}
	})
	t.Run("read-only", func(t *testing.T) {
		s := Start(t, Options{SFTPArgs: []string{"-R"}})
		if err := open(t, s).Mkdir(filepath.Join(s.Dir, "new")); err == nil {
			t.Error("a read-only server makes directories")
		}
	})
	t.Run("sessions", func(t *testing.T) {
		client := dial(t, Start(t, Options{MaxSessions: 2}))
		for n := range 3 {
			if _, err := client.NewSession(); (err == nil) != (n < 2) {
				t.Errorf("session %d: %v", n, err)
			}
		}
	})
	t.Run("config", func(t *testing.T) {
		s := Start(t, Options{Config: []string{"Banner none", "ForceCommand echo forced"}})
		if out, err := s.SSH("true").Output(); err != nil || string(out) != "forced\n" {
			t.Errorf("%q, %v", out, err)
		}
	})
	t.Run("broken", func(t *testing.T) {
		if s, err := New(Options{Config: []string{"Nonsense yes"}}); err == nil {
			s.Close()
			t.Error("sshd starts with a broken configuration")
		} else if !strings.Contains(err.Error(), "Nonsense") {
			t.Errorf("the error does not say why: %v", err)
		}
	})
}

func TestSSHClient(t *testing.T) {
	s := Start(t, Options{Bridge: Websockify})
	out, err := s.SSH("cat", "/proc/self/comm").CombinedOutput()
	if err != nil || string(out) != "cat\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// What a user's shell does on login is not part of a test.
func TestShellStartsBare(t *testing.T) {
	s := Start(t, Options{})
	if out, err := s.SSH("echo $SHLVL $ZDOTDIR").Output(); err != nil || string(out) != "2 "+s.temp+"\n" && string(out) != "3 "+s.temp+"\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// Close ends sshd, its sessions and what they run, and the bridge.
func TestNothingIsLeft(t *testing.T) {
	for _, bridge := range []Bridge{None, Own, Websockify} {
		s, err := New(Options{Bridge: bridge})
		if err != nil {
			t.Fatal(err)
		}
		open(t, s)
		session, err := dial(t, s).NewSession()
		if err != nil {
			t.Fatal(err)
		}
		out, err := session.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := session.Start("setsid -w sh -c 'echo $$; trap \"\" HUP TERM PIPE; while :; do sleep 1; done'"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAtLeast(out, make([]byte, 16), 2); err != nil {
			t.Fatal(err)
		}
		family := append(process.Descendants(s.running().PID()), s.running().PID())
		if p, ok := s.bridge.(programBridge); ok {
			family = append(append(family, process.Descendants(p.PID())...), p.PID())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		family = slices.DeleteFunc(family, gone)
		if len(family) > 0 {
			t.Errorf("%v: processes %v are left", bridge, family)
		}
		if _, err := os.Stat(s.temp); !os.IsNotExist(err) {
			t.Errorf("%v: the temporary directory is left: %v", bridge, err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("%v: a second Close: %v", bridge, err)
		}
	}
}

// gone says whether a process has ended, within a while: whoever inherits an
// orphan has to collect it first, and need not be quick or do it at all.
func gone(pid int) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return true
		}
		stat, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		if i := bytes.LastIndexByte(stat, ')'); i < 0 || bytes.HasPrefix(stat[i:], []byte(") Z")) {
			return true
		}
	}
	return false
}
