//go:build linux

package survive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	f, err := os.Create(filepath.Join(d.point, "new"))
	if err != nil {
		t.Fatal(err)
	}
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
	data := bytes.Repeat([]byte("data "), 200_000)
	wrote := make(chan error, 1)
	go func() {
		_, err := f.Write(data)
		wrote <- err
	}()
	select {
	case err := <-wrote:
		if err != nil {
			t.Errorf("write: %v", err)
		}
	case <-time.After(atOnce):
		t.Error("a write waits though there is room in the buffer")
	}
	d.interrupts()

	d.link.Blackhole(false)
	d.link.Cut() // the attempt that heard nothing
	if err := f.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(d.dir, "new")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the server has %d bytes of %d, %v", len(got), len(data), err)
	}
	d.umount()
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
