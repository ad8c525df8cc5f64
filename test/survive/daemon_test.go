//go:build linux

package survive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/behave"
	"github.com/sbxmount/sbxmount/test/process"
)

// daemon is the program serving a mount of a site.
type daemon struct {
	*site
	process     *process.Process
	home, point string
	env         []string
	args        []string // of the mount
}

func startDaemon(t testing.TB, o setup, flags ...string) *daemon {
	t.Helper()
	d := &daemon{site: newSite(t, o), home: t.TempDir()}
	d.point = filepath.Join(d.home, "mnt")
	d.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + d.home, "TMPDIR=" + d.home}
	for _, v := range []string{"RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME", "CACHE_HOME"} {
		dir := filepath.Join(d.home, strings.ToLower(v))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		d.env = append(d.env, "XDG_"+v+"="+dir)
	}
	url := "ws://" + d.link.Addr() + ":" + d.root
	if d.ssh != nil {
		flags = append(flags, "-u", d.ssh.User, "-i", d.ssh.Identity, "--known-hosts", d.ssh.KnownHosts)
	} else {
		flags = append(flags, "--traffic-token", d.box.Token())
	}
	d.args = append(flags, "--no-agent", "-f", url, d.point)
	d.start()
	return d
}

// start mounts.
func (d *daemon) start() {
	d.Helper()
	t := d.TB
	p, err := process.Start(d.command(d.args...))
	if err != nil {
		t.Fatal(err)
	}
	d.process = p
	t.Cleanup(func() {
		_ = d.command("umount", "--force", d.point).Run()
		p.Kill()
	})
	until(t, "it is mounted", func() bool {
		select {
		case <-d.process.Ended():
			t.Fatalf("it ended: %s", d.process.Output())
		default:
		}
		if !d.mounted() {
			return false
		}
		if _, err := os.Stat(d.point); err != nil {
			return false // the dead one of before
		}
		return d.mounted() // that one was taken away meanwhile
	})
}

func (d *daemon) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program.path(d), args...)
	cmd.Env, cmd.Dir = d.env, d.home
	return cmd
}

// umount unmounts.
func (d *daemon) umount() {
	d.Helper()
	if err := d.deliver("umount"); err != nil || d.mounted() {
		d.Errorf("umount: %v", err)
	}
}

// deliver runs sync or umount. What nobody could know is reported once more, and
// no longer by the second attempt.
func (d *daemon) deliver(command string) error {
	out, err := d.command(command, d.point).CombinedOutput()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == exitUndelivered {
		out, err = d.command(command, d.point).CombinedOutput()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// exitUndelivered is what umount ends with when bytes were lost.
const exitUndelivered = 10

func (d *daemon) mounted() bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	return err == nil && strings.Contains(string(table), " "+d.point+" ")
}

// Cuts beneath real system calls.
func TestCutsBeneathAMount(t *testing.T) {
	for _, writes := range []vfs.WriteMode{vfs.WriteClose, vfs.WriteThrough, vfs.WriteAsync} {
		o := setup{writes: writes}
		t.Run(o.mode(), func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, o, "--writes", o.mode())
			d.sync = func(context.Context) error { return d.deliver("sync") }
			d.play(behave.Kernel{Root: d.point}, loads, func() {
				r := d.random(999)
				for range choose(8, 150) {
					time.Sleep(time.Duration(100+r.IntN(300)) * time.Millisecond)
					d.cut(r)
				}
			})
			d.umount()
		})
	}
}

// A daemon that is stopped for a while, as on a laptop that sleeps, goes on.
func TestStopAndContinue(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, setup{})
	d.play(behave.Kernel{Root: d.point}, loads, func() {
		time.Sleep(300 * time.Millisecond)
		d.signal(syscall.SIGSTOP)
		time.Sleep(choose(2*time.Second, time.Minute))
		d.signal(syscall.SIGCONT)
		time.Sleep(time.Second)
	})
	d.umount()
}

func (d *daemon) signal(s syscall.Signal) {
	d.Helper()
	if err := syscall.Kill(d.process.PID(), s); err != nil {
		d.Fatal(err)
	}
}

// A daemon that is killed loses nothing that fsync or close acknowledged, and
// the next command frees the mount point.
func TestKilledDaemon(t *testing.T) {
	for i := range choose(2, 30) {
		t.Run(itoa(i), func(t *testing.T) {
			d := startDaemon(t, setup{})
			k := &keeper{player: d.newPlayer(behave.Kernel{Root: d.point}, "killed", uint64(i)), acked: map[string][]byte{}}
			over := make(chan struct{})
			go func() {
				defer close(over)
				for k.save() {
				}
			}()
			time.Sleep(time.Duration(50+d.random(uint64(i)).IntN(900)) * time.Millisecond)
			d.signal(syscall.SIGKILL)
			select {
			case <-over:
			case <-time.After(time.Minute):
				t.Fatal("a program still waits")
			}
			k.kept(syscall.ENOTCONN, syscall.ECONNABORTED, syscall.EIO, syscall.EINTR)
			out, err := d.command("list").CombinedOutput()
			if err != nil || d.mounted() {
				t.Errorf("not cleaned up: %v\n%s", err, out)
			}
			if !strings.Contains(string(out), itoa(d.process.PID())) {
				t.Errorf("what happened is not said: %s", out)
			}
		})
	}
}

// asyncProgram makes files for ever, each under another name first, and tells of
// each close and rename that returned. It ends at the first that fails.
const asyncProgram = `
$| = 1;
for (my $n = 0; ; $n++) {
	my $dir = "d" . $n % 3;
	my $name = "$dir/f$n";
	mkdir("$ARGV[0]/$dir", 0700);
	open(my $f, ">", "$ARGV[0]/$name~") or exit;
	my $data = chr($n % 256) x ($n * 37 % 9000);
	length($data) == 0 or syswrite($f, $data) == length($data) or exit;
	close($f) or exit; print "$n closed\n";
	rename("$ARGV[0]/$name~", "$ARGV[0]/$name") or exit; print "$n renamed\n";
}`

// A daemon that is killed in async mode loses nothing that programs closed: the
// next mount delivers it. The program is a process of its own: what this one
// starts, the sandbox's shells too, has its open files until it runs, and closing
// them there would wait for the daemon.
func TestKilledAsyncDaemon(t *testing.T) {
	for i := range choose(4, 60) {
		t.Run(itoa(i), func(t *testing.T) {
			t.Parallel()
			d := startDaemon(t, setup{rtt: 20 * time.Millisecond}, "--writes", "async")
			cmd := exec.Command("perl", "-e", asyncProgram, d.point)
			var told bytes.Buffer
			cmd.Stdout, cmd.Stderr = &told, os.Stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			over := make(chan error, 1)
			go func() { over <- cmd.Wait() }()
			time.Sleep(time.Duration(300+d.random(uint64(i)).IntN(900)) * time.Millisecond)
			d.signal(syscall.SIGKILL)
			select {
			case <-over:
			case <-time.After(20 * time.Second):
				t.Fatal("a program still waits")
			}
			d.start()
			d.delivered(told.String())
			d.umount()
		})
	}
}

// delivered compares the server's files with what asyncProgram told.
func (d *daemon) delivered(told string) {
	d.Helper()
	lines := strings.Split(strings.TrimSpace(told), "\n")
	if len(lines) < 2 {
		d.Logf("nothing was written before the kill: %q", told)
		return
	}
	for i, line := range lines {
		text, step, _ := strings.Cut(line, " ")
		n, err := strconv.Atoi(text)
		if err != nil {
			d.Fatalf("it told %q", line)
		}
		if step != "renamed" && i < len(lines)-1 {
			continue // the next line is its rename's
		}
		name := filepath.Join(d.dir, "d"+itoa(n%3), "f"+text)
		want := bytes.Repeat([]byte{byte(n)}, n*37%9000)
		got, err := os.ReadFile(name)
		if os.IsNotExist(err) && step == "closed" {
			got, err = os.ReadFile(name + "~") // its rename may have been under way
		}
		if err != nil || !bytes.Equal(got, want) {
			d.Errorf("%s: %d bytes, want %d (%v)", line, len(got), len(want), err)
		}
	}
}
