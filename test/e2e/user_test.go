package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asNobody runs a script as an ordinary user where the tests run as root. In a
// container /dev/fuse may be root's alone, so the script gets a /dev of its
// own in which it is everybody's, as on a machine with udev.
const asNobody = `
mkdir dev; mount -t tmpfs -o mode=755 none dev
mknod -m 666 dev/fuse c 10 229; mknod -m 666 dev/null c 1 3; mknod -m 666 dev/urandom c 1 9
mount --rbind dev /dev
exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -ec "$SCRIPT"`

// ordinary mounts through fusermount3 and looks at what a user sees.
const ordinary = `
set -x
test "$(id -u)" != 0
mkdir m
trap 'sbxmount umount --force m 2>/dev/null || true' EXIT
sbxmount --no-agent "$URL" m
test "$(stat -c %u m/theirs)" = "$(id -u)" # the login user's files are the local user's
cd m
echo data > mine; test "$(cat mine)" = data; chmod 600 mine; mv mine yours
cd ..
sbxmount list | grep -q " up "
grep " $PWD/m " /proc/self/mountinfo | grep -q nosuid,nodev
(cd m; ! sbxmount umount ../m)      # in use
sbxmount umount m
sbxmount --no-agent "$URL" m
test "$(cat m/yours)" = data
fusermount3 -u m
until sbxmount list | grep -q "nothing is mounted"; do sleep 0.05; done
sbxmount --no-agent "$URL" m
(cd m; sbxmount umount --force ../m) # whatever uses it
! grep " $PWD/m " /proc/self/mountinfo`

// TestOrdinaryUser mounts as somebody who is not root.
func TestOrdinaryUser(t *testing.T) {
	h := embeddedHost(t)
	if err := os.WriteFile(h.path("theirs"), []byte("t"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := newDesk(t)
	cmd := d.command("sh", "-ec", ordinary)
	if os.Getuid() == 0 {
		d = nobodysDesk(t)
		// A server without a shell tells its login user by whose home it is.
		for _, p := range []string{h.dir, h.path("theirs")} {
			if err := os.Chown(p, 1234, 1234); err != nil {
				t.Fatal(err)
			}
		}
		cmd = d.command("unshare", "-m", "sh", "-ec", asNobody)
	}
	cmd.Env = append(cmd.Env, "SCRIPT="+ordinary, "URL="+h.url, "SBXMOUNT_TRAFFIC_TOKEN="+h.about.Token)
	if r := d.runCommand(cmd); r.code != 0 {
		t.Errorf("%+v", r)
	}
	same(t, h.path("yours"), []byte("data\n"))
}

// nobodysDesk is a desk that belongs to nobody, in a directory that nobody can
// reach.
func nobodysDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "e2e-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &desk{t: t, dir: dir, env: deskEnv(t, dir)}
	d.env = append(d.env, "PATH="+filepath.Dir(binary)+":/usr/sbin:/usr/bin:/sbin:/bin")
	if out, err := exec.Command("chown", "-R", "65534:65534", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, strings.TrimSpace(string(out)))
	}
	return d
}
