package faults_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/crypto/ssh"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/faults"
)

// patience is how long a test waits for what has to come.
const patience = time.Minute

// start starts a sandbox that needs no token and ends with the test.
func start(t *testing.T, f faults.Server) *faults.Running {
	t.Helper()
	if f.Sandbox.Dir == "" {
		f.Sandbox.Dir = t.TempDir()
	}
	r, err := f.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// dialSSH connects and logs in; it gives up after patience.
func dialSSH(t *testing.T, r *faults.Running) (*ssh.Client, error) {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), r.URL(), nil)
	if err != nil {
		return nil, err
	}
	ws.SetReadLimit(-1)
	c := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return login(t, c)
}

func login(t *testing.T, c net.Conn) (*ssh.Client, error) {
	t.Helper()
	late := time.AfterFunc(patience, func() { _ = c.Close() })
	defer late.Stop()
	sc, channels, requests, err := ssh.NewClientConn(c, "sandbox:22", &ssh.ClientConfig{
		User: "user", HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(sc, channels, requests)
	t.Cleanup(func() { _ = client.Close() })
	return client, nil
}

// session is a raw SFTP session.
type session struct {
	t *testing.T
	w io.Writer
	r io.Reader
}

func dial(t *testing.T, r *faults.Running) *session {
	t.Helper()
	client, err := dialSSH(t, r)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, client)
	s.send(1, 3)
	return s
}

func open(t *testing.T, client *ssh.Client) *session {
	t.Helper()
	late := time.AfterFunc(patience, func() { _ = client.Close() })
	t.Cleanup(func() { late.Stop() })
	ch, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	w, _ := ch.StdinPipe()
	r, _ := ch.StdoutPipe()
	if err := ch.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	return &session{t: t, w: w, r: r}
}

// dialVersion dials and takes the VERSION.
func dialVersion(t *testing.T, r *faults.Running) *session {
	t.Helper()
	s := dial(t, r)
	s.read()
	return s
}

// send sends a request: its type, its id, and its fields as numbers of 32 or
// 64 bits and strings.
func (s *session) send(kind byte, id uint32, list ...any) {
	s.t.Helper()
	body := binary.BigEndian.AppendUint32([]byte{kind}, id)
	for _, f := range list {
		switch f := f.(type) {
		case int:
			body = binary.BigEndian.AppendUint32(body, uint32(f))
		case uint64:
			body = binary.BigEndian.AppendUint64(body, f)
		case string:
			body = append(binary.BigEndian.AppendUint32(body, uint32(len(f))), f...)
		}
	}
	if _, err := s.w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		s.t.Fatal(err)
	}
}

// read returns an answer's type, id and fields.
func (s *session) read() []byte {
	s.t.Helper()
	p, err := s.tryRead()
	if err != nil {
		s.t.Fatalf("no answer: %v", err)
	}
	return p
}

func (s *session) tryRead() ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(s.r, size[:]); err != nil {
		return nil, err
	}
	p := make([]byte, min(binary.BigEndian.Uint32(size[:]), 1<<20))
	_, err := io.ReadFull(s.r, p)
	return p, err
}

// ask sends and reads.
func (s *session) ask(kind byte, list ...any) []byte {
	s.t.Helper()
	s.send(kind, 7, list...)
	return s.read()
}

// want asks and checks the status.
func (s *session) want(code uint32, kind byte, list ...any) {
	s.t.Helper()
	if p := s.ask(kind, list...); p[0] != 101 || binary.BigEndian.Uint32(p[5:]) != code {
		s.t.Errorf("request %d %q: answer %q, want status %d", kind, list, p, code)
	}
}

// handle opens a file for reading and writing.
func (s *session) handle(name string) string {
	s.t.Helper()
	p := s.ask(3, name, 11, 0)
	if p[0] != 102 {
		s.t.Fatalf("opening %s: %q", name, p)
	}
	return string(p[9:])
}

var public = sandboxd.Options{Public: true}

// shell runs commands.
type shell struct{ *ssh.Client }

func (s shell) run(command string) ([]byte, error) {
	session, err := s.NewSession()
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Output(command)
}
