package behave

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/fake"
	"golang.org/x/sys/unix"
)

// inside is a command that runs in a directory of a mount. exec.Cmd's Dir will
// not do: the child that os/exec forks changes directory while this process
// stands still, which then can't answer.
func inside(ctx context.Context, dir string, command ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "sh", append([]string{"-c", `cd "$0" && exec "$@"`, dir}, command...)...)
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestMappingIsRead(t *testing.T) {
	tree, _, _ := newTree(t, nil)
	name := filepath.Join(mount(t, tree, nil), "a")
	for _, n := range []int{1, 4096, 5000, 1 << 20, 3<<20 + 5} {
		content := pattern(n)
		write(t, name, content)
		if got, want := runChild(t, "mmap-sum", name), fmt.Sprintf("%x", sha256.Sum256([]byte(content))); got != want {
			t.Errorf("%d bytes: %s, want %s", n, got, want)
		}
	}
}

func TestSharedMappingIsWritten(t *testing.T) {
	tree, server, _ := newTree(t, nil)
	mnt := mount(t, tree, nil)
	for _, how := range []string{"msync", "munmap"} {
		name := filepath.Join(mnt, how)
		content := pattern(300 << 10)
		write(t, name, content)
		runChild(t, "mmap-write", name, "100000", "through the mapping", how)
		want := content[:100000] + "through the mapping" + content[100000+len("through the mapping"):]
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: the mount reads otherwise (%v)", how, err)
		}
		// A mapping's pages go behind its last close, so an fsync says when
		// they are there.
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Error(err)
		}
		f.Close()
		if got, _ := server.ReadFile("/home/user/" + how); got != want {
			t.Errorf("%s: the server has otherwise", how)
		}
	}
}

// Locks are the kernel's own: they hold between the programs of this machine.
func TestLocksBetweenProcesses(t *testing.T) {
	tree, _, _ := newTree(t, nil)
	mnt := mount(t, tree, nil)
	for _, how := range []string{"flock", "fcntl"} {
		name := filepath.Join(mnt, how)
		write(t, name, "x")
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		holder := child(ctx, "lock", name, how)
		stdin, err := holder.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		stdout, err := holder.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := holder.Start(); err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
			t.Fatalf("%s: %q, %v", how, line, err)
		}
		if got := runChild(t, "lock", name, how); got != "taken" {
			t.Errorf("%s: a second process says %q", how, got)
		}
		stdin.Close()
		if err := holder.Wait(); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if got := runChild(t, "lock", name, how); got != "locked" {
			t.Errorf("%s: after the first one ended: %q", how, got)
		}
	}
}

// hold makes requests of one kind wait at the server. It returns a channel
// that tells of the first and a function that lets all go on.
func hold(remote *link, op, path string) (<-chan struct{}, func()) {
	arrived, release := make(chan struct{}), make(chan struct{})
	var first, last sync.Once
	remote.before.Store(new(func(q fake.Request) {
		if q.Op == op && strings.HasSuffix(q.Path, path) {
			first.Do(func() { close(arrived) })
			<-release
		}
	}))
	return arrived, func() { last.Do(func() { close(release) }) }
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("no %s", what)
	}
}

// A program that waits for a server that does not answer can be ended, by
// whatever signal it does not catch, and its operation goes on behind. (SIGINT
// is not tried: a test that runs in the background inherits it as ignored.)
func TestKilledProgramsEnd(t *testing.T) {
	for _, c := range []struct {
		op, path string
		signal   syscall.Signal
		command  []string
	}{
		{"read", "file", syscall.SIGTERM, []string{"cat", "file"}},
		{"open", "file", syscall.SIGTERM, []string{"cat", "file"}},
		{"lstat", "other", syscall.SIGKILL, []string{"stat", "other"}},
		{"opendir", "dir", syscall.SIGTERM, []string{"ls", "dir"}},
		{"mkdir", "new", syscall.SIGTERM, []string{"mkdir", "new"}},
		{"rename", "file", syscall.SIGTERM, []string{"mv", "file", "moved"}},
		{"unlink", "file", syscall.SIGABRT, []string{"rm", "-f", "file"}},
		{"write", "out", syscall.SIGTERM, []string{"cp", "/proc/self/mountinfo", "out"}},
		{"write", "out", syscall.SIGKILL, []string{"sh", "-c", "exec 3>out; echo x >&3; sleep 60"}},
	} {
		t.Run(fmt.Sprint(c.op, " ", c.command[0], " ", c.signal), func(t *testing.T) {
			tree, server, remote := newTree(t, nil)
			server.WriteFile("/home/user/file", "content")
			server.MkdirAll("/home/user/dir")
			arrived, release := hold(remote, c.op, c.path)
			mnt := mount(t, tree, nil)
			t.Cleanup(release)

			cmd := inside(t.Context(), mnt, c.command...)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			await(t, "request", arrived)
			if err := syscall.Kill(-cmd.Process.Pid, c.signal); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				cmd.Wait()
				close(ended)
			}()
			await(t, "end of the program", ended)
			release()
			switch c.op { // what was asked for is done all the same
			case "mkdir":
				poll(t, "the directory", func() bool { _, ok := server.Stat("/home/user/new"); return ok })
			case "rename":
				poll(t, "the new name", func() bool { _, ok := server.Stat("/home/user/moved"); return ok })
			case "unlink":
				poll(t, "the removal", func() bool { _, ok := server.Stat("/home/user/file"); return !ok })
			case "write":
				poll(t, "the data", func() bool { s, _ := server.ReadFile("/home/user/out"); return s != "" })
			}
		})
	}
}

// poll waits for what another process or goroutine is about to do.
func poll(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}

// Signals that a program catches do not reach its reads as EINTR.
func TestCaughtSignalsInterruptNothing(t *testing.T) {
	tree, server, remote := newTree(t, nil)
	server.WriteFile("/home/user/file", "the whole content")
	arrived, release := hold(remote, "read", "file")
	name := filepath.Join(mount(t, tree, nil), "file")
	t.Cleanup(release)

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := child(ctx, "read", name)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var thread int
	said := bufio.NewReader(stdout)
	if _, err := fmt.Fscanln(said, &thread); err != nil {
		t.Fatal(err, stderr.String())
	}
	await(t, "request", arrived)
	if err := unix.Tgkill(cmd.Process.Pid, thread, unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	// The signal stays pending while the thread waits for the answer: then the
	// kernel has asked for the interruption.
	poll(t, "pending signal", func() bool {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", thread))
		return err == nil && strings.Contains(string(status), "SigPnd:\t0000000000000200")
	})
	release()
	if line, err := said.ReadString('\n'); err != nil || line != "the whole content\n" {
		t.Errorf("%q, %v", line, err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, stderr.String())
	}
}

// What the protocol can't carry is refused at once, with the errno of a file
// system that lacks it.
func TestRefused(t *testing.T) {
	tree, _, remote := newTree(t, nil)
	mnt := mount(t, tree, nil)
	name, other := filepath.Join(mnt, "a"), filepath.Join(mnt, "b")
	write(t, name, "x")
	write(t, other, "y")
	for _, c := range []struct {
		what string
		do   func() error
		want syscall.Errno
	}{
		{"FIFO", func() error { return unix.Mkfifo(mnt+"/p", 0o600) }, unix.EPERM},
		{"device", func() error { return unix.Mknod(mnt+"/d", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) }, unix.EPERM},
		{"socket", func() error { return unix.Mknod(mnt+"/s", unix.S_IFSOCK|0o600, 0) }, unix.EPERM},
		{"setxattr", func() error { return unix.Setxattr(name, "user.x", []byte("y"), 0) }, unix.EOPNOTSUPP},
		{"getxattr", func() error { _, err := unix.Getxattr(name, "user.x", nil); return err }, unix.EOPNOTSUPP},
		{"listxattr", func() error { _, err := unix.Listxattr(name, nil); return err }, unix.EOPNOTSUPP},
		{"removexattr", func() error { return unix.Removexattr(name, "user.x") }, unix.EOPNOTSUPP},
		{"exchange", func() error {
			return unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
		}, unix.EINVAL},
		{"whiteout", func() error {
			return unix.Renameat2(unix.AT_FDCWD, name, unix.AT_FDCWD, mnt+"/c", unix.RENAME_WHITEOUT)
		}, unix.EINVAL},
		{"O_TMPFILE", func() error { _, err := unix.Open(mnt, unix.O_TMPFILE|unix.O_RDWR, 0o600); return err }, unix.EOPNOTSUPP},
		{"ioctl", func() error {
			fd, err := unix.Open(name, unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			_, err = unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
			return err
		}, unix.ENOTTY},
	} {
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if n := remote.Count("mkdir", "rename"); n != 0 {
		t.Errorf("%d requests for what can't be", n)
	}
	if err := unix.Mknod(mnt+"/file", unix.S_IFREG|0o640, 0); err != nil {
		t.Errorf("mknod of a regular file: %v", err)
	}
}

// Names and content stay reachable through open directories and files while
// the paths to them change.
func TestDescriptorsOutliveTheirPaths(t *testing.T) {
	tree, _, _ := newTree(t, nil)
	mnt := mount(t, tree, nil)
	if err := os.MkdirAll(mnt+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := unix.Open(mnt+"/a/b", unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dir)
	if err := os.Rename(mnt+"/a", mnt+"/c"); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Openat(dir, "file", unix.O_CREAT|unix.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		t.Error(err)
	}
	unix.Close(fd)
	if got, err := os.ReadFile(mnt + "/c/b/file"); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.RemoveAll(mnt + "/c"); err != nil {
		t.Error(err)
	}
	if _, err := unix.Openat(dir, "more", unix.O_CREAT|unix.O_WRONLY, 0o644); !errors.Is(err, unix.ENOENT) {
		t.Errorf("create in a removed directory: %v", err)
	}
}

// The thin path, as people use it.
func TestShell(t *testing.T) {
	tree, server, _ := newTree(t, nil)
	server.WriteFile("/home/user/hello", "hello from the sandbox\n")
	mnt := mount(t, tree, nil)
	script := `set -e
ls -la >/dev/null
test "$(cat hello)" = "hello from the sandbox"
echo one > file
echo two >> file
test "$(cat file)" = "one
two"
mkdir -p d/e/f
mv file d/e/f/moved
cp d/e/f/moved copy
cmp copy d/e/f/moved
ln -s copy link
test "$(readlink link)" = copy
cat link >/dev/null
chmod 600 copy
test "$(stat -c %a copy)" = 600
touch -d @1000000000 copy
test "$(stat -c %Y copy)" = 1000000000
dd if=/dev/zero of=big bs=64k count=40 2>/dev/null
test "$(stat -c %s big)" = 2621440
truncate -s 10 big
test "$(wc -c < big)" = 10
find . | sort > /dev/null
tar cf - d | tar tf - >/dev/null
rm big
rm -r d
test "$(ls)" = "copy
hello
link"
`
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := inside(ctx, mnt, "sh", "-ec", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, _ := server.ReadFile("/home/user/copy"); got != "one\ntwo\n" {
		t.Errorf("the server has %q", got)
	}
}
