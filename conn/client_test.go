package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// must returns a Call's answer, which must be no error.
func must[T any](t testing.TB, c *Call[T]) T {
	t.Helper()
	v, err := c.Wait(within(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantKind[T any](t testing.TB, c *Call[T], want Kind) {
	t.Helper()
	if _, err := c.Wait(within(t)); err == nil || KindOf(err) != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestNamesAndData(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("all", func(t *testing.T) {
		c := newLab(t).dialClient(Options{})
		dir := t.TempDir()
		f, opened := c.Open(dir+"/a", OpenRead|OpenWrite|OpenCreate|OpenExcl, 0o666)
		f.WriteAt([]byte("hello"), 0)
		renamed := c.Rename(dir+"/a", dir+"/b", true)
		stat := f.Stat()
		if a := must(t, opened); a.Mode != TypeRegular|0o666 {
			t.Errorf("mode %o", a.Mode)
		}
		must(t, renamed)
		if a := must(t, stat); a.Size != 5 || a.Mode.Perm() != 0o666 {
			t.Errorf("attributes %+v", a)
		}
		b := make([]byte, 9)
		if n, err := f.ReadAt(b, 0).Wait(within(t)); n != 5 || err != io.EOF || string(b[:n]) != "hello" {
			t.Errorf("read %q, %v", b[:n], err)
		}
		f.Close()
		wantKind(t, f.Stat(), BadHandle)
		if a := must(t, c.Mkdir(dir+"/d", 0o777)); a.Mode != TypeDir|0o777 {
			t.Errorf("mode %o", a.Mode)
		}
		if a := must(t, c.Lstat(dir+"/d")); a.Mode != TypeDir|0o777 {
			t.Errorf("mode %o", a.Mode)
		}
		must(t, c.Symlink("to/../nowhere", dir+"/l"))
		if text := must(t, c.Readlink(dir+"/l")); text != "to/../nowhere" {
			t.Errorf("text %q", text)
		}
		must(t, c.Link(dir+"/b", dir+"/b2"))
		must(t, c.SetAttr(dir+"/b", SetAttr{Valid: SetMode | SetTimes, Attr: Attr{Mode: 0o600, Mtime: 1e9, Atime: 1e9 + 1}}))
		l := must(t, c.List(dir, 0, Foreground, nil))
		if len(l.Entries) != 4 || !l.Complete {
			t.Errorf("listing %+v", l)
		}
		for _, e := range l.Entries {
			if e.Name == "b2" && (e.Attr.Nlink != 2 || e.Attr.Mtime != 1e9 || e.Attr.Mode.Perm() != 0o600 || e.Attr.Size != 5) {
				t.Errorf("entry %+v", e)
			}
		}
		if must(t, c.StatFS(dir)).BlockSize == 0 {
			t.Error("no block size")
		}
		must(t, c.Unlink(dir+"/b"))
		must(t, c.Rmdir(dir+"/d"))
		if len(c.Info().Home) == 0 || !c.Info().Copies {
			t.Errorf("info %+v", c.Info())
		}
	})
}

func TestErrorsHaveTheirKinds(t *testing.T) {
	c := newLab(t).dialClient(Options{})
	dir := t.TempDir()
	must(t, c.Mkdir(dir+"/d", 0o755))
	must(t, c.Mkdir(dir+"/d/e", 0o755))
	must(t, c.Mkdir(dir+"/x", 0o755))
	_, opened := c.Open(dir+"/f", OpenWrite|OpenCreate, 0o644)
	must(t, opened)
	open := func(name string, flags OpenFlags) *Call[Attr] {
		_, call := c.Open(name, flags, 0o644)
		return call
	}
	wantKind(t, open(dir+"/none", OpenRead), NotExist)
	wantKind(t, open(dir+"/f", OpenWrite|OpenCreate|OpenExcl), Exist)
	wantKind(t, open(dir+"/d", OpenRead), IsDir)
	wantKind(t, open(dir+"/d", OpenWrite), IsDir)
	must(t, c.Symlink("f", dir+"/l"))
	wantKind(t, open(dir+"/l", OpenRead), LinkLoop)
	wantKind(t, c.Lstat(dir+"/none"), NotExist)
	wantKind(t, c.Lstat(dir+"/"+string(bytes.Repeat([]byte("a"), 256))), NameTooLong)
	wantKind(t, c.Mkdir(dir+"/d", 0o755), Exist)
	wantKind(t, c.Symlink("x", dir+"/d"), Exist)
	wantKind(t, c.Link(dir+"/f", dir+"/d"), Exist)
	wantKind(t, c.Rmdir(dir+"/d"), NotEmpty)
	wantKind(t, c.Rmdir(dir+"/f"), NotDir)
	wantKind(t, c.Rmdir(dir+"/none"), NotExist)
	wantKind(t, c.Unlink(dir+"/d"), IsDir)
	wantKind(t, c.Unlink(dir+"/none"), NotExist)
	wantKind(t, c.Rename(dir+"/f", dir+"/d", true), IsDir)
	wantKind(t, c.Rename(dir+"/d", dir+"/f", true), NotDir)
	wantKind(t, c.Rename(dir+"/x", dir+"/d", true), NotEmpty)
	wantKind(t, c.Rename(dir+"/x", dir+"/d", false), Exist)
	wantKind(t, c.Rename(dir+"/f", dir+"/d", false), Exist)
	wantKind(t, c.Rename(dir+"/none", dir+"/n", true), NotExist)
	wantKind(t, c.Rename(dir+"/d", dir+"/d/e/f", true), Invalid)
	wantKind(t, c.List(dir+"/f", 0, Foreground, nil), NotDir)
	wantKind(t, c.List(dir+"/none", 0, Background, nil), NotExist)
	wantKind(t, c.Readlink(dir+"/f"), Invalid)
	if _, err := os.Stat("/dev/shm"); err == nil {
		if other, err := os.MkdirTemp("/dev/shm", "sbxmount"); err == nil {
			defer os.RemoveAll(other)
			wantKind(t, c.Rename(dir+"/f", other+"/f", true), CrossDevice)
			wantKind(t, c.Link(dir+"/f", other+"/f"), CrossDevice)
		}
	}
	f, _ := c.Open(dir+"/f", OpenRead, 0)
	wantKind(t, f.WriteAt([]byte("x"), 0), BadHandle)
	wantKind(t, c.Lstat("/proc/self/nothing"), NotExist)
}

// A full device fails a write with NoSpace.
func TestFullDisk(t *testing.T) {
	c := newLab(t).dialClient(Options{})
	f, _ := c.Open("/dev/full", OpenWrite, 0)
	wantKind(t, f.WriteAt([]byte("x"), 0), Invalid) // no regular file
}

func TestBulkIsExact(t *testing.T) {
	for _, rtt := range []time.Duration{0, 10 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			l := newLab(t)
			l.rtt = rtt
			c := l.dialClient(Options{MaxConns: 3, MaxLanes: 3})
			c.mu.Lock()
			c.state.rtt = 50 * time.Millisecond // so that many lanes are opened
			c.mu.Unlock()
			path := filepath.Join(t.TempDir(), "big")
			data := make([]byte, 48<<20+12345)
			for i := 0; i+8 <= len(data); i += 8 {
				data[i], data[i+3], data[i+6] = byte(i), byte(i>>12), byte(rand.Uint32())
			}
			f, _ := c.Open(path, OpenRead|OpenWrite|OpenCreate, 0o600)
			wrote := f.WriteAt(data, 0)
			stat := f.Stat()
			must(t, wrote)
			if a := must(t, stat); a.Size != int64(len(data)) {
				t.Errorf("size %d behind the write", a.Size)
			}
			got := make([]byte, len(data)+10)
			if n, err := f.ReadAt(got, 0).Wait(within(t)); n != len(data) || err != io.EOF {
				t.Fatalf("read %d, %v", n, err)
			}
			if !bytes.Equal(got[:len(data)], data) {
				t.Error("read something else than was written")
			}
			there, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(there, data) {
				t.Errorf("the server has something else: %v", err)
			}
			t.Logf("%+v", c.Status())
			f.Close()
		})
	}
}

func TestCopyOnTheServer(t *testing.T) {
	c := newLab(t).dialClient(Options{})
	dir := t.TempDir()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	if err := os.WriteFile(dir+"/a", data, 0o600); err != nil {
		t.Fatal(err)
	}
	src, _ := c.Open(dir+"/a", OpenRead, 0)
	dst, _ := c.Open(dir+"/b", OpenWrite|OpenCreate, 0o600)
	n, err := c.Copy(src, 5, dst, 0, 1<<30).Wait(within(t))
	if err != nil || n != int64(len(data)-5) {
		t.Fatalf("copied %d, %v", n, err)
	}
	got, err := os.ReadFile(dir + "/b")
	if err != nil || !bytes.Equal(got, data[5:]) {
		t.Errorf("the copy differs: %v", err)
	}
}

var errTest = errors.New("test")
