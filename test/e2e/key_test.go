package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// TestKeyChangesUnderAMount: another server in the place of the mounted one is
// not talked to, and the user is told why.
func TestKeyChangesUnderAMount(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	o := sandboxd.Options{Dir: t.TempDir(), Token: "token", Public: true}
	real := startSandboxd(t, o)
	o.Addr = real.Addr()
	point := filepath.Join(d.dir, "m")
	d.ok("--no-agent", "--timeout=1s", "--ttl=0", real.URL(), point)
	d.sh(point, "echo data > file")
	if err := real.Close(); err != nil {
		t.Fatal(err)
	}
	o.Dir = t.TempDir()
	if err := os.WriteFile(filepath.Join(o.Dir, "file"), []byte("another's"), 0o644); err != nil {
		t.Fatal(err)
	}
	startSandboxd(t, o)
	if r := d.runCommand(d.command("sh", "-c", "cat "+point+"/file; echo more > "+point+"/made")); r.code == 0 || strings.Contains(r.out, "another") {
		t.Errorf("%+v", r)
	}
	until(t, "the reason in status", func() bool { return strings.Contains(d.ok("status", point), "host key has changed") })
	if made, err := os.ReadDir(o.Dir); err != nil || len(made) != 1 {
		t.Errorf("the other server got %v, %v", made, err)
	}
	d.run("umount", "--force", point)
}
