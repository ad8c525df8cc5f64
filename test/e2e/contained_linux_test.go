package e2e

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/process"
)

// changes are the system calls by which a process changes files. Those that
// read are of no harm: what they found would have to be told to somebody.
const changes = "open,openat,openat2,creat,truncate,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat,renameat2," +
	"link,linkat,symlink,symlinkat,mknod,mknodat,chmod,fchmodat,chown,lchown,fchownat,utimensat," +
	"setxattr,lsetxattr,removexattr,lremovexattr,bind,execve"

var (
	readOnly = regexp.MustCompile(`^open(at2?)?\(.*O_RDONLY`)
	makes    = regexp.MustCompile(`O_CREAT|O_TRUNC`)
	quoted   = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
)

// TestDaemonTouchesNothingElse: the daemon of a hostile sandbox, watched by
// strace from its first moment to its last, changes nothing but its own state
// and log, known_hosts and the mount point.
func TestDaemonTouchesNothingElse(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	c := newCanary(t, d)
	files := filepath.Join(d.dir, "files")
	d.sh(d.dir, `mkdir -p files/project/d/e; echo plain > files/project/plain; head -c 1M /dev/zero > files/project/large`)
	point := filepath.Join(d.dir, "m")
	for name, text := range c.attacks(point) {
		if err := os.Symlink(text, filepath.Join(files, "project", name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := faults.Server{Sandbox: sandboxd.Options{Dir: files}}.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	trace := filepath.Join(t.TempDir(), "trace")
	p, err := process.Start(d.command("strace", "-f", "-qq", "-s", "4096", "-e", "signal=none", "-e", "trace="+changes, "-o", trace,
		binary, "--no-agent", "--timeout=1s", "--ttl=10ms", "--known-hosts", d.dir+"/config_home/known_hosts", s.URL()+":/project", point))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	until(t, "the mount", func() bool {
		select {
		case <-p.Ended():
			t.Fatalf("%s: %s", p.State(), p.Output())
		default:
		}
		_, err := os.Stat(point + "/plain")
		return err == nil
	})
	work := `for l in * d/* .sbxmount-root/*; do cat "$l"; echo x > "$l"; echo x > "$l/made"; done
mkdir made; cp large copied; mv copied moved; ln -s ` + c.file() + ` here; cat here; ls -laR .; rm -rf moved`
	for seed := range uint64(3) {
		// A FIFO that the sandbox shows is waited for, as anywhere.
		d.runCommand(d.command("timeout", "-s", "KILL", "5", "sh", "-c", "cd "+point+" || exit; "+work))
		s.SetSFTP(faults.SFTP{Hostile: &faults.Hostile{Seed: seed, Rate: 0.2, Fit: true}})
	}
	s.SetSFTP(faults.SFTP{})
	s.Drop()
	until(t, "the truth", func() bool { _, err := os.ReadDir(point); return err == nil })
	if r := d.run("umount", point); r.code != 0 {
		d.run("umount", "--force", point)
	}
	<-p.Ended()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		_, call, _ := strings.Cut(strings.TrimSpace(line), " ")
		call = strings.TrimSpace(call)
		if readOnly.MatchString(call) && !makes.MatchString(call) || strings.Contains(call, "resumed>") {
			continue
		}
		if seen++; !d.may(call, point) {
			t.Errorf("the daemon: %.400s", call)
		}
	}
	if seen == 0 {
		t.Errorf("strace saw nothing:\n%.2000s", text)
	}
	c.untouched(t)
}

// may reports whether a line of strace's is about what is the daemon's.
func (d *desk) may(call, point string) bool {
	if strings.HasPrefix(call, "execve(") {
		return strings.HasPrefix(call, `execve("`+binary+`"`) || strings.Contains(call, `fusermount3"`) ||
			strings.HasPrefix(call, `execve("/proc/self/exe"`)
	}
	for _, found := range quoted.FindAllStringSubmatch(call, -1) {
		ok := found[1] == point || found[1] == "/dev/fuse" || found[1] == "/dev/null" || found[1] == "/dev/tty" ||
			strings.HasPrefix(found[1], "/sys/class/bdi/") || // the mount's read-ahead, where root mounts
			strings.HasPrefix(found[1], "/proc/self/fd/") && strings.HasSuffix(found[1], "/control.sock")
		for _, dir := range []string{"runtime_dir", "state_home", "config_home", "cache_home"} {
			ok = ok || strings.HasPrefix(found[1], filepath.Join(d.dir, dir)+"/")
		}
		if !ok {
			return false
		}
	}
	return true
}

// TestNamesOfASandbox: names that no local file can have are left out and
// counted, in the log and in status; all others are exact bytes.
func TestNamesOfASandbox(t *testing.T) {
	t.Parallel()
	for lie, shown := range map[faults.Lie]string{
		faults.NameEmpty: "", faults.NameSlash: "", faults.NameEscape: "", faults.NameNUL: "", faults.NameLong: "",
		faults.NameControl: "\x1b[2J\r\nbell\a", faults.NameHalfUTF8: "caf\xc3",
	} {
		t.Run(string(lie), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "only"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := faults.Server{Sandbox: sandboxd.Options{Dir: dir}}.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			point := filepath.Join(d.dir, "m")
			d.ok("--no-agent", "--ttl=0", s.URL()+":/", point)
			s.SetSFTP(faults.SFTP{Lies: []faults.Lying{{Match: faults.Match{Op: "READDIR", Times: 1}, Lie: lie}}})
			var names []string
			listed, err := os.ReadDir(point)
			for _, n := range listed {
				names = append(names, n.Name())
			}
			if got := strings.Join(names, "|"); got != shown || err != nil && !errors.Is(err, syscall.EIO) {
				t.Errorf("listed: %q, %v; want %q", got, err, shown)
			}
			log, err := os.ReadFile(d.list()[0].Log)
			if err != nil {
				t.Fatal(err)
			}
			var st struct {
				Content struct {
					Unusable int `json:"unusable_names"`
				}
			}
			d.decode(d.ok("status", "--json", point), &st)
			told := strings.Contains(d.ok("status", point), "names that no local file can have")
			if counted := shown == ""; st.Content.Unusable > 0 != counted || told != counted || bytes.Contains(log, []byte("were left out")) != counted {
				t.Errorf("status counts %d and tells %v; the log is\n%s", st.Content.Unusable, told, log)
			}
			s.SetSFTP(faults.SFTP{})
			d.umount(point)
		})
	}
}

// TestNoLoginLeaks: neither the provider's key, nor the token that its API told,
// nor a password that was typed stand where others see them; also when the API
// fails, and debug logs are on.
func TestNoLoginLeaks(t *testing.T) {
	d, s, args := providerDesk(t, sandboxd.Options{
		Token: "token-of-the-api", APIKey: "e2b_key_of_the_api", Auth: sandboxd.Auth{Password: "typed password", NoNone: true},
	})
	point := args[len(args)-1]
	p := d.typed("typed password", "-vv "+strings.Join(args, " "))
	m := d.list()[0]
	d.sh(point, "echo data > file")
	line, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(m.PID), "cmdline"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	told := d.ok("status", "--json", point) + d.ok("status", point) + d.ok("list", "--json")
	state := ""
	for _, f := range []string{"runtime_dir", "state_home", "config_home"} {
		state += d.sh(d.dir, "grep -ra '' "+f+" || true")
	}
	s.Pause() // the link is lost, and the API says so
	failed := d.runCommand(d.command("timeout", "-s", "KILL", "60", "sh", "-c", "ls "+point+"/none"))
	if err := syscall.Kill(m.PID, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	until(t, "the end", func() bool { return isDead(m.PID) })
	crash, _ := os.ReadFile(m.Log + ".crash")
	log, err := os.ReadFile(m.Log)
	if err != nil {
		t.Fatal(err)
	}
	d.run("umount", point)
	os.Remove(m.Log + ".crash")
	if !bytes.Contains(crash, []byte("goroutine ")) || !bytes.Contains(log, []byte("level=DEBUG")) {
		t.Errorf("the crash report is %q, the log\n%s", crash, log)
	}
	for where, text := range map[string]string{
		"arguments": string(line), "mount table": string(table), "crash report": string(crash), "log": string(log),
		"messages": p.Output(), "errors": failed.err, "status": told, "state": state,
	} {
		for _, secret := range []string{"token-of-the-api", "e2b_key_of_the_api", "typed password"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is in the %s:\n%s", secret, where, text)
			}
		}
	}
	for where, text := range map[string]string{"arguments": string(line), "mount table": string(table), "crash report": string(crash)} {
		if strings.Contains(text, s.ID()) {
			t.Errorf("the id is in the %s:\n%s", where, text)
		}
	}
}
