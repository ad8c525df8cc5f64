package conn

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// signedHostKey returns a host certificate's signer and the authority's key.
func signedHostKey(t *testing.T, principal string) (host ssh.Signer, authority ssh.PublicKey) {
	t.Helper()
	ca, key := newKey(t), newKey(t)
	cert := &ssh.Certificate{Key: key.PublicKey(), CertType: ssh.HostCert, ValidBefore: ssh.CertTimeInfinity, ValidPrincipals: []string{principal}}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return s, ca.PublicKey()
}

func dialReason(t *testing.T, o *Options) (Reason, string) {
	t.Helper()
	c, err := dialSSH(soon(t), o)
	if err == nil {
		_ = c.Close()
		t.Fatal("the host key was accepted")
	}
	reason := reasonOf(t, err)
	var d *DialError
	errors.As(err, &d)
	return reason, d.Advice
}

func withKey(t *testing.T, keys ...ssh.Signer) *Options {
	return optionsFor(t, bridge(t, newSSHServer(t, keys...).serve))
}

func TestNewHostKeyIsFiledOnce(t *testing.T) {
	o := withKey(t)
	o.HostKeys.File = filepath.Join(t.TempDir(), "new", "known_hosts")
	mustDial(t, o)
	first, err := os.ReadFile(o.HostKeys.File)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(first), "testbox") || !strings.HasPrefix(string(first), "|1|") {
		t.Errorf("the id is not hashed: %q", first)
	}
	o.HostKeys.Mode = HostKeyStrict
	mustDial(t, o)
	second, _ := os.ReadFile(o.HostKeys.File)
	if string(first) != string(second) {
		t.Errorf("filed again: %q", second)
	}
	if info, _ := os.Stat(filepath.Dir(o.HostKeys.File)); info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
	if info, _ := os.Stat(o.HostKeys.File); info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v", info.Mode())
	}
}

func TestChangedHostKeyIsRefused(t *testing.T) {
	o := withKey(t)
	mustDial(t, o)
	before, _ := os.ReadFile(o.HostKeys.File)
	other := withKey(t)
	other.HostKeys.File = o.HostKeys.File
	reason, advice := dialReason(t, other)
	if reason != HostKeyChanged || !strings.Contains(advice, "ssh-keygen -R 'testbox' -f "+o.HostKeys.File) {
		t.Errorf("%v, with the advice %q", reason, advice)
	}
	after, _ := os.ReadFile(o.HostKeys.File)
	if string(before) != string(after) {
		t.Error("the refused key changed the file")
	}
	other.HostKeys.Mode = HostKeyOff
	mustDial(t, other)
}

func TestUnknownHostKeyIsRefusedWhenStrict(t *testing.T) {
	o := withKey(t)
	o.HostKeys.Mode = HostKeyStrict
	if reason, _ := dialReason(t, o); reason != HostKeyUnknown {
		t.Errorf("ended as %v", reason)
	}
	if _, err := os.Stat(o.HostKeys.File); err == nil {
		t.Error("a file was made")
	}
}

// A server that has keys of several types shows the one that is filed.
func TestServerWithSeveralKeys(t *testing.T) {
	rsa, ed := newRSAKey(t), newKey(t)
	for _, filed := range []ssh.Signer{rsa, ed} {
		o := withKey(t, rsa, ed)
		line := knownhosts.Line([]string{"testbox"}, filed.PublicKey()) + "\n"
		if err := os.WriteFile(o.HostKeys.File, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		o.HostKeys.Mode = HostKeyStrict
		mustDial(t, o)
	}
}

func TestHostCertificates(t *testing.T) {
	host, authority := signedHostKey(t, "testbox")
	line := "@cert-authority test* " + string(ssh.MarshalAuthorizedKey(authority))
	o := withKey(t, host)
	o.HostKeys.Mode = HostKeyStrict
	if err := os.WriteFile(o.HostKeys.File, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	mustDial(t, o)

	another, _ := signedHostKey(t, "testbox")
	o2 := withKey(t, another)
	o2.HostKeys = o.HostKeys
	if reason, _ := dialReason(t, o2); reason != HostKeyChanged {
		t.Errorf("another authority's certificate ended as %v", reason)
	}
	wrong := withKey(t, host)
	wrong.HostKeys = HostKeyOptions{File: o.HostKeys.File, Name: "testbox2"}
	if reason, _ := dialReason(t, wrong); reason != HostKeyChanged {
		t.Errorf("another host's certificate ended as %v", reason)
	}
}

func TestRevokedHostKey(t *testing.T) {
	key := newKey(t)
	o := withKey(t, key)
	line := "@revoked * " + string(ssh.MarshalAuthorizedKey(key.PublicKey()))
	if err := os.WriteFile(o.HostKeys.File, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	if reason, _ := dialReason(t, o); reason != HostKeyChanged {
		t.Errorf("ended as %v", reason)
	}
}

func TestUnreadableKnownHosts(t *testing.T) {
	o := withKey(t)
	if err := os.WriteFile(o.HostKeys.File, []byte("testbox ssh-ed25519 !!!\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reason, advice := dialReason(t, o)
	if reason != HostKeyUnknown || !strings.Contains(advice, o.HostKeys.File) {
		t.Errorf("%v, with the advice %q", reason, advice)
	}
}

func TestNamesWithPorts(t *testing.T) {
	for _, name := range []string{"127.0.0.1:2222", "[::1]:22", "::1", "box", "example.com:22", "[2001:db8::1]:8022"} {
		o := withKey(t)
		o.HostKeys.Name = name
		mustDial(t, o)
		o.HostKeys.Mode = HostKeyStrict
		mustDial(t, o)
	}
}

// As for ssh, a key that is filed without a port vouches for any port of that
// host, and contradicts none.
func TestKeyFiledWithoutItsPort(t *testing.T) {
	for _, pattern := range []string{"box", "*"} {
		rsa, ed := newRSAKey(t), newKey(t)
		o := withKey(t, ed, rsa)
		o.HostKeys.Name, o.HostKeys.Mode = "box:2222", HostKeyStrict
		line := pattern + " " + string(ssh.MarshalAuthorizedKey(rsa.PublicKey()))
		if err := os.WriteFile(o.HostKeys.File, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		mustDial(t, o)
		other := withKey(t)
		other.HostKeys = o.HostKeys
		if reason, _ := dialReason(t, other); reason != HostKeyUnknown {
			t.Errorf("%s: another key ended as %v", pattern, reason)
		}
		other.HostKeys.Mode = HostKeyAcceptNew
		mustDial(t, other)
	}
}

// Many first connections at once file one key each time, and lose none.
func TestManyFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	var all sync.WaitGroup
	for range 20 {
		key := newKey(t).PublicKey()
		for range 2 {
			all.Go(func() {
				c, err := newHostKeyChecker(HostKeyOptions{File: path, Name: ssh.FingerprintSHA256(key)[7:17]}, "")
				if err == nil {
					err = c.check(soon(t), key)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	data, _ := os.ReadFile(path)
	if n := strings.Count(string(data), "\n"); n != 20 {
		t.Errorf("%d keys were filed", n)
	}
}

func TestKnownHostsThroughALink(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.WriteFile(real, []byte("# mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := withKey(t)
	o.HostKeys.File = filepath.Join(dir, "link")
	if err := os.Symlink(real, o.HostKeys.File); err != nil {
		t.Fatal(err)
	}
	mustDial(t, o)
	data, _ := os.ReadFile(real)
	if !strings.HasPrefix(string(data), "# mine\n|1|") {
		t.Errorf("the file became %q", data)
	}
}

func TestLockIsWaitedForWithinTheContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "known_hosts")
	unlock, err := lockKnownHosts(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := shortly(t)
	defer cancel()
	if _, err := lockKnownHosts(ctx, path); err == nil {
		t.Fatal("a held lock was given away")
	}
	unlock()
	again, err := lockKnownHosts(soon(t), path)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func FuzzKnownHosts(f *testing.F) {
	f.Add([]byte("|1|abc=|def= ssh-ed25519 AAAA\n"))
	f.Add([]byte("@cert-authority * ssh-ed25519 AAAA\n@revoked"))
	f.Add([]byte("[box]:22,!other ssh-rsa "))
	dir := f.TempDir()
	key := newKey(f).PublicKey()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "known_hosts")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := newHostKeyChecker(HostKeyOptions{Mode: HostKeyStrict, File: path}, "box")
		if err == nil {
			_ = c.algorithms()
			_ = c.check(t.Context(), key)
		}
	})
}
