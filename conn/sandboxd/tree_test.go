package sandboxd_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// jail is a directory in another one that has a secret, with links that lead
// out in every way.
func jail(t *testing.T) (outer string, c *raw) {
	t.Helper()
	outer = t.TempDir()
	dir := filepath.Join(outer, "dir")
	if err := os.MkdirAll(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, outer, "secret", "secret")
	write(t, dir, "inside", "inside")
	for name, text := range map[string]string{
		"up": "../secret", "far": "../../../../../../etc/passwd", "abs": filepath.Join(outer, "secret"),
		"etc": "/etc", "updir": "..", "rootdir": "/", "sub/up": "../../secret", "sub/abs": "/inside",
		"sub/two": "up", "proc": "/proc/self/root/etc/passwd", "chain": "sub/../updir/secret",
	} {
		if err := os.Symlink(text, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return outer, dialRaw(t, start(t, sandboxd.Options{Dir: dir}))
}

func TestLinksLeadNowhereElse(t *testing.T) {
	outer, c := jail(t)
	for _, p := range []string{
		"/up", "/far", "/abs", "/etc/passwd", "/updir/secret", "/rootdir/secret", "/sub/up", "/sub/two", "/proc",
		"/chain", "/../secret", "/sub/../../secret", "../secret", "/updir/" + filepath.Base(outer) + "/secret",
	} {
		c.want(noSuchFile, pStat, p)
		c.want(noSuchFile, pOpen, p, oRead, attr{})
		c.want(noSuchFile, pSetstat, p, mode(0))
	}
	if st := stat(t, outer, "secret"); st.Mode&0o777 != 0o644 || st.Size != 6 {
		t.Errorf("%+v", st)
	}
}

// As after chroot, absolute links and ".." begin and end at the root.
func TestLinksWithin(t *testing.T) {
	_, c := jail(t)
	for _, p := range []string{"/sub/abs", "/updir/inside", "/rootdir/sub/abs", "/sub/../../inside", "/rootdir/rootdir/inside"} {
		if a := c.attrs(pStat, p); a.size != 6 {
			t.Errorf("%s: %+v", p, a)
		}
		if got := c.name(pRealpath, p); got != "/inside" {
			t.Errorf("%s is %s", p, got)
		}
	}
	if got := c.name(pReadlink, "/far"); got != "../../../../../../etc/passwd" {
		t.Errorf("text %q", got)
	}
	c.handle(pOpen, "/up", oWrite|oCreate, attr{}) // makes /secret, inside
	if a := c.attrs(pStat, "/secret"); a.size != 0 {
		t.Errorf("%+v", a)
	}
}

// A directory that is swapped for a link all the time lets nobody out.
func TestSwappedLink(t *testing.T) {
	outer, c := jail(t)
	dir := filepath.Join(outer, "dir")
	if err := os.Mkdir(filepath.Join(outer, "target"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, outer, "target/f", "secret")
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "a/f", "in")
	if err := os.Symlink(filepath.Join(outer, "target"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = exchange(filepath.Join(dir, "a"), filepath.Join(dir, "b"))
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 3000 {
		if p := c.ask(pStat, "/a/f"); p[0] == pAttrs && p[5+11] != 2 {
			t.Fatal("the secret's size was told")
		}
		c.ask(pSetstat, "/a/f", attr{flags: 4, mode: 0o600})
		if p := c.ask(pOpen, "/a/new", oWrite|oCreate|oTrunc, attr{}); p[0] == pHandle {
			c.ask(pClose, "\x00\x00\x00\x00")
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(outer, "target/f"), &st); err != nil || st.Mode&0o777 != 0o644 {
		t.Errorf("the secret's mode is %o, %v", st.Mode, err)
	}
	if _, err := os.Stat(filepath.Join(outer, "target/new")); err == nil {
		t.Error("a file was made outside")
	}
}
