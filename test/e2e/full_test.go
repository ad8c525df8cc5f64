package e2e

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/faults"
)

// TestFullDisk: the program that writes is told, status names the file, sync
// tells what was lost once more, and with room again all works.
func TestFullDisk(t *testing.T) {
	d := newDesk(t)
	dir := filepath.Join(d.dir, "files")
	d.sh(d.dir, "mkdir files")
	s, err := faults.Server{Sandbox: sandboxd.Options{Dir: dir}}.Start(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	point := filepath.Join(d.dir, "mnt")
	d.ok("--no-agent", s.URL()+":/", point)
	s.SetSFTP(faults.SFTP{Full: &faults.Full{After: 100_000}})
	r := d.runCommand(d.command("dd", "if=/dev/zero", "of="+point+"/too-big", "bs=10000", "count=100", "conv=fsync"))
	if r.code == 0 || !strings.Contains(r.err, "No space left on device") {
		t.Errorf("%+v", r)
	}
	told := d.status(point)
	if len(told.Events) != 1 || told.Events[0].Path != "/too-big" || !strings.Contains(told.Events[0].Error, "no space left") {
		t.Errorf("%+v", told.Events)
	}
	if text := d.ok("status", point); !strings.Contains(text, "/too-big") || !strings.Contains(text, "no space left") {
		t.Errorf("%s", text)
	}
	if r := d.run("sync", point); r.code != 10 || !strings.Contains(r.err, "not delivered") {
		t.Errorf("%+v", r)
	}
	s.SetSFTP(faults.SFTP{})
	d.sh(point, "rm too-big; echo fits > small")
	d.ok("sync", point)
	d.umount(point)
	same(t, filepath.Join(dir, "small"), []byte("fits\n"))
}
