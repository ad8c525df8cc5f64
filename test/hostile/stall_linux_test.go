package hostile

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/process"
)

// TestOneStall: one READ is never answered, and all else is, as fast as another
// program asks. Who reads waits no longer than for a server that is silent.
func TestOneStall(t *testing.T) {
	t.Parallel()
	m := newMounted(t)
	m.server.SetSFTP(faults.SFTP{Stall: []faults.Match{{Op: "READ", Path: "large", Times: 1}}})
	start := func(script string) *process.Process {
		// Not by cmd.Dir: this process would enter its own mount.
		p, err := process.Start(exec.Command("sh", "-c", "cd '"+m.point()+"'; "+script))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	start("while :; do ls -la . d >/dev/null 2>&1; done")
	began := time.Now()
	copied := filepath.Join(t.TempDir(), "copied")
	reader := start("cat large > '" + copied + "' && echo whole")
	select {
	case <-reader.Ended():
	case <-time.After(bound):
		t.Fatal("the reader waits while others are answered")
	}
	t.Logf("it took %v", time.Since(began))
	if got, err := os.ReadFile(copied); strings.Contains(reader.Output(), "whole") && !bytes.Equal(got, content) {
		t.Errorf("%d bytes, and no error; %v", len(got), err)
	}
	m.honest()
	m.recovers()
}
