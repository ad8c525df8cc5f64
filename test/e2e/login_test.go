package e2e

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/openssh"
	"github.com/sbxmount/sbxmount/test/process"
)

// loginDesk is a desk, and a sandbox whose user has this login.
func loginDesk(t *testing.T, a sandboxd.Auth) (d *desk, spec, point string) {
	t.Helper()
	d = newDesk(t)
	s := startSandboxd(t, sandboxd.Options{Public: true, Auth: a})
	return d, s.URL(), filepath.Join(d.dir, "m")
}

// TestEmptyPassword: a user without a password, on a server that does not take
// the method none.
func TestEmptyPassword(t *testing.T) {
	d, spec, point := loginDesk(t, sandboxd.Auth{NoNone: true})
	d.ok("--no-agent", spec, point)
	d.sh(point, "echo data > file")
	d.umount(point)
}

// TestPasswordPrompt asks on a terminal, and nowhere else.
func TestPasswordPrompt(t *testing.T) {
	d, spec, point := loginDesk(t, sandboxd.Auth{Password: "hush", NoNone: true})
	if r := d.run("--no-agent", spec, point); r.code != 5 || !strings.Contains(r.err, "login failed") {
		t.Errorf("without a terminal: %+v", r)
	}
	for _, try := range []struct{ password, state string }{{"loud", "exit status 5"}, {"hush", "exit status 0"}} {
		p := d.typed(try.password, "--no-agent "+spec+" "+point)
		if p.State() != try.state {
			t.Fatalf("%s: %s\n%s", try.password, p.State(), p.Output())
		}
	}
	d.sh(point, "echo data > file")
	d.umount(point)
}

// typed runs sbxmount on a terminal, types a password where it asks for one, and
// returns how it ended. script(1) is the terminal; its program is the one that
// sits in front of it.
func (d *desk) typed(password, args string) *process.Process {
	d.t.Helper()
	cmd := d.command("script", "-qec", "sbxmount "+args, "/dev/null")
	keys, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	p, err := process.Start(cmd)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(p.Kill)
	if err := p.Await("assword", patience); err != nil {
		d.t.Fatalf("%v\n%s", err, p.Output())
	}
	if _, err := io.WriteString(keys, password+"\n"); err != nil {
		d.t.Fatal(err)
	}
	<-p.Ended()
	return p
}

// TestPlainSSH: servers without a WebSocket, and the directory that is the
// login user's home where none is given.
func TestPlainSSH(t *testing.T) {
	d := newDesk(t)
	ssh := sshHost(t, openssh.None)
	if !strings.HasPrefix(ssh.url, "ssh://") {
		t.Fatal(ssh.url)
	}
	point := d.mount(ssh)
	d.sh(point, "echo data > file")
	d.umount(point)
	same(t, ssh.path("file"), []byte("data\n"))

	embedded := embeddedHost(t, "--ssh")
	point = filepath.Join(d.dir, "m")
	d.ok("--no-agent", embedded.about.SSH, point)
	d.sh(point, "echo data > file")
	if at := d.list()[0].Dir; at != "/" {
		t.Errorf("its home is %s", at)
	}
	d.umount(point)
	same(t, embedded.path("file"), []byte("data\n"))
}
