package e2e

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEdit saves a file in the ways that editors do and looks at the server
// after each close.
func TestEdit(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		if err := os.WriteFile(h.path("file"), []byte("first\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		point := d.mount(h)
		file := filepath.Join(point, "file")
		same(t, file, []byte("first\n"))

		// Many editors: a temporary file, fsync, rename over the old one.
		writeSynced(t, file+".tmp", "renamed\n")
		if err := os.Rename(file+".tmp", file); err != nil {
			t.Fatal(err)
		}
		same(t, h.path("file"), []byte("renamed\n"))
		same(t, file, []byte("renamed\n"))

		// vim with backupcopy=no: the old one becomes the backup.
		if err := os.Rename(file, file+"~"); err != nil {
			t.Fatal(err)
		}
		writeSynced(t, file, "vim\n")
		if err := os.Remove(file + "~"); err != nil {
			t.Fatal(err)
		}
		same(t, h.path("file"), []byte("vim\n"))

		// VS Code, vim with backupcopy=yes: truncated and written in place.
		if err := os.WriteFile(file, []byte("in place\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		same(t, h.path("file"), []byte("in place\n"))

		// In the middle, and longer than before.
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("IN"), 0); err != nil {
			t.Fatal(err)
		}
		if err := f.Truncate(5); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		same(t, h.path("file"), []byte("IN pl"))

		d.sh(point, `echo more >> file; test "$(tail -c 5 file)" = more`)
		same(t, h.path("file"), []byte("IN plmore\n"))
		d.umount(point)
		names, _ := filepath.Glob(h.path("*"))
		if len(names) != 1 {
			t.Errorf("left on the server: %v", names)
		}
	})
}

// TestVim edits with the editor itself, in both of its ways to save.
func TestVim(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		if err := os.WriteFile(h.path("file"), []byte("one\ntwo\n"), 0o640); err != nil {
			t.Fatal(err)
		}
		point := d.mount(h)
		for copies, text := range map[string]string{"yes": "3", "no": "4"} {
			d.sh(point, "vim -u NONE -n -es -c 'set writebackup backupcopy="+copies+"' -c '2s/.*/"+text+"/' -c wq file")
			same(t, h.path("file"), []byte("one\n"+text+"\n"))
		}
		d.sh(point, `test "$(stat -c %a file)" = 640; test "$(ls -A)" = file`)
		d.umount(point)
	})
}

func writeSynced(t *testing.T, name, text string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMmap reads and writes through mappings.
func TestMmap(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		data := noise(rand.New(rand.NewPCG(7, 7)), 1<<20)
		if err := os.WriteFile(h.path("map"), data, 0o644); err != nil {
			t.Fatal(err)
		}
		point := d.mount(h)
		f, err := os.OpenFile(filepath.Join(point, "map"), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := unix.Mmap(int(f.Fd()), 0, len(data), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m, data) {
			t.Error("the mapping has other bytes than the server")
		}
		for i := 0; i < len(m); i += 9973 {
			m[i], data[i] = 'x', 'x'
		}
		if err := unix.Msync(m, unix.MS_SYNC); err != nil {
			t.Error(err)
		}
		if err := unix.Munmap(m); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		same(t, h.path("map"), data)
		d.umount(point)
	})
}

// TestLongNames: what is legal on the server works here.
func TestLongNames(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		point := d.mount(h)
		long := strings.Repeat("n", 255)
		if err := os.WriteFile(filepath.Join(point, long), []byte("x"), 0o644); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(filepath.Join(point, long+"n"), nil, 0o644); err == nil {
			t.Error("a name of 256 bytes was taken")
		}
		same(t, h.path(long), []byte("x"))
		var every []byte
		for c := 1; c < 256; c++ {
			if c != '/' {
				every = append(every, byte(c))
			}
		}
		for _, name := range []string{string(every[:127]), string(every[127:])} {
			if err := os.WriteFile(filepath.Join(point, name), []byte("y"), 0o644); err != nil {
				t.Error(err)
			}
			same(t, h.path(name), []byte("y"))
		}
		deep := strings.Repeat("d/", 200)
		if err := os.MkdirAll(filepath.Join(point, deep), 0o755); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(h.path(deep)); err != nil {
			t.Error(err)
		}
		d.umount(point)
	})
}

// TestBigAndSparse: offsets beyond 4 GiB.
func TestBigAndSparse(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		point := d.mount(h)
		f, err := os.Create(filepath.Join(point, "big"))
		if err != nil {
			t.Fatal(err)
		}
		const far = 5<<30 + 3
		if _, err := f.WriteAt([]byte("end"), far); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		got := make([]byte, 8)
		server, err := os.Open(h.path("big"))
		if err != nil {
			t.Fatal(err)
		}
		defer server.Close()
		if n, _ := server.ReadAt(got, far-5); string(got[:n]) != "\x00\x00\x00\x00\x00end" {
			t.Errorf("on the server: %q", got[:n])
		}
		d.sh(point, `test "$(tail -c 3 big)" = end; test "$(stat -c %s big)" = `+"5368709126")
		d.umount(point)
	})
}

// TestOldAndFarTimes: before 1970 and after 2038, here, on the server, and here
// again in a mount that has to ask.
func TestOldAndFarTimes(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		times := map[string]string{"old": "1950-06-01T00:00:00Z", "far": "2050-01-02T03:04:05Z"}
		check := func(dir string) {
			t.Helper()
			for name, want := range times {
				if got := d.sh(dir, "date -u -r "+name+" +%FT%TZ"); strings.TrimSpace(got) != want {
					t.Errorf("%s: %s, want %s", name, got, want)
				}
			}
		}
		point := d.mount(h)
		for name, at := range times {
			d.sh(point, "touch -d "+at+" "+name)
		}
		check(point)
		d.umount(point)
		// The protocol's 32 bits: OpenSSH takes 1950 for 2086.
		if at := d.sh(h.dir, "date -u -r far +%FT%TZ"); strings.TrimSpace(at) != times["far"] {
			t.Errorf("on the server: %s", at)
		}
		d.mountAt(h, point)
		check(point)
		d.umount(point)
	})
}

// TestInodesStay: a file has the same inode number in the next mount, also of
// another directory of the sandbox.
func TestInodesStay(t *testing.T) {
	onEachHost(t, func(t *testing.T, d *desk, h *host) {
		point := d.mount(h)
		d.sh(point, "mkdir -p sub/deeper; echo 1 > sub/a; echo 2 > sub/deeper/b; mv sub/a sub/moved")
		d.sh(point, "stat -c '%n %i' sub sub/moved sub/deeper/b | sed 's|^sub/||' > "+d.dir+"/same-mount")
		d.umount(point)
		d.mountAt(h, point)
		d.sh(point, "stat -c '%n %i' sub/deeper/b | sed 's|^sub/||' > "+d.dir+"/next")
		d.umount(point)
		deeper := *h
		deeper.remote = strings.TrimSuffix(h.remote, "/") + "/sub"
		d.mountAt(&deeper, point)
		d.sh(point, "stat -c '%n %i' deeper/b > "+d.dir+"/other; ls -i . | grep -q moved")
		d.umount(point)
		d.sh(d.dir, "grep deeper same-mount | cmp - next; cmp next other")
	})
}
