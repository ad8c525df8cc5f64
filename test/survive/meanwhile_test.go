//go:build linux

package survive_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// atOnce bounds what must not wait for the link, on a busy machine.
const atOnce = 10 * time.Second

// sh runs a shell command with MNT set, which must end at once and well.
func (d *daemon) sh(command string) string {
	d.Helper()
	ctx, cancel := context.WithTimeout(d.Context(), atOnce)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", command)
	cmd.Env, cmd.Dir, cmd.WaitDelay = append(d.env, "MNT="+d.point), d.home, time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.Errorf("%s: %v: %v\n%s", command, err, ctx.Err(), out)
	}
	return string(out)
}

// linkTold is what `status --json` says of the link.
type linkTold struct {
	State string
}

func (d *daemon) told() linkTold {
	d.Helper()
	var told struct{ Link linkTold }
	out, err := d.command("status", "--json", d.point).Output()
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil {
		d.Fatalf("status: %v\n%s", err, out)
	}
	return told.Link
}

// While the link is down for good and nothing times out: what stands beside the
// mount, df and completion do not wait, what is known is shown, writes go on,
// and a program that waits can be interrupted.
func TestMeanwhile(t *testing.T) {
	t.Parallel()
	d := startDaemon(t, setup{}, "--timeout", "0")
	if err := os.Mkdir(filepath.Join(d.dir, "known"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"known/file": 7, "big": 20 << 20} {
		if err := os.WriteFile(filepath.Join(d.dir, name), bytes.Repeat([]byte("x"), size), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.sh(`ls -l "$MNT" "$MNT/known"`)
	time.Sleep(2500 * time.Millisecond) // an mtime proves content two seconds after it was first seen
	d.sh(`ls -l "$MNT" "$MNT/known" && cat "$MNT/known/file"`)
	w := d.startWriter("new")
	d.link.Blackhole(true)
	d.link.Cut()
	until(t, "it is down", func() bool { return d.told().State != "up" })
	time.Sleep(1500 * time.Millisecond) // names are old by now

	for _, command := range []string{
		`ls -la "$HOME"`, `ls -l "$MNT"`, `df "$MNT"`, `df`, `stat "$MNT" "$MNT/known/file"`,
		`compgen -f "$MNT/kn"`, `test -d "$MNT"`,
	} {
		d.sh(command)
	}
	if got := d.sh(`cat "$MNT/known/file"`); got != "xxxxxxx" {
		t.Errorf("a file that is known reads as %q", got)
	}
	const text = 1_000_000
	w.does("write", text, atOnce)
	d.interrupts()

	d.link.Blackhole(false)
	d.link.Cut() // the attempt that heard nothing
	w.does("close", 0, time.Minute)
	if got, err := os.ReadFile(filepath.Join(d.dir, "new")); err != nil || len(got) != text {
		t.Errorf("the server has %d bytes of %d, %v", len(got), text, err)
	}
	d.umount()
}

// writer is a program that has a file of the mount open: were it this process, a
// mount that is dead at the end would hold it for ever.
type writer struct {
	t     testing.TB
	in    io.Writer
	lines chan string
}

// writerProgram is no shell's: those close copies of what they redirect, and each
// close waits for what was written.
const writerProgram = `
$| = 1;
open(my $f, ">", $ARGV[0]) or die $!; print "open\n";
my $n = <STDIN>; syswrite($f, "x" x $n) == $n or die $!; print "write\n";
<STDIN>; close($f) or die $!; print "close\n";`

func (d *daemon) startWriter(name string) *writer {
	d.Helper()
	cmd := exec.Command("perl", "-e", writerProgram, filepath.Join(d.point, name))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		d.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	w := &writer{d, in, make(chan string, 3)}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.lines <- lines.Text()
		}
		close(w.lines)
		_ = cmd.Wait()
	}()
	d.Cleanup(func() { _ = cmd.Process.Kill() })
	w.says("open", time.Minute)
	return w
}

// does has the next step done, with n bytes, within some time.
func (w *writer) does(step string, n int, within time.Duration) {
	w.t.Helper()
	fmt.Fprintln(w.in, n)
	w.says(step, within)
}

func (w *writer) says(step string, within time.Duration) {
	w.t.Helper()
	select {
	case line := <-w.lines:
		if line != step {
			w.t.Fatalf("%q instead of %q", line, step)
		}
	case <-time.After(within):
		w.t.Fatalf("no %s within %s", step, within)
	}
}

// interrupts starts programs that wait for the link, and interrupts them.
func (d *daemon) interrupts() {
	d.Helper()
	for _, args := range [][]string{{"cat", "big"}, {"mkdir", "made"}, {"mv", "known", "moved"}, {"rm", "known/file"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = d.point
		cmd.Env = append(d.env, "LC_ALL=C")
		if err := cmd.Start(); err != nil {
			d.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		until(d, args[0]+" waits", func() bool {
			select {
			case err := <-ended:
				d.Fatalf("%v does not wait: %v", args, err)
			default:
			}
			return sleeps(cmd.Process.Pid)
		})
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(atOnce):
			d.Errorf("%v goes on waiting after an interrupt", args)
			_ = cmd.Process.Kill()
		}
	}
}

// sleeps reports whether a process has slept for a while: what it waits for
// here is the link.
func sleeps(pid int) bool {
	for range 5 {
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, _ := bytes.Cut(stat, []byte(") "))
		if len(state) == 0 || state[0] != 'S' && state[0] != 'D' {
			return false
		}
		time.Sleep(50 * time.Millisecond)
	}
	return true
}
