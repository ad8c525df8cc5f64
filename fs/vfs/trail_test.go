package vfs_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// A program that comes again in the order of the last time waits for the first
// two directories and now and then for the window, not for each.
func TestTrail(t *testing.T) {
	const dirs = 60
	var paths []string
	prepare := func(s *fake.Server) {
		for i := range dirs {
			p := fmt.Sprintf("/a%d/b%d/c%d", i%3, i%7, i)
			s.WriteFile(home+p+"/f", "x")
			paths = append(paths, p)
		}
		rand.New(rand.NewPCG(3, 4)).Shuffle(dirs, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	}
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		k := newDcache(m)
		waits := 0
		for _, when := range []string{"cold", "again", "once more"} {
			waits = m.waits(func() {
				for _, p := range paths {
					k.lstat(p + "/f")
				}
			})
			t.Logf("%s: %d waits", when, waits)
			time.Sleep(3 * ttl)
		}
		if waits > 10 {
			t.Errorf("the same round costs %d waits", waits)
		}
	})
}

// Where the round is left, what was listed ahead in vain stays within the
// walker's budget.
func TestTrailLeft(t *testing.T) {
	const dirs = 400
	prepare := func(s *fake.Server) {
		for i := range dirs {
			s.WriteFile(fmt.Sprintf("%s/a%d/b%d/f", home, i%5, i), "x")
		}
	}
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		k := newDcache(m)
		visit := func(i int) { k.lstat(fmt.Sprintf("/a%d/b%d/f", i%5, i)) }
		for i := range dirs {
			visit(i * 7 % dirs)
		}
		time.Sleep(3 * ttl)
		m.remote.ResetCounts()
		visit(0)
		visit(7)
		visit(14) // and no further
		time.Sleep(time.Second)
		if n := m.remote.Count("opendir"); n > 256+9 {
			t.Errorf("%d listings for three steps of three directories", n)
		}
	})
}
