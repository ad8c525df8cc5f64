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

// TestRefusals: what a program is told where the sandbox refuses.
func TestRefusals(t *testing.T) {
	for name, tt := range map[string]struct {
		knobs  faults.SFTP
		script string
		says   string
	}{
		"read-only":  {faults.SFTP{ReadOnly: true}, "echo x > new", "Read-only file system"},
		"quota":      {faults.SFTP{Full: &faults.Full{Quota: true}}, "dd if=/dev/zero of=new count=1", "Disk quota exceeded"},
		"permission": {faults.SFTP{Fail: []faults.Failing{{Match: faults.Match{Op: "OPEN"}, Code: 3}}}, "cat there", "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.sh(d.dir, "mkdir files; echo data > files/there")
			s, err := faults.Server{Sandbox: sandboxd.Options{Dir: filepath.Join(d.dir, "files")}}.Start(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			point := filepath.Join(d.dir, "mnt")
			d.ok("--no-agent", s.URL()+":/", point)
			s.SetSFTP(tt.knobs)
			if r := d.runCommand(d.command("sh", "-c", "cd "+point+"; "+tt.script)); r.code == 0 || !strings.Contains(r.err, tt.says) {
				t.Errorf("%+v", r)
			}
			s.SetSFTP(faults.SFTP{})
			d.sh(point, `test "$(cat there)" = data`)
			d.run("sync", point) // tells of what was lost
			d.umount(point)
		})
	}
}
