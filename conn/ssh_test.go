package conn

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Whatever stalls, the dial ends with its context, and the connection with it.
func TestStallsEndWithTheContext(t *testing.T) {
	for name, server := range map[string]func(net.Conn){
		"silence": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"banner without end": func(c net.Conn) {
			for range time.Tick(time.Millisecond) {
				if _, err := io.WriteString(c, "x\r\n"); err != nil {
					return
				}
			}
		},
		"version, then silence": func(c net.Conn) {
			_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
			_, _ = io.Copy(io.Discard, c)
		},
	} {
		for _, kind := range []string{"WebSocket", "TCP"} {
			t.Run(name+" over "+kind, func(t *testing.T) {
				target := "ssh://" + listen(t, server)
				if kind == "WebSocket" {
					target = bridge(t, server)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				defer cancel()
				_, err := dialSSH(ctx, optionsFor(t, target))
				if got := reasonOf(t, err); got != Network || KindOf(err) != TimedOut {
					t.Errorf("ended as %v", err)
				}
			})
		}
	}
	t.Run("no upgrade", func(t *testing.T) {
		target := "ws://" + listen(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }) + "/"
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := dialSSH(ctx, optionsFor(t, target))
		if KindOf(err) != Interrupted {
			t.Errorf("ended as %v", err)
		}
	})
}

func TestBannerIsBounded(t *testing.T) {
	line := strings.Repeat("x", 200) + "\r\n"
	target := bridge(t, func(c net.Conn) {
		for {
			if _, err := io.WriteString(c, line); err != nil {
				return
			}
		}
	})
	_, err := dialSSH(soon(t), optionsFor(t, target))
	if got := reasonOf(t, err); got != BadEndpoint {
		t.Errorf("ended as %v", err)
	}
}

func TestGreetings(t *testing.T) {
	for greeting, want := range map[string]Reason{
		"":                             PortClosed,
		"Not allowed at this time\r\n": TooMany,
		"Exceeded MaxStartups\r\n":     TooMany,
		"HTTP/1.1 400 Bad Request\r\n\r\nsecret!": BadEndpoint,
		"SSH-2.0-x\r\n": Network,
	} {
		_, err := dialSSH(soon(t), optionsFor(t, bridge(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 100)) // the client's version
			_, _ = io.WriteString(c, greeting)
		})))
		if got := reasonOf(t, err); got != want {
			t.Errorf("after %q: %v", greeting, err)
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the greeting is in the error: %v", err)
		}
	}
}

// cutConn ends after some bytes were written to it.
type cutConn struct {
	net.Conn
	left int
}

func (c *cutConn) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(p)
}

// A connection that ends anywhere in the handshake is a failed dial, of the
// link and of nothing else.
func TestCutAnywhereInTheHandshake(t *testing.T) {
	s := newSSHServer(t)
	for left := 40; left < 3000; left += 97 {
		target := bridge(t, func(c net.Conn) { s.serve(&cutConn{c, left}) })
		c, err := dialSSH(soon(t), optionsFor(t, target))
		if err == nil {
			_ = c.Close()
			continue
		}
		if got := reasonOf(t, err); got != Network {
			t.Errorf("cut after %d bytes: %v", left, err)
		}
	}
}

// A server's last words, which SSH lets it choose, move no cursor.
func TestDisconnectTextIsPrintable(t *testing.T) {
	said := "attempted methods [\x1b]0;owned\a\r\nsbxmount: all is well] \u009b2J"
	payload := append([]byte{1, 0, 0, 0, 2}, ssh.Marshal(struct{ Text, Language string }{said, ""})...)
	padding := 8 - (5+len(payload))%8 + 4
	packet := binary.BigEndian.AppendUint32(nil, uint32(1+len(payload)+padding))
	packet = append(append(append(packet, byte(padding)), payload...), make([]byte, padding)...)
	_, err := dialSSH(soon(t), optionsFor(t, bridge(t, func(c net.Conn) {
		_, _ = io.WriteString(c, "SSH-2.0-x\r\n")
		_, _ = c.Write(packet)
		_, _ = io.Copy(io.Discard, c)
	})))
	if err == nil || !strings.Contains(err.Error(), "owned") {
		t.Fatalf("the server's words did not arrive: %v", err)
	}
	for _, r := range err.Error() {
		if !unicode.IsPrint(r) {
			t.Errorf("%q in %q", r, err)
		}
	}
}

// A server reaches nothing here: whatever channel it opens, to the agent or to a
// port, is refused, however many it opens, and what it asks for is denied.
func TestServersReachNothing(t *testing.T) {
	s := newSSHServer(t)
	opened, served := make(chan error), make(chan struct{})
	target := bridge(t, func(c net.Conn) {
		defer close(served)
		conn, channels, requests, err := ssh.NewServerConn(c, s.config)
		if err != nil {
			opened <- err
			return
		}
		defer conn.Close()
		go ssh.DiscardRequests(requests)
		go func() {
			for n := range channels {
				_ = n.Reject(ssh.Prohibited, "no sessions")
			}
		}()
		for i := range 2000 {
			kind := []string{"auth-agent@openssh.com", "forwarded-tcpip", "x11", "session", "direct-tcpip", "forwarded-streamlocal@openssh.com"}[i%6]
			if _, _, err := conn.OpenChannel(kind, nil); err == nil {
				t.Errorf("a channel of type %q is open", kind)
			}
		}
		for _, ask := range []string{"tcpip-forward", "hostkeys-00@openssh.com", "anything"} {
			if ok, _, err := conn.SendRequest(ask, true, nil); ok || err != nil {
				t.Errorf("%s: %v, %v", ask, ok, err)
			}
		}
		close(opened)
		_ = conn.Wait()
	})
	c := mustDial(t, optionsFor(t, target))
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	<-served
}

func TestWeakAlgorithmsAreOff(t *testing.T) {
	for name, weaken := range map[string]func(*ssh.ServerConfig){
		"cipher":       func(c *ssh.ServerConfig) { c.Ciphers = []string{ssh.InsecureCipherAES128CBC} },
		"key exchange": func(c *ssh.ServerConfig) { c.KeyExchanges = []string{ssh.InsecureKeyExchangeDH14SHA1} },
		"MAC": func(c *ssh.ServerConfig) {
			c.Ciphers, c.MACs = []string{ssh.CipherAES128CTR}, []string{ssh.HMACSHA1}
		},
		"host key": func(c *ssh.ServerConfig) {
			old, err := ssh.NewSignerWithAlgorithms(newRSAKey(t).(ssh.AlgorithmSigner), []string{ssh.KeyAlgoRSA})
			if err != nil {
				t.Fatal(err)
			}
			*c = ssh.ServerConfig{NoClientAuth: true} // its other keys are strong
			c.AddHostKey(old)
		},
	} {
		s := newSSHServer(t)
		weaken(s.config)
		_, err := dialSSH(soon(t), optionsFor(t, "ssh://"+serveSSH(t, s)))
		if got := reasonOf(t, err); got != BadEndpoint {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A server that takes RSA signatures with SHA-1 alone gets none.
func TestNoSignatureWithSHA1(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for algorithm, want := range map[string]bool{ssh.KeyAlgoRSA: false, ssh.KeyAlgoRSASHA256: true} {
		s := newSSHServer(t)
		keyOnly(s, signer.PublicKey())
		s.config.PublicKeyAuthAlgorithms = []string{algorithm}
		o := optionsFor(t, bridge(t, s.serve))
		o.Auth.Identities = []string{writeKey(t, key, "")}
		c, err := dialSSH(soon(t), o)
		if (err == nil) != want {
			t.Errorf("%s: %v", algorithm, err)
		}
		if err == nil {
			_ = c.Close()
		} else if got := reasonOf(t, err); got != AuthFailed {
			t.Errorf("%s: %v", algorithm, got)
		}
	}
}

func TestCipherIsTheFastest(t *testing.T) {
	c := mustDial(t, optionsFor(t, bridge(t, newSSHServer(t).serve)))
	a := c.Conn.(interface {
		Algorithms() ssh.NegotiatedAlgorithms
	}).Algorithms()
	if a.Read.Cipher != ssh.CipherAES128GCM || a.Write.Cipher != ssh.CipherAES128GCM {
		t.Errorf("the ciphers are %s and %s", a.Read.Cipher, a.Write.Cipher)
	}
}

// writeKey writes a private key in OpenSSH's format, encrypted with a
// passphrase where that is not empty.
func writeKey(t *testing.T, key any, passphrase string) string {
	t.Helper()
	var block *pem.Block
	var err error
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyOnly lets in who has the key.
func keyOnly(s *sshServer, key ssh.PublicKey) {
	s.config.NoClientAuth = false
	s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		if bytes.Equal(k.Marshal(), key.Marshal()) {
			return nil, nil
		}
		return nil, errors.New("another key")
	}
}

// passwordOnly lets in who knows the password.
func passwordOnly(s *sshServer, password string) {
	s.config.NoClientAuth = false
	s.config.PasswordCallback = func(_ ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
		if string(p) == password {
			return nil, nil
		}
		return nil, errors.New("wrong")
	}
}

// answer is a Prompt that gives one answer and keeps the questions.
func answer(with string, asked *[]string) func(context.Context, string) (string, error) {
	return func(_ context.Context, q string) (string, error) {
		*asked = append(*asked, q)
		return with, nil
	}
}

func TestLoginWithKeyFile(t *testing.T) {
	key, signer := newPrivateKey(t)
	for _, passphrase := range []string{"", "open sesame"} {
		s := newSSHServer(t)
		keyOnly(s, signer.PublicKey())
		o := optionsFor(t, bridge(t, s.serve))
		var asked []string
		o.Auth.Identities = []string{writeKey(t, key, passphrase)}
		o.Auth.Prompt = answer(passphrase, &asked)
		receive(t, mustDial(t, o), 10)
		if questions := len(asked); questions != min(1, len(passphrase)) {
			t.Errorf("%d questions with passphrase %q", questions, passphrase)
		}
	}
}

func TestPassphraseIsAskedForATakenKeyOnly(t *testing.T) {
	key, _ := newPrivateKey(t)
	s := newSSHServer(t)
	passwordOnly(s, "")
	keyOnly(s, newKey(t).PublicKey())
	o := optionsFor(t, bridge(t, s.serve))
	var asked []string
	o.Auth.Identities = []string{writeKey(t, key, "secret")}
	o.Auth.Prompt = answer("secret", &asked)
	receive(t, mustDial(t, o), 10)
	if len(asked) != 0 {
		t.Errorf("asked %q", asked)
	}
}

func TestLoginWithAgent(t *testing.T) {
	ring := agent.NewKeyring()
	key, signer := newPrivateKey(t)
	for range 7 { // more than sshd lets one try
		other, _ := newPrivateKey(t)
		_ = ring.Add(agent.AddedKey{PrivateKey: other})
	}
	_ = ring.Add(agent.AddedKey{PrivateKey: key})
	path := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(ring, c); _ = c.Close() }()
		}
	}()
	t.Setenv("SSH_AUTH_SOCK", path)
	s := newSSHServer(t)
	keyOnly(s, signer.PublicKey())
	o := optionsFor(t, bridge(t, s.serve))
	o.Auth.Agent = true
	pub := filepath.Join(t.TempDir(), "id.pub") // says which of the agent's keys
	if err := os.WriteFile(pub, ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Auth.Identities = []string{pub}
	receive(t, mustDial(t, o), 10)
	o.Auth.Identities = nil
	_, err = dialSSH(soon(t), o)
	if got := reasonOf(t, err); got != AuthFailed {
		t.Errorf("ended as %v", err)
	}
	if n := s.logins.Load(); n > 1+maxKeys+1 {
		t.Errorf("%d logins were tried", n)
	}
}

func TestLoginWithPassword(t *testing.T) {
	for _, c := range []struct {
		password string
		asks     int
	}{{"", 0}, {"hush", 1}} {
		s := newSSHServer(t)
		passwordOnly(s, c.password)
		o := optionsFor(t, bridge(t, s.serve))
		var asked []string
		o.Auth.Prompt = answer("hush", &asked)
		receive(t, mustDial(t, o), 10)
		if len(asked) != c.asks {
			t.Errorf("asked %q for password %q", asked, c.password)
		}
	}
}

func TestLoginByQuestions(t *testing.T) {
	s := newSSHServer(t)
	s.config.NoClientAuth = false
	s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		a, err := ask("", "", []string{"Code\x1b[2J:"}, []bool{false})
		if err != nil || len(a) != 1 || a[0] != "42" {
			return nil, errors.New("wrong")
		}
		return nil, nil
	}
	o := optionsFor(t, bridge(t, s.serve))
	var asked []string
	o.Auth.Prompt = answer("42", &asked)
	receive(t, mustDial(t, o), 10)
	if len(asked) != 1 || strings.ContainsRune(asked[0], 0x1b) || !strings.HasPrefix(asked[0], "The sandbox asks: ") {
		t.Errorf("asked %q", asked)
	}
}

// A server that asks in the words of a question of this machine's own gets no
// answer to that: neither from a person who takes it for one, nor from where
// answers are kept.
func TestServersAskInTheirOwnName(t *testing.T) {
	key, _ := newPrivateKey(t)
	file := writeKey(t, key, "open sesame")
	s := newSSHServer(t)
	s.config.NoClientAuth = false
	s.config.PublicKeyCallback = func(_ ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
		return nil, nil
	}
	s.config.VerifiedPublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey, *ssh.Permissions, string) (*ssh.Permissions, error) {
		return nil, errors.New("after all not")
	}
	var told []string
	s.config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
		a, err := ask("", "", []string{"Passphrase for " + file + ": "}, []bool{false})
		told = append(told, a...)
		return nil, err
	}
	o := optionsFor(t, bridge(t, s.serve))
	o.Auth.Identities = []string{file}
	kept := map[string]string{} // as who answers for a person does
	o.Auth.Prompt = func(_ context.Context, question string) (string, error) {
		if _, known := kept[question]; !known {
			kept[question] = "dunno"
			if strings.HasPrefix(question, "Passphrase for ") {
				kept[question] = "open sesame"
			}
		}
		return kept[question], nil
	}
	if c, err := dialSSH(soon(t), o); err == nil {
		_ = c.Close()
	}
	if len(told) != 1 || told[0] != "dunno" || len(kept) != 2 {
		t.Errorf("the server was told %q; asked were %q", told, kept)
	}
}

func TestLoginFails(t *testing.T) {
	s := newSSHServer(t)
	passwordOnly(s, "hush")
	var dials atomic.Int64
	target := bridge(t, func(c net.Conn) { dials.Add(1); s.serve(c) })
	_, err := dialSSH(soon(t), optionsFor(t, target))
	if got := reasonOf(t, err); got != AuthFailed {
		t.Errorf("ended as %v", err)
	}
	if dials.Load() != 1 || s.logins.Load() != 1 {
		t.Errorf("%d connections, %d logins", dials.Load(), s.logins.Load())
	}
	if !strings.Contains(err.Error(), "tried none, password") {
		t.Errorf("the error does not say what was tried: %v", err)
	}
}

func TestBadIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(path, []byte("not a key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + "-missing"} {
		o := optionsFor(t, bridge(t, newSSHServer(t).serve))
		o.Auth.Identities = []string{p}
		_, err := dialSSH(soon(t), o)
		if got := reasonOf(t, err); got != AuthFailed {
			t.Errorf("%s: %v", p, err)
		}
	}
}

func TestUserCertificate(t *testing.T) {
	key, signer := newPrivateKey(t)
	authority := newKey(t)
	cert := &ssh.Certificate{Key: signer.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity, ValidPrincipals: []string{"user"}}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	path := writeKey(t, key, "")
	if err := os.WriteFile(path+"-cert.pub", ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSSHServer(t)
	s.config.NoClientAuth = false
	checker := &ssh.CertChecker{IsUserAuthority: func(k ssh.PublicKey) bool {
		return bytes.Equal(k.Marshal(), authority.PublicKey().Marshal())
	}}
	s.config.PublicKeyCallback = checker.Authenticate
	o := optionsFor(t, bridge(t, s.serve))
	o.Auth.Identities = []string{path}
	receive(t, mustDial(t, o), 10)
}

// A reconnect asks nobody what was answered before, and a wrong answer is
// asked for again.
func TestAnswersAreRemembered(t *testing.T) {
	s := newSSHServer(t)
	passwordOnly(s, "hush")
	o := optionsFor(t, bridge(t, s.serve)).withDefaults()
	var asked []string
	o.Auth.Prompt = answer("wrong", &asked)
	if _, err := dialSSH(soon(t), &o); !errors.Is(err, AuthFailed) {
		t.Fatal(err)
	}
	o.Auth.Prompt = answer("hush", &asked)
	for range 3 {
		c, err := dialSSH(soon(t), &o)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if len(asked) != 2 {
		t.Errorf("asked %q", asked)
	}
}

// Dials that fail leave neither goroutines nor connections behind.
func TestFailedDialsLeaveNothing(t *testing.T) {
	target := bridge(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-x\r\n") })
	known := goleak.IgnoreCurrent()
	for range 20 {
		if _, err := dialSSH(soon(t), optionsFor(t, target)); err == nil {
			t.Fatal("dialled")
		}
	}
	goleak.VerifyNone(t, known)
}
