package sandboxd_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestLogins(t *testing.T) {
	key, other := newKey(t), newKey(t)
	keys := []ssh.PublicKey{key.PublicKey()}
	for name, test := range map[string]struct {
		auth    sandboxd.Auth
		user    string
		methods []ssh.AuthMethod
		ok      bool
	}{
		"none":                    {sandboxd.Auth{}, "user", nil, true},
		"empty password":          {sandboxd.Auth{NoNone: true}, "user", []ssh.AuthMethod{ssh.Password("")}, true},
		"none where it is off":    {sandboxd.Auth{NoNone: true}, "user", nil, false},
		"some password":           {sandboxd.Auth{NoNone: true}, "user", []ssh.AuthMethod{ssh.Password("x")}, false},
		"password":                {sandboxd.Auth{Password: "secret"}, "user", []ssh.AuthMethod{ssh.Password("secret")}, true},
		"wrong password":          {sandboxd.Auth{Password: "secret"}, "user", []ssh.AuthMethod{ssh.Password("")}, false},
		"none, password wanted":   {sandboxd.Auth{Password: "secret"}, "user", nil, false},
		"key":                     {sandboxd.Auth{Keys: keys}, "user", []ssh.AuthMethod{ssh.PublicKeys(other, key)}, true},
		"wrong key":               {sandboxd.Auth{Keys: keys}, "user", []ssh.AuthMethod{ssh.PublicKeys(other)}, false},
		"empty password, key set": {sandboxd.Auth{Keys: keys}, "user", []ssh.AuthMethod{ssh.Password("")}, false},
		"other user":              {sandboxd.Auth{}, "root", nil, false},
	} {
		s := start(t, sandboxd.Options{User: "user", Auth: test.auth})
		c, _, err := dialWS(t, s.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := login(t, c, test.user, test.methods...); (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
		if (s.Logins() == 1) != test.ok {
			t.Errorf("%s: %d logins", name, s.Logins())
		}
	}
}

func TestHostKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	var keys []string
	for _, name := range []string{file, file, ""} {
		s := start(t, sandboxd.Options{HostKey: name})
		c, _, err := dialWS(t, s.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		config := &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}
		config.HostKeyCallback = func(_ string, _ net.Addr, k ssh.PublicKey) error {
			keys = append(keys, string(k.Marshal()))
			return nil
		}
		if _, _, _, err := ssh.NewClientConn(c, "sandbox:22", config); err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] != keys[1] || keys[1] == keys[2] {
		t.Error("a key file's key stays, and no other does")
	}
	if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", fi, err)
	}
}

func TestTenSessions(t *testing.T) {
	client := dialSSH(t, start(t, sandboxd.Options{}))
	var last *ssh.Session
	for range 10 {
		var err error
		if last, err = client.NewSession(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.NewSession(); err == nil {
		t.Error("an eleventh session")
	}
	if err := last.Close(); err != nil {
		t.Fatal(err)
	}
	_ = last.Wait()
	for { // the server counts it out a moment later
		if _, err := client.NewSession(); err == nil {
			return
		}
		if t.Context().Err() != nil {
			t.Fatal("the place of a session that ended stays taken")
		}
	}
}

func TestNoShell(t *testing.T) {
	client := dialSSH(t, start(t, sandboxd.Options{NoSFTP: true}))
	for _, request := range []string{"exec", "shell", "pty-req", "env", "subsystem"} {
		session, err := client.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := session.SendRequest(request, true, ssh.Marshal(struct{ Text string }{"sftp"})); ok || err != nil {
			t.Errorf("%s: %v, %v", request, ok, err)
		}
	}
	if _, _, err := client.OpenChannel("direct-tcpip", nil); err == nil {
		t.Error("a tunnel")
	}
	if ok, _, err := client.SendRequest("keepalive@openssh.com", true, nil); ok || err != nil {
		t.Errorf("keep-alive: %v, %v", ok, err)
	}
}

func TestExec(t *testing.T) {
	s := start(t, sandboxd.Options{Exec: func(_ context.Context, e sandboxd.Exec) int {
		in, _ := io.ReadAll(e.Stdin)
		_, _ = fmt.Fprintf(e.Stdout, "%s %s", e.Command, in)
		return 3
	}})
	session, err := dialSSH(t, s).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	session.Stdin = strings.NewReader("input")
	out, err := session.Output("id -u")
	if string(out) != "id -u input" || err == nil || err.(*ssh.ExitError).ExitStatus() != 3 {
		t.Errorf("%q, %v", out, err)
	}
}

// OpenSSH's own client works with it.
func TestOpenSSHClient(t *testing.T) {
	dir := t.TempDir()
	s := start(t, sandboxd.Options{Dir: dir, SSHAddr: "127.0.0.1:0"})
	local := t.TempDir()
	write(t, local, "in", "content")
	port := s.SSHURL()[strings.LastIndex(s.SSHURL(), ":")+1:]
	cmd := exec.CommandContext(t.Context(), "sftp", "-F", "none", "-P", port, "-b", "-",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "user@127.0.0.1")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(`mkdir d
put -p @/in d/in
rename d/in d/out
ln d/out d/hard
symlink out d/link
chmod 600 d/out
df d
ls -la d
get -p d/out @/out
rm d/hard
copy d/out d/copy
`, "@", local))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if content(t, local, "out") != "content" || content(t, dir, "d/copy") != "content" {
		t.Error("the content is another")
	}
}

// Close ends what goes on and waits for it.
func TestClose(t *testing.T) {
	s := start(t, sandboxd.Options{})
	c := dialRaw(t, s)
	c.handle(pOpen, "/f", oWrite|oCreate, attr{})
	_ = s.Close()
	if _, err := c.r.Read(make([]byte, 1)); err == nil {
		t.Error("the session goes on")
	}
	if n := len(s.Conns()); n != 0 {
		t.Errorf("%d connections", n)
	}
	if _, _, err := dialWS(t, s.URL(), nil); err == nil {
		t.Error("it goes on listening")
	}
}

// An empty message is the end, as it is for websocat.
func TestEmptyMessageIsTheEnd(t *testing.T) {
	s := start(t, sandboxd.Options{})
	c, _, err := dialWS(t, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(nil); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Errorf("the connection ends with %v", err)
	}
}
