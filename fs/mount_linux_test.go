package fs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second

// world is a mount with all that is below it.
type world struct {
	server *fake.Server
	remote *fake.Remote
	mount  *fs.Mounted
	dir    string
	log    *lockedBuffer
	before atomic.Pointer[func(fake.Request)] // sees each request at the server
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// newWorld mounts a server in memory; wrap may stand between it and the tree.
func newWorld(t *testing.T, wrap func(conn.Remote) conn.Remote, edit func(*fs.Options)) *world {
	t.Helper()
	return mountServer(t, fake.NewServer(), wrap, edit)
}

func mountServer(t *testing.T, server *fake.Server, wrap func(conn.Remote) conn.Remote, edit func(*fs.Options)) *world {
	t.Helper()
	w := &world{server: server, log: new(lockedBuffer)}
	w.remote = w.server.Connect()
	w.remote.Before = func(q fake.Request) error {
		if f := w.before.Load(); f != nil {
			(*f)(q)
		}
		return nil
	}
	t.Cleanup(w.remote.Close)
	var remote conn.Remote = w.remote
	if wrap != nil {
		remote = wrap(remote)
	}
	tree, err := vfs.New(within(t), vfs.Options{Remote: remote, Root: "/home/user", TTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(within(t)); err != nil {
			t.Errorf("closing the tree: %v", err)
		}
	})
	o := fs.Options{
		Mountpoint: t.TempDir(), Tree: tree, Log: slog.New(slog.NewTextHandler(w.log, nil)),
		IDMap: fs.IDMap{
			MapUser: true, LoginUID: 1000, LoginGID: 1000, LoginKnown: true,
			LocalUID: uint32(os.Getuid()), LocalGID: uint32(os.Getgid()),
		},
	}
	if edit != nil {
		edit(&o)
	}
	if w.mount, err = fs.Mount(within(t), o); err != nil {
		t.Fatal(err)
	}
	abortInTime(t, w.mount)
	t.Cleanup(func() {
		if err := w.mount.Unmount(within(t)); err != nil {
			t.Errorf("unmount: %v", err)
			w.mount.Abort()
			await(t, "end of the mount", w.mount.Done())
		}
	})
	w.dir = w.mount.Mountpoint()
	return w
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
}

// abortInTime breaks the mount off before the test's time is up. A process that
// is ended while it waits for its own mount can't end: what it waits for is
// itself.
func abortInTime(t *testing.T, m *fs.Mounted) {
	if deadline, ok := t.Deadline(); ok {
		alarm := time.AfterFunc(time.Until(deadline)-5*time.Second, m.Abort)
		t.Cleanup(func() { alarm.Stop() })
	}
}

// mountLine returns the mount table's line for a mount point, "" if none.
func mountLine(t *testing.T, dir string) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		if strings.Contains(line, " "+dir+" ") {
			return line
		}
	}
	return ""
}

func TestMountTable(t *testing.T) {
	for _, c := range []struct {
		name      string
		edit      func(*fs.Options)
		has, lack []string
	}{
		{"plain", nil, []string{" rw,nosuid,nodev", " fuse.sbxmount sbxmount ", "max_read=1048576"},
			[]string{"noexec", "allow_other", "default_permissions"}},
		{"ro", func(o *fs.Options) { o.ReadOnly = true }, []string{" ro,nosuid,nodev"}, nil},
		{"noexec", func(o *fs.Options) { o.NoExec = true }, []string{"nosuid,nodev,noexec"}, nil},
		{"default_permissions", func(o *fs.Options) { o.DefaultPermissions = true }, []string{"default_permissions"}, nil},
		{"a name with commas", func(o *fs.Options) { o.FSName = `my,sb\x` }, []string{`fuse.sbxmount my,sb\134x `}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, nil, c.edit)
			line := mountLine(t, w.dir)
			for _, s := range c.has {
				if !strings.Contains(line, s) {
					t.Errorf("no %q in %s", s, line)
				}
			}
			for _, s := range c.lack {
				if strings.Contains(line, s) {
					t.Errorf("%q in %s", s, line)
				}
			}
			if err := w.mount.Unmount(within(t)); err != nil {
				t.Error(err)
			}
			if line := mountLine(t, w.dir); line != "" {
				t.Errorf("still there: %s", line)
			}
		})
	}
}

func TestReadOnlyRefuses(t *testing.T) {
	w := newWorld(t, nil, func(o *fs.Options) { o.ReadOnly = true })
	w.server.WriteFile("/home/user/a", "x")
	if got, err := os.ReadFile(w.dir + "/a"); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(w.dir+"/a", nil, 0o644); !errors.Is(err, syscall.EROFS) {
		t.Errorf("write: %v", err)
	}
	if err := os.Remove(w.dir + "/a"); !errors.Is(err, syscall.EROFS) {
		t.Errorf("remove: %v", err)
	}
}

func TestUnmountWhileUsed(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.server.WriteFile("/home/user/a", "x")
	f, err := os.Open(w.dir + "/a")
	if err != nil {
		t.Fatal(err)
	}
	err = w.mount.Unmount(within(t))
	var me *fs.MountError
	if !errors.Is(err, fs.ErrBusy) || !errors.As(err, &me) || me.Advice == "" {
		t.Errorf("unmount: %v", err)
	}
	if got, err := io.ReadAll(f); err != nil || string(got) != "x" {
		t.Errorf("the file is hurt: %q, %v", got, err)
	}
	f.Close()
	if err := w.mount.Unmount(within(t)); err != nil {
		t.Errorf("unmount: %v", err)
	}
	if err := w.mount.Unmount(within(t)); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestUnmountedByOthers(t *testing.T) {
	w := newWorld(t, nil, nil)
	if out, err := exec.Command("fusermount3", "-u", w.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	await(t, "end of the mount", w.mount.Done())
	if err := w.mount.Unmount(within(t)); err != nil {
		t.Errorf("unmount: %v", err)
	}
}

// hold makes requests of one kind wait at the server.
func (w *world) hold(op string) (arrived <-chan struct{}, release func()) {
	a, r := make(chan struct{}), make(chan struct{})
	var first, last sync.Once
	w.before.Store(new(func(q fake.Request) {
		if q.Op == op {
			first.Do(func() { close(a) })
			<-r
		}
	}))
	return a, func() { last.Do(func() { close(r) }) }
}

// With a server that does not answer, programs waiting and files open, Abort
// lets everybody go and leaves no mount.
func TestAbort(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.server.WriteFile("/home/user/a", "x")
	f, err := os.Open(w.dir + "/a")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	arrived, release := w.hold("mkdir")
	t.Cleanup(release)
	ended := make(chan struct{})
	go func() {
		if err := os.Mkdir(w.dir+"/d", 0o755); err == nil {
			t.Error("mkdir succeeds")
		}
		close(ended)
	}()
	await(t, "request", arrived)
	w.mount.Abort()
	await(t, "end of the operation", ended)
	if line := mountLine(t, w.dir); line != "" {
		t.Errorf("still there: %s", line)
	}
	f.Close() // where only the kernel can break its connection, it is over now
	await(t, "end of the mount", w.mount.Done())
	release()
}

// The kernel's own way to break a connection, umount -f, ends what waits here
// as well.
func TestAbortedByOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		return // the kernel lets nobody else
	}
	w := newWorld(t, nil, nil)
	arrived, release := w.hold("mkdir")
	t.Cleanup(release)
	ended := make(chan struct{})
	go func() {
		os.Mkdir(w.dir+"/d", 0o755)
		close(ended)
	}()
	await(t, "request", arrived)
	if err := unix.Unmount(w.dir, unix.MNT_FORCE|unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	await(t, "end of the operation", ended)
	release()
	await(t, "end of the mount", w.mount.Done())
}

func TestBadMountpoints(t *testing.T) {
	server := fake.NewServer()
	remote := server.Connect()
	defer remote.Close()
	tree, err := vfs.New(within(t), vfs.Options{Remote: remote, Root: "/home/user"})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close(within(t))
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, point := range []string{filepath.Join(dir, "missing"), file, filepath.Join(file, "below")} {
		m, err := fs.Mount(within(t), fs.Options{Mountpoint: point, Tree: tree})
		var me *fs.MountError
		if !errors.As(err, &me) || me.Reason != fs.BadMountpoint {
			t.Errorf("%s: %v", point, err)
		}
		if m != nil {
			m.Abort()
		}
	}
}

func TestMountpointThroughALink(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/real", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil, func(o *fs.Options) { o.Mountpoint = dir + "/link" })
	if filepath.Base(w.dir) != "real" {
		t.Errorf("mounted at %s", w.dir)
	}
}

// faulty panics in what its server is asked for.
type faulty struct{ conn.Remote }

func (faulty) StatFS(string) *conn.Call[conn.StatFS] { panic("in a question") }

// A panic in an operation is EIO for its caller, a line in the log, and
// nothing to anybody else.
func TestPanics(t *testing.T) {
	w := newWorld(t, func(r conn.Remote) conn.Remote { return faulty{r} }, nil)
	w.server.WriteFile("/home/user/a", "x")
	if err := unix.Statfs(w.dir, new(unix.Statfs_t)); !errors.Is(err, syscall.EIO) {
		t.Errorf("statfs: %v", err)
	}
	if got, err := os.ReadFile(w.dir + "/a"); err != nil || string(got) != "x" {
		t.Errorf("the mount is hurt: %q, %v", got, err)
	}
	for _, s := range []string{"in a question", "goroutine"} {
		if !strings.Contains(w.log.String(), s) {
			t.Errorf("no %q in the log", s)
		}
	}
}

// Without allow_other the kernel lets in the mounting user alone.
func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		return // can't become another
	}
	other := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	list := func(dir string) error {
		cmd := exec.Command("ls", "-l", dir)
		cmd.SysProcAttr = other
		return cmd.Run()
	}
	for _, allow := range []bool{false, true} {
		w := newWorld(t, nil, func(o *fs.Options) { o.AllowOther = allow })
		if err := os.Chmod(filepath.Dir(w.dir), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(filepath.Dir(w.dir)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := list(w.dir); (err == nil) != allow {
			t.Errorf("allow_other %v: %v", allow, err)
		}
	}
}

// TestSetIDIsInert: a program that is root's and set-user-id is run as whoever
// runs it.
func TestSetIDIsInert(t *testing.T) {
	if os.Geteuid() != 0 {
		return // can't become another
	}
	id, err := exec.LookPath("id")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(id)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, nil, func(o *fs.Options) { o.AllowOther = true })
	w.server.WriteFile("/home/user/id", string(program))
	w.server.Change("/home/user/id", func(a *conn.Attr) { a.Mode = a.Mode.Type() | 0o4755 })
	for _, dir := range []string{filepath.Dir(w.dir), filepath.Dir(filepath.Dir(w.dir))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	st, err := os.Stat(w.dir + "/id")
	if err != nil || st.Mode()&os.ModeSetuid == 0 || st.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Fatalf("it is %v of %+v, %v", st.Mode(), st.Sys(), err)
	}
	cmd := exec.Command(w.dir+"/id", "-u")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "65534" {
		t.Errorf("it runs as %s, %v", out, err)
	}
}

func TestOwners(t *testing.T) {
	w := newWorld(t, nil, nil)
	w.server.WriteFile("/home/user/mine", "x")
	w.server.WriteFile("/home/user/roots", "x")
	w.server.Change("/home/user/roots", func(a *conn.Attr) { a.UID, a.GID = uint32(os.Getuid()), 77 })
	for name, want := range map[string][2]uint32{
		"mine": {uint32(os.Getuid()), uint32(os.Getgid())}, "roots": {65534, 77},
	} {
		var st unix.Stat_t
		if err := unix.Stat(w.dir+"/"+name, &st); err != nil || st.Uid != want[0] || st.Gid != want[1] {
			t.Errorf("%s: %d:%d, %v; want %v", name, st.Uid, st.Gid, err, want)
		}
	}
}

// Where root is logged in and owners are not mapped, what a user creates here
// is that user's there.
func TestRootGivesAway(t *testing.T) {
	if os.Geteuid() != 0 {
		return // can't become another
	}
	server := fake.NewServer()
	server.UID, server.GID = 0, 0
	w := mountServer(t, server, nil, func(o *fs.Options) {
		o.IDMap = fs.IDMap{LoginKnown: true}
		o.AllowOther = true
	})
	for _, d := range []string{w.dir, filepath.Dir(w.dir), filepath.Dir(filepath.Dir(w.dir))} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// The shell changes directory, and not the child before its exec: it would
	// wait for this process, which stands still until then.
	cmd := exec.Command("sh", "-ec", `cd "$0"; umask 022; echo x >file; mkdir dir; ln -s file link; cp /bin/true prog; chmod 4755 prog`, w.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1234, Gid: 4321}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"file", "dir", "link", "prog"} {
		a, ok := w.server.Stat("/home/user/" + name)
		if !ok || a.UID != 1234 || a.GID != 4321 {
			t.Errorf("%s: %d:%d", name, a.UID, a.GID)
		}
	}
}

// fusermount3 gives a file system to others only where the administrator says
// so; its words and what to do reach the user.
func TestUserAllowOtherIsRefused(t *testing.T) {
	conf, _ := os.ReadFile("/etc/fuse.conf")
	if os.Geteuid() == 0 || bytes.Contains(append([]byte("\n"), conf...), []byte("\nuser_allow_other")) {
		return
	}
	server := fake.NewServer()
	remote := server.Connect()
	defer remote.Close()
	tree, err := vfs.New(within(t), vfs.Options{Remote: remote, Root: "/home/user"})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close(within(t))
	_, err = fs.Mount(within(t), fs.Options{Mountpoint: t.TempDir(), Tree: tree, AllowOther: true})
	var me *fs.MountError
	if !errors.As(err, &me) || me.Reason != fs.Refused || !strings.Contains(me.Advice, "/etc/fuse.conf") {
		t.Errorf("%v", err)
	}
}
