package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const secret = "a secret of this machine"

// canary is a local tree that no link of a sandbox may reach.
type canary struct{ dir string }

func newCanary(t *testing.T, d *desk) canary {
	t.Helper()
	c := canary{filepath.Join(d.dir, "canary")}
	if err := os.Mkdir(c.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(c.file(), []byte(secret), 0o666); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c canary) file() string { return filepath.Join(c.dir, "secret") }

// untouched: nothing was written into, made in, or taken from it.
func (c canary) untouched(t *testing.T) {
	t.Helper()
	names, err := os.ReadDir(c.dir)
	if err != nil || len(names) != 1 {
		t.Errorf("the canary's directory has %v, %v", names, err)
	}
	if got, err := os.ReadFile(c.file()); err != nil || string(got) != secret {
		t.Errorf("the canary holds %q, %v", got, err)
	}
}

// attacks are links that lead to the canary, were the kernel to resolve them as
// the sandbox has them: by name, with what must stand in the sandbox for it.
func (c canary) attacks(point string) map[string]string {
	up := strings.Repeat("../", 30)
	return map[string]string{
		"absolute":   c.file(),
		"slashes":    "//" + c.file(),
		"dots":       "/./." + c.file(),
		"climb":      up + c.file()[1:],
		"chain1":     "chain2",
		"chain2":     "d/chain3",
		"d/chain3":   "../chain4",
		"chain4":     c.file(),
		"dir":        c.dir,
		"viadir":     "dir/secret",
		"root":       "/",
		"viaroot":    "root" + c.file(),
		"parent":     "..",
		"viaparent":  "parent/" + up + c.file()[1:],
		"mid":        "d/e/../../" + up + c.file()[1:],
		"midlink":    "self/../" + up + c.file()[1:],
		"self":       ".",
		"viaself":    strings.Repeat("self/../", 20) + c.file()[1:],
		"todir":      "d/e",
		"miduplink":  "todir/../../../" + up + c.file()[1:],
		"proc":       "/proc/self/root" + c.file(),
		"proccwd":    "/proc/self/cwd/../canary/secret",
		"procfd":     "/proc/self/fd/0",
		"mount":      point + "/../canary/secret",
		"loop1":      "loop2",
		"loop2":      "loop1",
		"loopmid":    "loop1/../" + up + c.file()[1:],
		"long":       strings.Repeat("./", 1500) + up + c.file()[1:],
		"longabs":    strings.Repeat("/", 3000) + c.file(),
		"control":    "\x01\x1b[2J\n/../" + up + c.file()[1:],
		"bytes":      "\xff\xfe/../" + up + c.file()[1:],
		"hidden":     ".sbxmount-root" + c.file(),
		"hiddenup":   ".sbxmount-root/../../" + c.file()[1:],
		"d/hiddenup": "../.sbxmount-root/" + up + c.file()[1:],
		"missing":    "none/../" + up + c.file()[1:],
		"file":       "plain/../" + up + c.file()[1:],
		"dots3":      ".../" + up + c.file()[1:],
	}
}

// attackedHost is an embedded sandbox, whose own file system is not this
// machine's, with a directory /project full of attacks.
func attackedHost(t *testing.T, d *desk, c canary) (*host, map[string]string) {
	t.Helper()
	h := embeddedHost(t)
	attacks := c.attacks(filepath.Join(d.dir, "mnt-embedded"))
	d.sh(h.dir, `mkdir -p project/d/e usr/bin; echo plain > project/plain; echo "the sandbox's python" > usr/bin/python3`)
	for name, text := range attacks {
		if err := os.Symlink(text, h.path("project", name)); err != nil {
			t.Fatal(err)
		}
	}
	h.remote = "/project"
	return h, attacks
}

// TestLinksOfTheSandboxReachNothingLocal follows each attack in each way that
// programs follow links.
func TestLinksOfTheSandboxReachNothingLocal(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"outside": nil, "no-outside": {"--no-outside"}, "no-ttl": {"--ttl=0"}} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			c := newCanary(t, d)
			h, attacks := attackedHost(t, d, c)
			point := d.mount(h, flags...)
			defer d.umount(point)
			for name := range attacks {
				link := filepath.Join(point, name)
				followed(t, point, link)
				if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
					t.Errorf("lstat %s: %v", name, err)
				} else if text, err := os.Readlink(link); err == nil && int64(len(text)) != info.Size() {
					t.Errorf("%s has size %d and text %q", name, info.Size(), text)
				}
			}
			if name == "no-outside" {
				if _, err := os.Open(filepath.Join(point, "absolute")); !errors.Is(err, syscall.EPERM) {
					t.Errorf("following a link out: %v", err)
				}
			}
			out := d.sh(point, `exec 2>/dev/null; set +e; cat * d/* dir/* root/*; grep -rh "" .; find -L . -maxdepth 3 -exec cat {} +; true`)
			if strings.Contains(out, secret) {
				t.Errorf("programs read the canary:\n%s", out)
			}
			out = d.sh(point, `set +e; ls -la . >/dev/null; for l in * d/*; do readlink -f "$l"; done; true`)
			for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
				if strings.HasPrefix(line, "/") && line != point && !strings.HasPrefix(line, point+"/") {
					t.Errorf("readlink -f finds %q outside of the mount", line)
				}
			}
			c.untouched(t)
		})
	}
}

// followed uses a link for reading, writing, making, and as a directory.
func followed(t *testing.T, point, link string) {
	t.Helper()
	if got, err := os.ReadFile(link); err == nil && bytes.Contains(got, []byte(secret)) {
		t.Errorf("%s reads the canary", link)
	}
	for _, p := range []string{link, link + "/secret", link + "/made"} {
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			f.Write([]byte("overwritten"))
			f.Close()
		}
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o600); err == nil {
			f.Close()
		}
	}
	if real, err := filepath.EvalSymlinks(link); err == nil && real != point && !strings.HasPrefix(real, point+"/") {
		t.Errorf("%s leads to %s", link, real)
	}
	os.Chmod(link, 0)
	os.Chmod(link, 0o777)
}

// TestSwappedLinks: the sandbox swaps a directory for links while programs here
// go through it.
func TestSwappedLinks(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := newCanary(t, d)
	h, _ := attackedHost(t, d, c)
	up := strings.Repeat("../", 30)
	if err := os.Symlink("swap/../"+up+c.file()[1:], h.path("project/through")); err != nil {
		t.Fatal(err)
	}
	point := d.mount(h, "--ttl=1ms")
	defer d.umount(point)

	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		swap, other := h.path("project/swap"), h.path("project/swap~")
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			switch i % 4 {
			case 0:
				os.Mkdir(swap, 0o755)
			case 1, 2, 3:
				os.Symlink([]string{c.dir, up + c.dir[1:], "."}[i%4-1], other)
				os.Remove(swap) // also the directory
				os.Rename(other, swap)
			}
		}
	}()
	var readers sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for _, p := range []string{"swap/secret", "through", "swap/made", "d/e/../../swap/secret"} {
		readers.Go(func() {
			for time.Now().Before(end) {
				if got, err := os.ReadFile(filepath.Join(point, p)); err == nil && bytes.Contains(got, []byte(secret)) {
					t.Errorf("%s reads the canary", p)
					return
				}
				if f, err := os.OpenFile(point+"/"+p, os.O_WRONLY|os.O_CREATE, 0o600); err == nil {
					f.Write([]byte("overwritten"))
					f.Close()
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	<-done
	c.untouched(t)
}

// TestLinksLeadToTheSandboxsFiles: what leads out of the mounted directory is
// the sandbox's, and stays so when it is copied within the mount.
func TestLinksLeadToTheSandboxsFiles(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := embeddedHost(t)
	d.sh(h.dir, `mkdir -p project/.venv/bin project/src usr/bin
echo "the sandbox's python" > usr/bin/python3; echo inside > project/src/f
ln -s /usr/bin/python3 project/.venv/bin/python
ln -s ../../src/f project/.venv/bin/relative
ln -s ../../../usr project/src/usr
ln -s /project/src/f project/absolute
cd project; git init -q -b main .; git add absolute .venv/bin/relative; git commit -qm links`)
	h.remote = "/project"
	point := d.mount(h)
	defer d.umount(point)
	for p, want := range map[string]string{
		".venv/bin/python": "the sandbox's python\n", ".venv/bin/relative": "inside\n", "absolute": "inside\n",
	} {
		if got, err := os.ReadFile(filepath.Join(point, p)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", p, got, err)
		}
	}
	d.sh(point, `test "$(readlink .venv/bin/python)" = ../../.sbxmount-root/usr/bin/python3
test "$(readlink absolute)" = src/f
test -z "$(ls -a | grep sbxmount)"
test "$(cat src/usr/bin/python3)" = "the sandbox's python"
test "$(readlink .sbxmount-root/project)" = ..
cp -a .venv cp; rsync -a .venv/ rsync/; mkdir tar; tar -cf - .venv | tar -xf - -C tar; mv tar/.venv tar2
test -z "$(rsync -ain .venv/ rsync/)"; tar -cf - .venv | tar -df -`)
	for _, copied := range []string{"cp", "rsync", "tar2"} {
		if text, err := os.Readlink(h.path("project", copied, "bin/python")); err != nil || text != "/usr/bin/python3" {
			t.Errorf("%s stored %q on the sandbox, %v", copied, text, err)
		}
		if text, err := os.Readlink(h.path("project", copied, "bin/relative")); err != nil || text != "../../src/f" {
			t.Errorf("%s stored %q on the sandbox, %v", copied, text, err)
		}
		if text, err := os.Readlink(filepath.Join(point, copied, "bin/python")); err != nil || text != "../../.sbxmount-root/usr/bin/python3" {
			t.Errorf("%s shows %q, %v", copied, text, err)
		}
	}
	// What leaves the mount has the text that the mount shows.
	d.sh(d.dir, `tar -C `+point+` -cf - .venv | tar -xf -; test "$(readlink .venv/bin/python)" = ../../.sbxmount-root/usr/bin/python3
rsync -a `+point+`/.venv/ synced/; test "$(readlink synced/bin/python)" = ../../.sbxmount-root/usr/bin/python3
rsync -a --copy-unsafe-links `+point+`/.venv/ copied/; test "$(readlink copied/bin/relative)" = ../../src/f || test -f copied/bin/relative`)
	// git has committed the sandbox's text, and sees the mount's.
	out := d.sh(point, `git -c core.trustctime=false -c safe.directory='*' status --porcelain -uno`)
	if out != " M absolute\n" {
		t.Errorf("git status says %q", out)
	}
}

// TestRawLinks: what --symlinks raw shows is the sandbox's text, with a warning.
func TestRawLinks(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := embeddedHost(t)
	if err := os.Symlink("/usr/bin/python3", h.path("python")); err != nil {
		t.Fatal(err)
	}
	point := filepath.Join(d.dir, "mnt")
	r := d.run(append(h.flags(), "--symlinks=raw", h.spec(), point)...)
	if r.code != 0 || !strings.Contains(r.err, "--symlinks raw") {
		t.Errorf("%+v", r)
	}
	defer d.umount(point)
	if text, err := os.Readlink(point + "/python"); err != nil || text != "/usr/bin/python3" {
		t.Errorf("%q, %v", text, err)
	}
	if r := d.run(append(h.flags(), "--symlinks=some", h.spec(), fmt.Sprint(point, 2))...); r.code != 2 {
		t.Errorf("%+v", r)
	}
}
