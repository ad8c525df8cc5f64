package behave

import (
	"os"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// What changes on the sandbox is seen here once what is known of it is older
// than the TTL, though the kernel has pages and names of its own.
func TestChangesOnTheServerAreSeen(t *testing.T) {
	tree, server, _ := newTree(t, func(o *vfs.Options) { o.TTL = 20 * time.Millisecond })
	mnt := mount(t, tree, nil)
	server.WriteFile("/home/user/a", "first version")
	reads := func(want string) func() bool {
		return func() bool {
			got, err := os.ReadFile(mnt + "/a")
			return err == nil && string(got) == want
		}
	}
	poll(t, "first version", reads("first version"))

	server.WriteFile("/home/user/a", "and a second one, longer")
	poll(t, "second version", reads("and a second one, longer"))

	server.WriteFile("/home/user/a", "short")
	poll(t, "third version", reads("short"))

	// The same size: the time tells, which has whole seconds.
	server.WriteFile("/home/user/a", "SHORT")
	server.Change("/home/user/a", func(a *conn.Attr) { a.Mtime += 100 })
	poll(t, "fourth version", reads("SHORT"))

	server.Replace("/home/user/a", "another file")
	poll(t, "replaced file", reads("another file"))

	server.Remove("/home/user/a")
	poll(t, "removal", func() bool { _, err := os.Stat(mnt + "/a"); return os.IsNotExist(err) })

	server.WriteFile("/home/user/a", "back again")
	poll(t, "new file", reads("back again"))

	server.Change("/home/user/a", func(a *conn.Attr) { a.Mode = conn.TypeRegular | 0o600 })
	poll(t, "mode", func() bool { st, err := os.Stat(mnt + "/a"); return err == nil && st.Mode() == 0o600 })
}

// An open file sees what the sandbox appends to it, as tail -f does.
func TestGrowthIsSeenByOpenFiles(t *testing.T) {
	tree, server, _ := newTree(t, func(o *vfs.Options) { o.TTL = 20 * time.Millisecond })
	mnt := mount(t, tree, nil)
	server.WriteFile("/home/user/log", "one\n")
	f, err := os.Open(mnt + "/log")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, 100)
	for _, text := range []string{"one\n", "one\ntwo\n", "one\ntwo\nthree\n"} {
		server.WriteFile("/home/user/log", text)
		// The kernel learns the size from an answer and that its page is old from
		// a notification right behind it: for that moment it may read zeros there.
		poll(t, "growth", func() bool {
			if _, err := f.Stat(); err != nil {
				t.Fatal(err)
			}
			n, _ := f.ReadAt(buf, 0)
			return string(buf[:n]) == text
		})
	}
}

// Who watches the sandbox says what changed, and the kernel forgets at once
// what it would have trusted for long.
func TestChangedReachesTheKernel(t *testing.T) {
	tree, server, _ := newTree(t, func(o *vfs.Options) { o.TTL = time.Hour })
	mnt := mount(t, tree, nil)
	server.WriteFile("/home/user/a", "old")
	if got, err := os.ReadFile(mnt + "/a"); err != nil || string(got) != "old" {
		t.Fatalf("%q, %v", got, err)
	}
	if _, err := os.Stat(mnt + "/b"); !os.IsNotExist(err) {
		t.Fatal(err)
	}
	server.WriteFile("/home/user/a", "new content")
	server.WriteFile("/home/user/b", "made")
	if got, err := os.ReadFile(mnt + "/a"); err != nil || string(got) != "old" {
		t.Errorf("trusted for an hour, but: %q, %v", got, err)
	}
	tree.Changed("/home/user/a")
	tree.Changed("/home/user/b")
	poll(t, "new content", func() bool { got, err := os.ReadFile(mnt + "/a"); return err == nil && string(got) == "new content" })
	poll(t, "new name", func() bool { got, err := os.ReadFile(mnt + "/b"); return err == nil && string(got) == "made" })
}

// Two mounts of one sandbox: what one closes the other opens.
func TestTwoMounts(t *testing.T) {
	server := fake.NewServer()
	one := mount(t, connect(t, server, nil), nil)
	two := mount(t, connect(t, server, func(o *vfs.Options) { o.TTL = 20 * time.Millisecond }), nil)
	for _, text := range []string{"a", "bb", "ccc"} {
		write(t, one+"/shared", text)
		poll(t, "the other's write", func() bool { got, err := os.ReadFile(two + "/shared"); return err == nil && string(got) == text })
	}
	if err := os.Mkdir(one+"/d", 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, one+"/d/f", "x")
	poll(t, "the other's directory", func() bool { _, err := os.Stat(two + "/d/f"); return err == nil })
	var a, b os.FileInfo
	var err error
	if a, err = os.Stat(one + "/d/f"); err != nil {
		t.Fatal(err)
	}
	if b, err = os.Stat(two + "/d/f"); err != nil {
		t.Fatal(err)
	}
	if ino(a) != ino(b) {
		t.Errorf("inode %d and %d", ino(a), ino(b))
	}
}
