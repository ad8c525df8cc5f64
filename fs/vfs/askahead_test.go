package vfs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// As ls -l does in a directory so large that what its listing told has grown
// old before each name's turn comes.
func TestStatsOfHugeDirectory(t *testing.T) {
	const n = 5000
	prepare := func(s *fake.Server) {
		for i := range n {
			s.WriteFile(fmt.Sprintf("%s/f%05d", home, i), "")
		}
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		names := m.names(vfs.RootID)
		time.Sleep(2 * ttl)
		m.remote.ResetCounts()
		waits := m.waits(func() {
			for _, name := range names {
				m.stat(name)
			}
		})
		asked := m.remote.Count("lstat")
		t.Logf("%d waits, %d LSTATs", waits, asked)
		if waits > 20 {
			t.Errorf("%d waits for %d names, want 20 at most", waits, n)
		}
		if asked > n+n/50 {
			t.Errorf("%d names were asked for %d times", n, asked)
		}
		time.Sleep(2 * ttl)
		m.remote.ResetCounts()
		for i := range 50 {
			m.stat(names[(i*1997+3)%n])
		}
		if asked := m.remote.Count("lstat"); asked > 60 {
			t.Errorf("50 names here and there: %d LSTATs", asked)
		}
	})
}
