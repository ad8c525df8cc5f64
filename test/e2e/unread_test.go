package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNobodyReadsTheLog: a mount in the foreground whose standard error is a
// pipe that nobody reads, or that nobody holds any more, works and ends as any
// other.
func TestNobodyReadsTheLog(t *testing.T) {
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone %v", gone), func(t *testing.T) {
			d := newDesk(t)
			h := embeddedHost(t)
			point := filepath.Join(d.dir, "m")
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cmd := d.command(binary, append(h.flags(), "-v", "-v", "-f", h.spec(), point)...)
			cmd.Stderr = w
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			w.Close()
			until(t, "it is mounted", func() bool { return isMounted(t, point) && len(d.list()) == 1 })
			if gone {
				r.Close()
			}
			d.sh(point, "for i in $(seq 200); do echo $i >f$i; done; cat f* >all; ls -l >/dev/null; rm f*")
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if isMounted(t, point) {
				t.Error("still mounted")
			}
			if info, err := os.Stat(h.path("all")); err != nil || info.Size() != 692 {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}
