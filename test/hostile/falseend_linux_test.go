package hostile

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/process"
)

// TestNoFalseEnd: whatever a READ is answered with, while the attributes are
// true, a program that copies the file has all of it, or is told that it has not.
func TestNoFalseEnd(t *testing.T) {
	t.Parallel()
	watchMemory(t)
	sideBySide(8, []faults.Lie{
		faults.EOFInstead, faults.OKInstead, faults.OddStatus, faults.EmptyData, faults.ShortData, faults.OneByte,
		faults.LongData, faults.DataLength, faults.Truncated, faults.WrongType, faults.HalfThenClose, faults.HalfThenWait,
	}, func(lie faults.Lie) {
		t.Run(string(lie), func(t *testing.T) {
			m := newMounted(t)
			m.server.SetSFTP(faults.SFTP{Lies: []faults.Lying{{Match: faults.Match{Op: "READ", Skip: 1}, Lie: lie}}})
			copied := filepath.Join(t.TempDir(), "copied")
			p, err := process.Start(exec.Command("timeout", "-s", "KILL", "60", "cp", m.point()+"/large", copied))
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			<-p.Ended()
			got, err := os.ReadFile(copied)
			if whole := err == nil && bytes.Equal(got, content); p.State() == "exit status 0" && !whole {
				t.Errorf("cp says that %d bytes are all", len(got))
			}
			t.Logf("%s, %d bytes: %s", p.State(), len(got), p.Output())
			m.honest()
			m.recovers()
		})
	})
}
