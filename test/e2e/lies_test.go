package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/faults"
)

// TestLiesThroughAMount has programs meet a sandbox that lies: they end, the
// names that they see are names, the canary lives, and so does the daemon.
func TestLiesThroughAMount(t *testing.T) {
	t.Parallel()
	for _, lie := range []faults.Lie{
		faults.NameEscape, faults.NamesEndless, faults.SizeMax, faults.Garbage,
	} {
		t.Run(string(lie), func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			c := newCanary(t, d)
			dir := filepath.Join(d.dir, "files")
			d.sh(d.dir, `mkdir files; echo small > files/small; ln -s small files/link; mkdir files/sub`)
			s, err := faults.Server{Sandbox: sandboxd.Options{Dir: dir}}.Start(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			point := filepath.Join(d.dir, "mnt")
			d.ok("--no-agent", "--timeout=500ms", "--ttl=10ms", s.URL()+":/", point)
			s.SetSFTP(faults.SFTP{Lies: []faults.Lying{{Lie: lie}}})
			for _, script := range []string{"ls -la", "cat small", "cat link", "echo x > new", "mkdir made", "rm small"} {
				d.runCommand(d.command("timeout", "-s", "KILL", "60", "sh", "-c", fmt.Sprintf("cd '%s'; %s", point, script)))
			}
			s.SetSFTP(faults.SFTP{})
			until(t, "the truth", func() bool {
				names, err := os.ReadDir(point)
				for _, n := range names {
					if strings.ContainsAny(n.Name(), "/\x00") {
						t.Errorf("listed: %q", n.Name())
					}
				}
				_, missing := os.Stat(point + "/sub")
				return err == nil && missing == nil
			})
			c.untouched(t)
			d.umount(point)
		})
	}
}
