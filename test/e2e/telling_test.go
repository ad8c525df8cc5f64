package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/sbxmount/sbxmount/test/openssh"
)

// TestListAndStatus: what people and scripts are told.
func TestListAndStatus(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	if got := d.ok("list"); got != "nothing is mounted\n" {
		t.Errorf("%q", got)
	}
	if got := d.ok("list", "--json"); strings.TrimSpace(got) != "[]" {
		t.Errorf("%q", got)
	}
	if err := os.Mkdir(h.path("sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.remote = "/sub"
	point := d.mount(h)
	d.sh(point, "echo data > file; cat file")

	all := d.list()
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	m := all[0]
	if m.Sandbox != h.spec() || m.Dir != "/sub" || m.Mountpoint != point || m.State != "up" || m.PID == 0 {
		t.Errorf("%+v", m)
	}
	table := d.ok("list")
	if !regexp.MustCompile(`(?m)^SANDBOX +DIRECTORY +MOUNT POINT +STATE +PID\n.*/sub +` + regexp.QuoteMeta(point) + ` +up +\d+\n$`).MatchString(table) {
		t.Errorf("%s", table)
	}
	s := d.status(point)
	if s.Link.State != "up" || s.Link.Connections < 1 || s.Content.Waiting != 0 || s.Events == nil {
		t.Errorf("%+v", s)
	}
	for _, args := range [][]string{{"status"}, {"status", point}} {
		if text := d.ok(args...); !strings.Contains(text, "everything written is on the sandbox") || !strings.Contains(text, point) {
			t.Errorf("%s", text)
		}
	}
	if words := d.ok("__complete", "umount", ""); !strings.Contains(words, point+"\n") {
		t.Errorf("umount completes to %q", words)
	}
	d.ok("sync", point)
	d.umount(point)
	if r := d.run("status", point); r.code != 9 {
		t.Errorf("%+v", r)
	}
}

// TestNothingLeaks: neither token nor the sandbox's address stand where other
// users or a log's readers see them.
func TestNothingLeaks(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	// As an id with a provider's template, so that there is an id to leak.
	const id = "leakyid0123456789"
	d.env = append(d.env, "SBXMOUNT_TRAFFIC_TOKEN="+h.about.Token, "SBXMOUNT_URL="+h.url+"?id={id}")
	point := filepath.Join(d.dir, "m")
	d.ok("--no-agent", id, point)
	m := d.list()[0]
	if m.Sandbox != id {
		t.Errorf("list names %q", m.Sandbox)
	}
	fails := d.run("--no-agent", "--timeout=1s", "--traffic-token=another secret", "--header=X-Key: a third secret", id, filepath.Join(d.dir, "no"))
	if fails.code != 5 {
		t.Errorf("%+v", fails)
	}
	d.sh(point, "echo data > file")
	args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", m.PID))
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	d.umount(point)
	log, err := os.ReadFile(m.Log)
	if err != nil {
		t.Fatal(err)
	}
	crash := d.crash(id, point)
	if !bytes.Contains(crash, []byte("goroutine ")) {
		t.Errorf("the crash report is %q", crash)
	}
	for where, text := range map[string][]byte{
		"arguments": args, "mount table": table, "log": log, "crash report": crash, "error": []byte(fails.out + fails.err),
	} {
		for what, secret := range map[string]string{
			"id": id, "token": h.about.Token, "wrong token": "another secret", "header": "third secret",
		} {
			if bytes.Contains(text, []byte(secret)) {
				t.Errorf("the %s is in the %s:\n%s", what, where, text)
			}
		}
	}
	if info, err := os.Stat(m.Log); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("log: %v, %v", info.Mode(), err)
	}
}

// crash mounts, has the daemon crash, and returns all that it left behind.
func (d *desk) crash(id, point string) []byte {
	d.t.Helper()
	d.ok("--no-agent", id, point)
	m := d.list()[0]
	d.sh(point, "cat file")
	if err := syscall.Kill(m.PID, syscall.SIGABRT); err != nil { // which the runtime takes as a crash
		d.t.Fatal(err)
	}
	var report []byte
	until(d.t, "a crash report", func() bool {
		report, _ = os.ReadFile(m.Log + ".crash")
		return bytes.Contains(report, []byte("goroutine ")) && isDead(m.PID)
	})
	if info, err := os.Stat(m.Log + ".crash"); err != nil || info.Mode().Perm() != 0o600 {
		d.t.Errorf("crash report: %v, %v", info.Mode(), err)
	}
	d.run("umount", point) // cleans up, and says that it crashed
	os.Remove(m.Log + ".crash")
	log, err := os.ReadFile(m.Log)
	if err != nil {
		d.t.Fatal(err)
	}
	return append(report, log...)
}

// TestLogFormat: the log is JSON where asked for.
func TestLogFormat(t *testing.T) {
	d := newDesk(t)
	h := embeddedHost(t)
	log := filepath.Join(d.dir, "my.log")
	point := d.mount(h, "--log-file", log, "--log-format", "json", "-v")
	d.umount(point)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var record struct{ Level, Msg string }
		d.decode(line, &record)
	}
	if !strings.Contains(string(text), `"msg":"mounted"`) || !strings.Contains(string(text), `"msg":"unmounted"`) {
		t.Errorf("%s", text)
	}
}

// TestProxy: ssh goes through it.
func TestProxy(t *testing.T) {
	s := openssh.Start(t, openssh.Options{Bridge: openssh.Websockify})
	d := newDesk(t)
	args := append(s.ClientOptions(), "-o", "ProxyCommand="+binary+" proxy "+s.URL, s.User+"@sandbox", "cat; echo there")
	cmd := d.command("ssh", args...)
	cmd.Stdin = strings.NewReader(strings.Repeat("0123456789abcdef", 1<<16))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, err.(*exec.ExitError).Stderr)
	}
	if len(out) != 1<<20+6 || !bytes.HasSuffix(out, []byte("there\n")) {
		t.Errorf("%d bytes", len(out))
	}
}

// TestDemo shows something and leaves nothing.
func TestDemo(t *testing.T) {
	d := newDesk(t)
	out := d.ok("demo")
	for _, want := range []string{"fast world", "same bytes on the sandbox", "sbxmount umount", "everything written is on the sandbox"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(d.dir, "sbxmount-demo-*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestDemoInterrupted: Ctrl-C at any time cleans up.
func TestDemoInterrupted(t *testing.T) {
	for _, at := range []string{"sbxmount ws://", "ls -l mnt", "written, synced"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			cmd := d.command(binary, "demo")
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var seen []byte
			for p := make([]byte, 256); !bytes.Contains(seen, []byte(at)); {
				n, err := out.Read(p)
				seen = append(seen, p[:n]...)
				if err != nil {
					t.Fatalf("%v\n%s", err, seen)
				}
			}
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, out) // what it still says
			_ = cmd.Wait()
			if left, _ := filepath.Glob(filepath.Join(d.dir, "sbxmount-demo-*")); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}
