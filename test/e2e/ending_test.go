package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/link"
	"github.com/sbxmount/sbxmount/test/process"
)

// isMounted asks the mount table.
func isMounted(t *testing.T, point string) bool {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(table), " "+point+" ")
}

// TestUmountWhileBusy changes nothing and says who is in the way.
func TestUmountWhileBusy(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	point := d.mount(h)
	f, err := os.Create(filepath.Join(point, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r := d.run("umount", point); r.code != 9 || !strings.Contains(r.err, "in use") || !strings.Contains(r.err, "--force") {
		t.Errorf("%+v", r)
	}
	if _, err := f.WriteString("still works"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	d.umount(point)
	same(t, h.path("open"), []byte("still works"))
}

// TestForceWhileBusy takes the mount away from a program, with a live link:
// what it wrote is delivered.
func TestForceWhileBusy(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	point := d.mount(h)
	f, err := os.Create(filepath.Join(point, "open"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("written"); err != nil {
		t.Fatal(err)
	}
	if r := d.run("umount", "--force", point); r.code != 0 {
		t.Errorf("%+v", r)
	}
	same(t, h.path("open"), []byte("written"))
	if isMounted(t, point) {
		t.Error("still mounted")
	}
	if _, err := f.WriteString("x"); err == nil {
		t.Error("a write to a mount that is gone succeeded")
	}
}

// deadLink is a mount whose link just died silently.
func deadLink(t *testing.T, d *desk, flags ...string) (*host, *link.Link, string) {
	t.Helper()
	h := embeddedHost(t)
	l, err := link.New(link.Options{Target: h.addr})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	point := d.mount(h.via(l.Addr()), flags...)
	if err := os.WriteFile(filepath.Join(point, "before"), []byte("b"), 0o644); err != nil {
		t.Fatal(err)
	}
	return h, l, point
}

// openWriter starts a program that has a file open and writes what it is
// given, 100,000 bytes at a time. It is another process, since each fork of
// this one would close a copy of the file, and so wait for its data.
func openWriter(d *desk, h *host, point, name string) (*exec.Cmd, io.WriteCloser) {
	d.t.Helper()
	writer := d.command("dd", "of="+filepath.Join(point, name), "bs=100000", "count=3", "iflag=fullblock")
	input, err := writer.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		d.t.Fatal(err)
	}
	if _, err := input.Write(make([]byte, 100_000)); err != nil {
		d.t.Fatal(err)
	}
	until(d.t, "it waits for more", func() bool {
		info, err := os.Stat(h.path(name))
		return err == nil && info.Size() == 100_000
	})
	return writer, input
}

// TestForceWithADeadLink ends within seconds, whatever waits, and says what was
// not delivered.
func TestForceWithADeadLink(t *testing.T) {
	d := newDesk(t)
	h, l, point := deadLink(t, d)
	writer, input := openWriter(d, h, point, "lost")
	l.Blackhole(true)
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	if _, err := input.Write(data); err != nil {
		t.Fatal(err)
	}
	until(t, "the data waits", func() bool { return d.status(point).Content.Waiting == 100_000 })
	stuck := d.command("ls", "-l", filepath.Join(point, "not-known"))
	if err := stuck.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := d.run("umount", "--force", point)
	if r.code != 10 || !strings.Contains(r.err, "not delivered") || !strings.Contains(r.err, "lost") {
		t.Errorf("%+v", r)
	}
	if took := time.Since(began); took > 20*time.Second { // on a busy machine; a daemon that was killed says something else
		t.Errorf("took %v", took)
	}
	if isMounted(t, point) {
		t.Error("still mounted")
	}
	if err := stuck.Wait(); err == nil {
		t.Error("a program that waited was told that all is well")
	}
	input.Close()
	if err := writer.Wait(); err == nil {
		t.Error("the program that wrote was told that all is well")
	}
	d.recovers(r.err, "lost", append(make([]byte, 100_000), data...)) // what was delivered before is a hole
}

// recovers has `sbxmount recover` write out what a message says is kept, and
// looks for a file's bytes there.
func (d *desk) recovers(message, name string, want []byte) {
	d.t.Helper()
	_, rest, found := strings.Cut(message, "`sbxmount recover ")
	kept, _, ended := strings.Cut(rest, " <directory>`")
	if !found || !ended {
		d.t.Fatalf("it is not said where it is kept: %s", message)
	}
	for path, mode := range map[string]os.FileMode{kept: 0o600, filepath.Dir(kept): os.ModeDir | 0o700} {
		if st, err := os.Lstat(path); err != nil || st.Mode() != mode {
			d.t.Errorf("%s has mode %v, %v", path, st.Mode(), err)
		}
	}
	out := filepath.Join(d.dir, "recovered")
	d.ok("recover", kept, out)
	var got []byte
	err := filepath.WalkDir(out, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Name() == name {
			got, err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || !bytes.Equal(got, want) {
		d.t.Errorf("%d bytes of %s were recovered, want %d: %v", len(got), name, len(want), err)
	}
}

// TestUmountWithADeadLink reports what it can't deliver and leaves the mount as
// it is, and so does sync; after the link is back the mount goes on.
func TestUmountWithADeadLink(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"umount", "sync"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h, l, point := deadLink(t, d, "--timeout", "3s")
			writer, input := openWriter(d, h, point, "late")
			l.Blackhole(true)
			if _, err := input.Write(make([]byte, 100_000)); err != nil {
				t.Fatal(err)
			}
			until(t, "the data waits", func() bool { return d.status(point).Content.Waiting == 100_000 })
			began := time.Now()
			if r := d.run(command, point); r.code != 10 || !strings.Contains(r.err, "not delivered") || !isMounted(t, point) {
				t.Errorf("%+v", r)
			}
			// A silent link is noticed after 20 s, then --timeout counts.
			if took := time.Since(began); took > 50*time.Second {
				t.Errorf("took %v", took)
			}
			l.Blackhole(false)
			l.Cut()
			input.Close()
			if err := writer.Wait(); err == nil {
				t.Error("the program that wrote was told that all is well")
			}
			if err := os.WriteFile(filepath.Join(point, "after"), []byte("a"), 0o644); err != nil {
				t.Error(err)
			}
			if s := d.status(point); s.Link.State != "up" || s.Link.Reconnects == 0 {
				t.Errorf("%+v", s)
			}
			d.umount(point)
			same(t, h.path("after"), []byte("a"))
		})
	}
}

// TestExternalUnmount: fusermount3 -u ends the daemon cleanly.
func TestExternalUnmount(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	point := d.mount(h)
	d.sh(point, "echo data > file")
	d.tool(d.dir, "fusermount3", "-u", point)
	until(t, "the daemon is gone", func() bool { return len(d.list()) == 0 })
	same(t, h.path("file"), []byte("data\n"))
	if _, err := os.Stat(point); err == nil {
		t.Error("the mount point that was made is still there")
	}
}

// TestUmountTwice: of two at once each says that it is unmounted, or that it no
// longer is mounted.
func TestUmountTwice(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	point := d.mount(h)
	d.sh(point, "echo data > file")
	both := make(chan result, 2)
	for range cap(both) {
		go func() { both <- d.run("umount", point) }()
	}
	done := 0
	for range cap(both) {
		switch r := <-both; r.code {
		case 0:
			done++
		case 9:
		default:
			t.Errorf("%+v", r)
		}
	}
	if done == 0 || isMounted(t, point) {
		t.Errorf("%d of 2 unmounted it", done)
	}
	same(t, h.path("file"), []byte("data\n"))
}

// TestSignals: the daemon delivers and unmounts.
func TestSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h := embeddedHost(t)
			point := d.mount(h)
			d.sh(point, "echo data > file")
			if err := syscall.Kill(d.list()[0].PID, s); err != nil {
				t.Fatal(err)
			}
			until(t, "the daemon is gone", func() bool { return len(d.list()) == 0 })
			if isMounted(t, point) {
				t.Error("still mounted")
			}
			same(t, h.path("file"), []byte("data\n"))
		})
	}
}

// foreground starts a mount with -f and waits until it serves.
func (d *desk) foreground(h *host, point string, flags ...string) *process.Process {
	d.t.Helper()
	p, err := process.Start(d.command(binary, append(append(h.flags(), flags...), "-f", h.spec(), point)...))
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(p.Kill)
	until(d.t, "it is mounted", func() bool { return isMounted(d.t, point) && len(d.list()) == 1 })
	return p
}

// signal sends a signal that must be heard of.
func (d *desk) signal(p *process.Process, s syscall.Signal) {
	d.t.Helper()
	if err := syscall.Kill(p.PID(), s); err != nil {
		d.t.Fatal(err)
	}
}

// TestForegroundInterrupt: Ctrl-C delivers, unmounts, and ends with 0.
func TestForegroundInterrupt(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	point := filepath.Join(d.dir, "m")
	p := d.foreground(h, point)
	d.sh(point, "echo data > file")
	d.signal(p, syscall.SIGINT)
	<-p.Ended()
	if p.State() != "exit status 0" {
		t.Errorf("%s\n%s", p.State(), p.Output())
	}
	if isMounted(t, point) {
		t.Error("still mounted")
	}
	same(t, h.path("file"), []byte("data\n"))
}

// TestSecondSignal forces: a file in use, then data on a dead link.
func TestSecondSignal(t *testing.T) {
	for _, tt := range []struct {
		name string
		dead bool
		code int
		says string
	}{{"busy", false, 12, "ended by a second signal"}, {"dead", true, 10, "not delivered"}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			h := embeddedHost(t)
			l, err := link.New(link.Options{Target: h.addr})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			point := filepath.Join(d.dir, "m")
			p := d.foreground(h.via(l.Addr()), point)
			f, err := os.Create(filepath.Join(point, "file"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if tt.dead {
				l.Blackhole(true)
				if _, err := f.WriteString("never arrives"); err != nil {
					t.Fatal(err)
				}
			}
			d.signal(p, syscall.SIGTERM)
			// Signals of one kind merge while they are pending.
			if err := p.Await("a second signal forces it", patience); err != nil {
				t.Fatalf("after the first signal: %v\n%s", err, p.Output())
			}
			d.signal(p, syscall.SIGTERM)
			<-p.Ended()
			if want := fmt.Sprintf("exit status %d", tt.code); p.State() != want || !strings.Contains(p.Output(), tt.says) {
				t.Errorf("%s, want %s\n%s", p.State(), want, p.Output())
			}
			if isMounted(t, point) {
				t.Error("still mounted")
			}
		})
	}
}

// TestInterruptedMount: Ctrl-C before the mount serves leaves nothing.
func TestInterruptedMount(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	l, err := link.New(link.Options{Target: h.addr})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.Blackhole(true)
	point := filepath.Join(d.dir, "m")
	cmd := d.command(binary, append(h.flags(), h.via(l.Addr()).spec(), point)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "it dials", func() bool { return l.Stats().Conns > 0 })
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Lstat(point); err == nil {
		t.Error("the mount point that was made is still there")
	}
}
