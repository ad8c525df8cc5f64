package vfs_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
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

// As git status does when nothing has changed: it comes to some directories that
// no tree's order leads to, and then looks at the files. It waits where it begins
// and where it changes something, and hardly anywhere else.
func TestTrailFromTheStart(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 20 {
			for j := range 9 {
				s.WriteFile(fmt.Sprintf("%s/repo/src/package%02d/file%d.go", home, i, j), "x")
			}
		}
		for _, p := range []string{"HEAD", "config", "index", "refs/heads/main", "info/exclude"} {
			s.WriteFile(home+"/repo/.git/"+p, p)
		}
	}
	bubble(t, vfs.Options{Clock: func() conn.Clock { return conn.Clock{Seconds: 1 << 33, Asked: time.Now(), Told: time.Now()} }}, prepare, func(m *mount) {
		k := newDcache(m)
		read := func(p string) {
			k.lstat(p)
			h, err := m.tree.Open(m.ctx, k.entries[p].entry.Node, conn.OpenRead)
			m.must(err)
			m.readAll(h)
			h.Release()
		}
		status := func() {
			k.lstat("/repo")
			m.getattr(k.entries["/repo"].entry.Node)
			for _, p := range []string{"HEAD", "config", "refs/heads/main", "index", "info/exclude"} {
				read("/repo/.git/" + p)
			}
			m.getattr(vfs.RootID)
			for i := range 20 {
				for j := range 9 {
					k.lstat(fmt.Sprintf("/repo/src/package%02d/file%d.go", i, j))
				}
			}
		}
		status()
		for range 2 {
			time.Sleep(3 * ttl)
			if waits := m.waits(status); waits > 5 {
				t.Errorf("%d waits", waits)
			}
		}
	})
}

// Who only looks at a directory from time to time pays once for the guess that
// he goes where somebody went from there.
func TestTrailGuessesOnce(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 12 {
			s.WriteFile(fmt.Sprintf("%s/d%02d/f", home, i), "x")
		}
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		k := newDcache(m)
		for i := range 12 {
			k.lstat(fmt.Sprintf("/d%02d/f", i))
		}
		first := k.entries["/d00"].entry.Node
		var listings []int
		for range 4 {
			time.Sleep(3 * ttl)
			m.remote.ResetCounts()
			m.getattr(first)
			time.Sleep(ttl / 2)
			listings = append(listings, m.remote.Count("opendir"))
		}
		t.Logf("%d listings", listings)
		if listings[0] > 13 || listings[1]+listings[2]+listings[3] > 3 { // those beside the look are of the root
			t.Errorf("listings: %d", listings)
		}
	})
}
