package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// providerDesk is a desk whose environment leads to an embedded sandbox with
// its provider's API, as E2B's own tools do it for development.
func providerDesk(t *testing.T, o sandboxd.Options) (*desk, *sandboxd.Server, []string) {
	t.Helper()
	s := startSandboxd(t, o)
	d := newDesk(t)
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "E2B_DEBUG=true", "E2B_API_URL="+s.APIURL(), "E2B_API_KEY="+s.APIKey())
	return d, s, []string{"--no-agent", "--port", port, s.ID(), filepath.Join(d.dir, "m")}
}

// TestByID: the id is enough; the API's key fetches the traffic token.
func TestByID(t *testing.T) {
	d, s, args := providerDesk(t, sandboxd.Options{})
	if words := d.ok("__complete", ""); !strings.Contains(words, s.ID()) {
		t.Errorf("a sandbox completes to %q", words)
	}
	d.ok(args...)
	d.sh(filepath.Join(d.dir, "m"), "echo data > file")
	d.umount(filepath.Join(d.dir, "m"))

	d.env = append(d.env, "E2B_API_KEY=e2b_wrong")
	if r := d.run(args...); r.code != 5 || strings.Contains(r.err, "e2b_wrong") {
		t.Errorf("%+v", r)
	}
}

// TestPaused: a paused sandbox is resumed on mount, unless told not to.
func TestPaused(t *testing.T) {
	d, s, args := providerDesk(t, sandboxd.Options{})
	s.Pause()
	if r := d.run(append([]string{"--resume", "never"}, args...)...); r.code != 3 || !strings.Contains(r.err, "paused") {
		t.Errorf("%+v", r)
	}
	if s.State() != sandboxd.Paused {
		t.Error("it was woken")
	}
	d.ok(args...)
	if s.State() != sandboxd.Running {
		t.Errorf("it is %v", s.State())
	}
	d.umount(filepath.Join(d.dir, "m"))
}

// TestGone: a sandbox that was killed.
func TestGone(t *testing.T) {
	d, s, args := providerDesk(t, sandboxd.Options{})
	s.Kill()
	if r := d.run(args...); r.code != 3 || !strings.Contains(r.err, "not found") {
		t.Errorf("%+v", r)
	}
}

// TestKeepAlive: an open file keeps a sandbox alive beyond its lifetime; an
// idle mount at which somebody looks does not.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	const life = 15 * time.Second // what the API takes at least
	d, s, args := providerDesk(t, sandboxd.Options{Lifetime: 12 * time.Second, Public: true})
	d.ok(append([]string{"--keep-alive", life.String()}, args...)...)
	point := filepath.Join(d.dir, "m")
	d.sh(point, "exec 3>file; sleep 18; echo data >&3")
	if s.State() != sandboxd.Running {
		t.Fatalf("it is %v while it is used", s.State())
	}
	until(t, "it ends", func() bool {
		_, _ = os.Stat(filepath.Join(point, "file"))
		return s.State() == sandboxd.Gone
	})
	d.umount(point)
}
