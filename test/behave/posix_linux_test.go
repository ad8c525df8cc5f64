package behave

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"golang.org/x/sys/unix"
)

// beyondSFTP are the conformance tests of go-fuse that ask for what the
// protocol can't carry, and what is tested in their place: that it is refused,
// with the errno by which programs know to do without.
var beyondSFTP = map[string]func(*testing.T, string){
	// SFTP version 3 has no extended attributes.
	"XAttr":      noXAttr,
	"XAttrLarge": noXAttr,
	// There is no file without a name.
	"Tmpfile": func(t *testing.T, dir string) {
		_, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
		refused(t, err)
	},
	// Room can't be reserved behind the end of a file.
	"FallocateKeepSize": func(t *testing.T, dir string) {
		fd, err := unix.Open(dir+"/file", unix.O_CREAT|unix.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		refused(t, unix.Fallocate(fd, unix.FALLOC_FL_KEEP_SIZE, 50, 52))
	},
	// Not for the protocol: two locks of one process never conflict, so that
	// this one fails on local file systems, too (go-fuse leaves it out).
	// TestLocksBetweenProcesses has two processes.
	"FcntlFlockLocksFile": func(*testing.T, string) {},
}

// beyondPkgSFTP is what pkg/sftp's client can't send, besides.
var beyondPkgSFTP = map[string]func(*testing.T, string){
	// It has no lsetstat@openssh.com.
	"SetattrSymlink": func(t *testing.T, dir string) {
		name := filepath.Join(dir, "link")
		if err := os.Symlink("nowhere", name); err != nil {
			t.Fatal(err)
		}
		refused(t, unix.Lutimes(name, make([]unix.Timeval, 2)))
	},
}

// uncontained are those that expect a link with a local path in it to show
// that path. TestPosixRaw runs them where links are not contained.
var uncontained = map[string]func(*testing.T, string){
	"SymlinkReadlink": func(t *testing.T, dir string) {
		link := filepath.Join(dir, "link")
		if err := os.Symlink("/foobar", link); err != nil {
			t.Fatal(err)
		}
		text, err := os.Readlink(link)
		if err != nil || !strings.HasPrefix(text, "../") || !strings.HasSuffix(text, "/foobar") {
			t.Errorf("a link to /foobar shows %q, %v", text, err)
		}
	},
	"OpenSymlinkRace": func(t *testing.T, dir string) {
		local := filepath.Join(t.TempDir(), "local")
		write(t, local, "not the sandbox's")
		if err := os.Symlink(local, dir+"/link"); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(dir + "/link"); err == nil && string(data) == "not the sandbox's" {
			t.Errorf("a link leads to the local file %s", local)
		}
	},
}

func refused(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("%v, want %v", err, unix.EOPNOTSUPP)
	}
}

func noXAttr(t *testing.T, dir string) {
	name := filepath.Join(dir, "file")
	write(t, name, "x")
	refused(t, unix.Setxattr(name, "user.attr", []byte("value"), 0))
	_, err := unix.Getxattr(name, "user.attr", nil)
	refused(t, err)
	_, err = unix.Listxattr(name, nil)
	refused(t, err)
	refused(t, unix.Removexattr(name, "user.attr"))
}

// posix runs all of go-fuse's conformance tests below dir. One that skips
// itself counts as failed: it found something missing that is not listed.
func posix(t *testing.T, dir string, limited bool) {
	for name, test := range posixtest.All {
		if instead, ok := beyondSFTP[name]; ok {
			test = instead
		}
		if instead, ok := uncontained[name]; ok {
			test = instead
		}
		if instead, ok := beyondPkgSFTP[name]; ok && limited {
			test = instead
		}
		t.Run(name, func(t *testing.T) {
			own := filepath.Join(dir, name)
			if err := os.Mkdir(own, 0o755); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if t.Skipped() {
					t.Errorf("%s skips itself", name)
				}
			}()
			test(t, own)
		})
	}
}

func TestPosix(t *testing.T) {
	tree, _, _ := newTree(t, nil)
	posix(t, mount(t, tree, nil), false)
}

func TestPosixRaw(t *testing.T) {
	tree, _, _ := newTree(t, func(o *vfs.Options) { o.Links = vfs.LinksRaw })
	dir := mount(t, tree, nil)
	for name := range uncontained {
		t.Run(name, func(t *testing.T) {
			own := filepath.Join(dir, name)
			if err := os.Mkdir(own, 0o755); err != nil {
				t.Fatal(err)
			}
			posixtest.All[name](t, own)
		})
	}
}
