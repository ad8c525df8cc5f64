package conn

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/crypto/ssh"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// newKey makes an ed25519 key.
func newKey(t testing.TB) ssh.Signer {
	t.Helper()
	_, s := newPrivateKey(t)
	return s
}

// sshServer is an SSH server in this process. Its sessions run two commands:
// "send <n>" sends n bytes, "count" counts what it receives until the end and
// sends the number.
type sshServer struct {
	config   *ssh.ServerConfig
	logins   atomic.Int64 // attempts but none, failed or not
	sessions sync.WaitGroup
}

// newSSHServer makes one that lets everybody in, with the given host keys.
func newSSHServer(t testing.TB, hostKeys ...ssh.Signer) *sshServer {
	s := &sshServer{config: &ssh.ServerConfig{NoClientAuth: true}}
	s.config.AuthLogCallback = func(_ ssh.ConnMetadata, method string, _ error) {
		if method != "none" {
			s.logins.Add(1)
		}
	}
	if len(hostKeys) == 0 {
		hostKeys = []ssh.Signer{newKey(t)}
	}
	for _, k := range hostKeys {
		s.config.AddHostKey(k)
	}
	t.Cleanup(s.sessions.Wait)
	return s
}

// serve serves one connection and returns at its end.
func (s *sshServer) serve(c net.Conn) {
	defer c.Close()
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for n := range channels {
		ch, reqs, err := n.Accept()
		if err != nil {
			return
		}
		s.sessions.Go(func() { serveSession(ch, reqs) })
	}
}

func serveSession(ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	for r := range requests {
		if r.Type != "exec" {
			_ = r.Reply(false, nil)
			continue
		}
		_ = r.Reply(true, nil)
		command := string(r.Payload[4:])
		if n, ok := strings.CutPrefix(command, "send "); ok {
			size, _ := strconv.ParseInt(n, 10, 64)
			_, _ = io.CopyN(ch, pattern{}, size)
		} else {
			n, _ := io.Copy(io.Discard, ch)
			_, _ = fmt.Fprint(ch, n)
		}
		_, _ = ch.SendRequest("exit-status", false, binary.BigEndian.AppendUint32(nil, 0))
		return
	}
}

// pattern reads as bytes that are not all the same.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i * 7)
	}
	return len(p), nil
}

// listen serves handle on a loopback port until the test ends.
func listen(t testing.TB, handle func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	var conns sync.Map
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Store(c, nil)
			open.Go(func() { handle(c); _ = c.Close() })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Range(func(c, _ any) bool { _ = c.(net.Conn).Close(); return true })
		open.Wait()
	})
	return l.Addr().String()
}

// serveSSH serves s on a loopback port.
func serveSSH(t testing.TB, s *sshServer) string { return listen(t, s.serve) }

// bridge is a WebSocket server that carries each WebSocket to handle, as bytes.
func bridge(t testing.TB, handle func(net.Conn)) string {
	return webServer(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		handle(websocket.NetConn(context.Background(), c, websocket.MessageBinary))
		_ = c.CloseNow()
	})
}

// webServer serves HTTP on a loopback port and returns its ws:// URL.
func webServer(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return "ws" + strings.TrimPrefix(s.URL, "http") + "/"
}

// optionsFor are the options that reach rawURL, with a known_hosts file of
// the test's.
func optionsFor(t testing.TB, rawURL string) *Options {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	return &Options{
		Provider: sandbox.Fixed(sandbox.Endpoint{URL: u, HostKeyName: "testbox"}),
		HostKeys: HostKeyOptions{File: filepath.Join(t.TempDir(), "known_hosts")},
		TLS:      &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

// soon is a context that a dial on loopback never needs all of.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustDial(t testing.TB, o *Options) *sshConn {
	t.Helper()
	c, err := dialSSH(soon(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// receive has the server send n bytes and checks them.
func receive(t testing.TB, c *sshConn, n int) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got, err := s.Output("send " + strconv.Itoa(n))
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, n)
	_, _ = io.CopyN(bytesWriter(want), pattern{}, int64(n))
	if !bytes.Equal(got, want) {
		t.Fatalf("%d bytes arrived, not the %d that were sent", len(got), n)
	}
}

// send sends n bytes and checks that the server counts as many.
func send(t testing.TB, c *sshConn, n int64) {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Stdin = io.LimitReader(pattern{}, n)
	got, err := s.Output("count")
	if err != nil || string(got) != strconv.FormatInt(n, 10) {
		t.Fatalf("the server counted %q: %v", got, err)
	}
}

// bytesWriter writes into b from its beginning.
func bytesWriter(b []byte) io.Writer { return &fixedWriter{b} }

type fixedWriter struct{ rest []byte }

func (w *fixedWriter) Write(p []byte) (int, error) {
	n := copy(w.rest, p)
	w.rest = w.rest[n:]
	return n, nil
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// newPrivateKey makes an ed25519 key that can be written to a file.
func newPrivateKey(t testing.TB) (ed25519.PrivateKey, ssh.Signer) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return private, s
}

func newRSAKey(t testing.TB) ssh.Signer {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shortly is a context that ends while a test waits.
func shortly(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 50*time.Millisecond)
}
