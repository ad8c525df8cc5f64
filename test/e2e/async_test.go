package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sbxmount/sbxmount/test/openssh"
)

// TestAsyncRefused: what the sandbox refuses behind a program's back is undone in
// the mount, and told by the fsync of the directory, by status, and by the exit
// codes of sync and umount, once each.
func TestAsyncRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := sshHost(t, openssh.Own)
	point := d.mount(h, "--writes", "async", "--ttl", "1m")
	refused := func(name string) {
		t.Helper()
		if _, err := os.ReadDir(point); err != nil { // the name is known to be free
			t.Fatal(err)
		}
		if err := os.WriteFile(h.path(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(point, name), 0o755); err != nil {
			t.Fatalf("it was waited for: %v", err)
		}
	}

	refused("a")
	dir, err := os.Open(point)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Sync(); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("fsync of the directory: %v", err)
	}
	if err := dir.Sync(); err != nil {
		t.Errorf("a second fsync of the directory: %v", err)
	}
	until(t, "the mount shows what is there", func() bool {
		st, err := os.Lstat(filepath.Join(point, "a"))
		return err == nil && st.Mode().IsRegular()
	})
	if r := d.run("sync", point); r.code != 10 {
		t.Errorf("sync: %+v", r)
	}
	d.ok("sync", point)
	if text := d.ok("status", point); !strings.Contains(text, "1 change that the sandbox did not carry out") || !strings.Contains(text, "journal") {
		t.Errorf("status: %s", text)
	}

	refused("b")
	if r := d.run("umount", point); r.code != 10 || !isMounted(t, point) {
		t.Errorf("umount: %+v", r)
	}
	dir.Close()
	d.ok("umount", point)
	left, _ := filepath.Glob(filepath.Join(d.dir, "state_home/sbxmount/journal/*/*"))
	if len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestJournalPlace: a journal goes to no place that another can change.
func TestJournalPlace(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := embeddedHost(t)
	state := filepath.Join(d.dir, "state_home/sbxmount")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(state, "journal")); err != nil {
		t.Fatal(err)
	}
	args := append(h.flags(), "--writes", "async", h.spec(), filepath.Join(d.dir, "m"))
	if r := d.run(args...); r.code != 1 || !strings.Contains(r.err, "journal directory") {
		t.Errorf("%+v", r)
	}
	if left, _ := os.ReadDir(elsewhere); len(left) > 0 {
		t.Errorf("written there: %v", left)
	}
}
