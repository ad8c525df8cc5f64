package hostile

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
)

// TestEachThroughAMount has a program meet each thing that a sandbox, its
// bridge or its provider's edge can do, through a real mount: its calls end, the
// names that it sees are names, it reaches nothing outside, and once all is well
// again the mount serves on.
func TestEachThroughAMount(t *testing.T) {
	t.Parallel()
	watchMemory(t)
	sideBySide(10, deeds(), func(d deed) {
		t.Run(d.name, func(t *testing.T) {
			m := newMounted(t)
			d.do(m.server)
			if d.drop {
				m.server.Drop()
			}
			said := m.play(7, time.Second, "")
			m.honest()
			m.recovers()
			t.Log(said)
		})
	})
}

// deed is something that a sandbox does.
type deed struct {
	name string
	do   func(*faults.Running)
	drop bool // connections meet it, so a new one is needed
}

func deeds() (all []deed) {
	lies := func(op string, lies []faults.Lie) {
		for _, lie := range lies {
			k := faults.SFTP{Lies: []faults.Lying{{Match: faults.Match{Op: op}, Lie: lie}}}
			all = append(all, deed{string(lie), func(r *faults.Running) { r.SetSFTP(k) }, op != ""})
		}
	}
	lies("", faults.Lies())
	lies("INIT", faults.VersionLies())
	for _, end := range faults.Ends() {
		all = append(all, deed{"frames: " + string(end), func(r *faults.Running) { r.SetFrames(faults.Frames{End: end, After: 20_000}) }, true})
	}
	for _, answer := range faults.Answers() {
		all = append(all, deed{"edge: " + string(answer), func(r *faults.Running) { r.SetEdge(faults.Edge{Answer: answer}) }, true})
	}
	for _, g := range faults.Greetings() {
		all = append(all, deed{"greeting: " + string(g), func(r *faults.Running) { r.SetStream(faults.Stream{Greeting: g}) }, true})
	}
	stream := func(name string, s faults.Stream) {
		all = append(all, deed{name, func(r *faults.Running) { r.SetStream(s) }, true})
	}
	stream("silence in the handshake", faults.Stream{SilentAfter: 500})
	stream("silence", faults.Stream{SilentAfter: 10_000})
	stream("one byte a second", faults.Stream{Drip: time.Second})
	sftp := func(name string, k faults.SFTP, drop bool) {
		all = append(all, deed{name, func(r *faults.Running) { r.SetSFTP(k) }, drop})
	}
	sftp("one byte of an answer a second", faults.SFTP{Drip: time.Second}, true)
	sftp("answers in the wrong order", faults.SFTP{Swap: true}, false)
	sftp("nothing is answered", faults.SFTP{Stall: []faults.Match{{}}}, false)
	sftp("the session ends amid an answer", faults.SFTP{Close: 2000}, true)
	return all
}

// TestMountAsOrdinaryUser runs the test of real mounts once more as a user who
// needs fusermount3, where it is run by root. /dev/fuse is for everybody, as
// distributions have it, in a mount namespace of that run's own.
func TestMountAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // all of this run is that
	}
	dir, err := os.MkdirTemp("", "sbxmount-hostile-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, work := filepath.Join(dir, "hostile.test"), filepath.Join(dir, "work")
	const script = `set -e
chmod 755 "$1"; install -m 755 "$2" "$3"; install -d -m 755 -o 65534 -g 65534 "$4"
mkdir "$1/dev"; mount -t tmpfs -o dev tmpfs "$1/dev"
mknod -m 666 "$1/dev/fuse" c 10 229; mount --bind "$1/dev/fuse" /dev/fuse
cd "$4"; export TMPDIR="$4" HOME="$4"
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$3" -test.v -test.run 'TestHostileMount$' -test.timeout 120s`
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private",
		"sh", "-c", script, "sh", dir, os.Args[0], program, work)
	cmd.Env = append(os.Environ(), "HOSTILE_TIME=3s")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
