package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// isDead: it has ended, also where whoever adopts orphans here has not looked yet.
func isDead(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

// TestKilledDaemon: the next command cleans up and says what happened; the
// mount point can be mounted again.
func TestKilledDaemon(t *testing.T) {
	for _, next := range []string{"list", "mount", "umount"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h := embeddedHost(t)
			point := d.mount(h)
			pid := d.list()[0].PID
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, "the daemon is dead", func() bool { return isDead(pid) })
			var r result
			switch next {
			case "list":
				r = d.run("list")
			case "mount":
				r = d.run(append(h.flags(), h.spec(), point)...)
			case "umount":
				r = d.run("umount", point)
			}
			if r.code != 0 || !strings.Contains(r.err, fmt.Sprintf("pid %d", pid)) {
				t.Errorf("%+v", r)
			}
			if next == "mount" {
				d.umount(point)
			}
			if isMounted(t, point) {
				t.Errorf("still mounted: %+v", r)
			}
		})
	}
}

// TestStaleMountPoint: what a daemon left in the mount table, with no state
// that tells of it, is cleaned up.
func TestStaleMountPoint(t *testing.T) {
	for _, next := range []string{"mount", "umount", "force"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h := embeddedHost(t)
			point := d.mount(h)
			if err := syscall.Kill(d.list()[0].PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			until(t, "the mount is dead", func() bool {
				_, err := os.Stat(point)
				return errors.Is(err, syscall.ENOTCONN)
			})
			if err := os.RemoveAll(filepath.Join(d.dir, "runtime_dir", "sbxmount")); err != nil {
				t.Fatal(err)
			}
			switch next {
			case "mount":
				d.mount(h)
				d.sh(point, "echo data > file")
				d.umount(point)
				same(t, h.path("file"), []byte("data\n"))
			case "umount":
				d.umount(point)
			case "force":
				d.ok("umount", "--force", point)
			}
			if isMounted(t, point) {
				t.Error("still mounted")
			}
		})
	}
}

// TestStoppedDaemon: a daemon that does not answer is ended by --force.
func TestStoppedDaemon(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	point := d.mount(h)
	if err := syscall.Kill(d.list()[0].PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "it is seen not to respond", func() bool { // its threads stop one by one
		l := d.list()
		return len(l) == 1 && l[0].State == "not responding"
	})
	if r := d.run("umount", "--force", point); r.code != 10 || !strings.Contains(r.err, "did not answer") {
		t.Errorf("%+v", r)
	}
	if isMounted(t, point) || len(d.list()) != 0 {
		t.Error("something is left")
	}
}
