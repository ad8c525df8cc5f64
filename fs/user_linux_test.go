package fs_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestAsOrdinaryUser runs the tests of mounting once more as a user who needs
// fusermount3, where they are run by root. /dev/fuse is for everybody, as
// distributions have it, in a mount namespace of that run's own.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // all of this run is that
	}
	dir, err := os.MkdirTemp("", "sbxmount-user-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	binary := filepath.Join(dir, "fs.test")
	copyProgram(t, os.Args[0], binary)
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(work, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	const script = `set -e
mount -t tmpfs -o dev tmpfs "$1"
mknod -m 666 "$1/fuse" c 10 229
mount --bind "$1/fuse" /dev/fuse
cd "$2"
export TMPDIR="$2" HOME="$2"
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$3" -test.run "$4" -test.timeout 60s
`
	devices := t.TempDir()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private",
		"sh", "-c", script, "sh", devices, work, binary,
		"TestMountTable|TestUnmount|TestAbort$|TestReadOnly|TestOwners|TestUserAllowOther")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(dst, src); err != nil {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}
