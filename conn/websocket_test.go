package conn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// framer sends what it is given in some framing.
type framer func(ctx context.Context, c *websocket.Conn, p []byte) error

func inPieces(size int) framer {
	return func(ctx context.Context, c *websocket.Conn, p []byte) error {
		for len(p) > 0 {
			n := min(size, len(p))
			if err := c.Write(ctx, websocket.MessageBinary, p[:n]); err != nil {
				return err
			}
			p = p[n:]
		}
		return nil
	}
}

// inFragments sends one message in fragments of random sizes, some empty.
func inFragments(ctx context.Context, c *websocket.Conn, p []byte) error {
	w, err := c.Writer(ctx, websocket.MessageBinary)
	if err != nil {
		return err
	}
	for len(p) > 0 {
		n := rand.Intn(min(len(p), 5000) + 1)
		if _, err := w.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return w.Close()
}

// withPings sends pings, and messages of no bytes, between the messages.
func withPings(ctx context.Context, c *websocket.Conn, p []byte) error {
	for len(p) > 0 {
		n := min(1000, len(p))
		go func() { _ = c.Ping(ctx) }()
		_ = c.Write(ctx, websocket.MessageBinary, nil)
		if err := c.Write(ctx, websocket.MessageBinary, p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// framingBridge carries a WebSocket to SSH and frames what comes back as f
// does, gathering up to gather bytes at a time.
func framingBridge(t *testing.T, f framer, gather int) string {
	s := newSSHServer(t)
	return webServer(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		in := websocket.NetConn(context.Background(), c, websocket.MessageBinary)
		ours, theirs := tcpPair(t)
		go func() { _, _ = io.Copy(ours, in); _ = ours.Close() }()
		go s.serve(theirs)
		buf := make([]byte, gather)
		for {
			n, err := ours.Read(buf)
			if n > 0 && f(context.Background(), c, buf[:n]) != nil {
				return
			}
			if err != nil {
				return
			}
		}
	})
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	accepted := make(chan net.Conn, 1)
	addr := listen(t, func(c net.Conn) {
		accepted <- c
		<-t.Context().Done()
	})
	a, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return a, <-accepted
}

func TestAnyFraming(t *testing.T) {
	for _, c := range []struct {
		name   string
		f      framer
		gather int
		bytes  int
	}{
		{"1 byte", inPieces(1), 64 << 10, 50_000},
		{"64 KiB", inPieces(64 << 10), 64 << 10, 3 << 20},
		{"1 MiB", inPieces(1 << 20), 1 << 20, 5 << 20},
		{"fragments", inFragments, 256 << 10, 1 << 20},
		{"pings", withPings, 64 << 10, 1 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := mustDial(t, optionsFor(t, framingBridge(t, c.f, c.gather)))
			receive(t, conn, c.bytes)
			send(t, conn, int64(c.bytes))
		})
	}
}

// The read limit of coder/websocket, 32 KiB, does not hold for a stream.
func TestOneHugeMessage(t *testing.T) {
	const size = 5 << 20
	o := optionsFor(t, webServer(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		_ = c.Write(r.Context(), websocket.MessageBinary, bytes.Repeat([]byte("x"), size))
		_ = c.Close(websocket.StatusNormalClosure, "")
	}))
	c, err := DialStream(soon(t), *o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, err := io.ReadAll(c); len(got) != size || err != nil {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
}

func TestEndOfStream(t *testing.T) {
	for _, c := range []struct {
		name  string
		end   func(*websocket.Conn)
		clean bool
	}{
		{"close", func(c *websocket.Conn) { _ = c.Close(websocket.StatusNormalClosure, "done") }, true},
		{"going away", func(c *websocket.Conn) { _ = c.Close(websocket.StatusGoingAway, "") }, true},
		{"close without a code", func(c *websocket.Conn) { _ = c.Close(websocket.StatusNoStatusRcvd, "") }, true},
		{"error code", func(c *websocket.Conn) { _ = c.Close(websocket.StatusInternalError, "oh") }, false},
		{"cut", func(c *websocket.Conn) { _ = c.CloseNow() }, false},
		{"text", func(c *websocket.Conn) { _ = c.Write(context.Background(), websocket.MessageText, []byte("oh")) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := optionsFor(t, webServer(t, func(w http.ResponseWriter, r *http.Request) {
				ws, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				_ = ws.Write(context.Background(), websocket.MessageBinary, []byte("last words"))
				c.end(ws)
				_, _, _ = ws.Read(context.Background())
				_ = ws.CloseNow()
			}))
			s, err := DialStream(soon(t), *o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got, err := io.ReadAll(s)
			if string(got) != "last words" || (err == nil) != c.clean {
				t.Fatalf("read %q, then %v", got, err)
			}
		})
	}
}

// reasonOf checks that err is as every dial error is, and returns its reason.
func reasonOf(t *testing.T, err error) Reason {
	t.Helper()
	var e *Error
	var d *DialError
	if !errors.As(err, &e) || e.Op != "connect" || !errors.As(err, &d) {
		t.Fatalf("a dial ended with %v", err)
	}
	if d.Advice == "" {
		t.Errorf("no advice for %v", err)
	}
	return d.Reason
}

func TestAnswersInsteadOfAnUpgrade(t *testing.T) {
	page := "<!DOCTYPE html><html><body>" + strings.Repeat("sign in ", 10_000)
	for _, c := range []struct {
		name string
		code int
		body string
		want Reason
	}{
		{"page", 200, page, BadEndpoint},
		{"not found", 502, `{"sandboxId":"abc","message":"The sandbox was not found","code":502}`, SandboxNotFound},
		{"port closed", 502, `{"sandboxId":"abc","message":"The sandbox is running but port is not open","port":8081,"code":502}`, PortClosed},
		{"bad gateway page", 502, page, Network},
		{"bad gateway", 502, "", Network},
		{"not JSON after all", 502, `{"message":`, Network},
		{"unavailable", 503, "", Network},
		{"forbidden", 403, `{"message":"traffic access token is missing"}`, Forbidden},
		{"unauthorized", 401, "", Forbidden},
		{"transitioning", 409, `{"message":"still transitioning"}`, Transitioning},
		{"too many", 429, "", TooMany},
		{"bad request", 400, "invalid host", BadEndpoint},
		{"no such page", 404, page, BadEndpoint},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := optionsFor(t, webServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.code)
				_, _ = io.WriteString(w, c.body)
			}))
			_, err := dialSSH(soon(t), o)
			if got := reasonOf(t, err); got != c.want {
				t.Errorf("reason %v, not %v: %v", got, c.want, err)
			}
			if strings.Contains(err.Error(), "abc") || strings.Contains(err.Error(), "sign in") {
				t.Errorf("the answer's text is in the error: %v", err)
			}
		})
	}
}

// saysState is a Provider of a fixed endpoint with a state.
type saysState struct {
	sandbox.Provider
	state sandbox.State
}

func (s saysState) State(context.Context) (sandbox.State, error) { return s.state, nil }

func TestNotFoundIsLookedUp(t *testing.T) {
	for _, c := range []struct {
		state  sandbox.State
		reason Reason
		kind   Kind
	}{
		{sandbox.Unknown, SandboxNotFound, NotConnected},
		{sandbox.Running, SandboxNotFound, NotConnected},
		{sandbox.Paused, SandboxPaused, NotConnected},
		{sandbox.Gone, SandboxNotFound, Gone},
	} {
		o := optionsFor(t, webServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, `{"message":"The sandbox was not found"}`)
		}))
		o.Provider = saysState{o.Provider, c.state}
		_, err := dialSSH(soon(t), o)
		if got := reasonOf(t, err); got != c.reason || KindOf(err) != c.kind {
			t.Errorf("%v: %v, %v", c.state, got, KindOf(err))
		}
	}
}

// failing is a Provider that can't say where.
type failing struct {
	sandbox.Provider
	err error
}

func (f failing) Endpoint(context.Context) (sandbox.Endpoint, error) {
	return sandbox.Endpoint{}, f.err
}

func TestProviderErrors(t *testing.T) {
	for reason, want := range map[sandbox.Reason]Reason{
		sandbox.NotFound: SandboxNotFound, sandbox.IsPaused: SandboxPaused, sandbox.Refused: Forbidden,
		sandbox.Transitioning: Transitioning, sandbox.TooMany: TooMany, sandbox.Unreachable: Network,
		sandbox.BadAnswer: BadEndpoint,
	} {
		_, err := dialSSH(soon(t), &Options{Provider: failing{err: &sandbox.Error{Op: "state", Reason: reason}}})
		if got := reasonOf(t, err); got != want {
			t.Errorf("%v became %v", reason, got)
		}
		if gone := KindOf(err) == Gone; gone != (reason == sandbox.NotFound) {
			t.Errorf("%v is of kind %v", reason, KindOf(err))
		}
	}
}

func TestRedirectsKeepTheTokenHome(t *testing.T) {
	var asked atomic.Int64
	other := webServer(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	target := "http" + strings.TrimPrefix(other, "ws")
	o := optionsFor(t, webServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("E2b-Traffic-Access-Token") != "tok" {
			t.Error("the token did not come")
		}
		http.Redirect(w, r, target, http.StatusFound)
	}))
	e, _ := o.Provider.Endpoint(t.Context())
	e.Header = http.Header{"E2b-Traffic-Access-Token": {"tok"}}
	o.Provider = sandbox.Fixed(e)
	_, err := dialSSH(soon(t), o)
	if got := reasonOf(t, err); got != BadEndpoint {
		t.Errorf("a redirect ended as %v", err)
	}
	if asked.Load() != 0 {
		t.Error("the redirect was followed to another host")
	}
}

func TestPlainWebSocketBeyondLoopback(t *testing.T) {
	o := optionsFor(t, "ws://192.0.2.1:80/")
	d := newDialer(o)
	d.dialTCP = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("dialled") }
	_, err := d.ssh(soon(t))
	if got := reasonOf(t, err); got != BadEndpoint {
		t.Errorf("ended as %v", err)
	}
	o.Insecure = true
	_, err = d.ssh(soon(t))
	if got := reasonOf(t, err); got != Network {
		t.Errorf("with Insecure it ended as %v", err)
	}
}

func TestTLS(t *testing.T) {
	s := newSSHServer(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err == nil {
			s.serve(websocket.NetConn(context.Background(), c, websocket.MessageBinary))
		}
	}))
	server.Config.ErrorLog = discardLog()
	t.Cleanup(func() { server.CloseClientConnections(); server.Close() })
	o := optionsFor(t, "wss"+strings.TrimPrefix(server.URL, "https"))
	_, err := dialSSH(soon(t), o)
	if got := reasonOf(t, err); got != TLS {
		t.Errorf("an unknown authority ended as %v", err)
	}
	o.TLS.RootCAs = x509.NewCertPool()
	o.TLS.RootCAs.AddCert(server.Certificate())
	c := mustDial(t, o)
	receive(t, c, 1<<20)
	send(t, c, 1<<20)
}

func TestOldTLSIsRefused(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	server.Config.ErrorLog = discardLog()
	server.StartTLS()
	t.Cleanup(server.Close)
	o := optionsFor(t, "wss"+strings.TrimPrefix(server.URL, "https"))
	o.TLS = nil
	_, err := dialSSH(soon(t), o)
	if got := reasonOf(t, err); got != TLS {
		t.Errorf("TLS 1.1 ended as %v", err)
	}
}

// The environment's proxy is read once a process, so that this test runs its
// dial in another one, for a host that only the proxy knows.
func TestProxyFromEnvironment(t *testing.T) {
	if target := os.Getenv("SBXMOUNT_TEST_PROXIED"); target != "" {
		o := optionsFor(t, target)
		o.Insecure = true
		receive(t, mustDial(t, o), 1000)
		return
	}
	real, _ := url.Parse(bridge(t, newSSHServer(t).serve))
	var proxied atomic.Int64
	proxy := listen(t, func(c net.Conn) { forward(c, real.Host, &proxied) })
	cmd := exec.Command(os.Args[0], "-test.run=^TestProxyFromEnvironment$")
	cmd.Env = append(os.Environ(), "HTTP_PROXY=http://"+proxy, "http_proxy=", "NO_PROXY=", "no_proxy=",
		"SBXMOUNT_TEST_PROXIED=ws://sandbox.test:1/")
	if out, err := cmd.CombinedOutput(); err != nil || proxied.Load() != 1 {
		t.Fatalf("%d connections by the proxy: %v: %s", proxied.Load(), err, out)
	}
}

// forward carries a proxy's connection to the host that stands for all hosts.
func forward(c net.Conn, host string, n *atomic.Int64) {
	n.Add(1)
	to, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer to.Close()
	go func() { _, _ = io.Copy(to, c); _ = to.Close() }()
	_, _ = io.Copy(c, to)
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	for _, scheme := range []string{"ws://", "ssh://"} {
		_, err := dialSSH(soon(t), optionsFor(t, scheme+addr))
		if got := reasonOf(t, err); got != PortClosed {
			t.Errorf("%s ended as %v", scheme, err)
		}
	}
}

func TestSignsOfLife(t *testing.T) {
	o := optionsFor(t, bridge(t, newSSHServer(t).serve))
	c := mustDial(t, o)
	before := c.lastByte()
	if since := time.Since(before); since < 0 || since > 20*time.Second {
		t.Fatalf("the last byte came %v ago", since)
	}
	receive(t, c, 1)
	if !c.lastByte().After(before) {
		t.Error("bytes arrived and left no trace")
	}
}
