package vfs_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

const (
	longNames = 5000
	pageNames = 25
	pageTime  = 2 * ttl / (longNames / pageNames) // the whole listing takes twice the TTL
)

// long runs a test with a directory whose listing takes longer than names and
// attributes are trusted.
func long(t *testing.T, test func(*mount)) {
	prepare := func(s *fake.Server) {
		for i := range longNames {
			s.WriteFile(fmt.Sprintf("%s/dir/f%05d", home, i), "")
		}
		s.WriteFile(home+"/z", "")
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		m.remote.Page = pageNames
		m.remote.Before = func(r fake.Request) error {
			if r.Op == "readdir" && r.Path == home+"/dir" {
				time.Sleep(pageTime)
			}
			return nil
		}
		test(m)
	})
}

// piece is as much of a directory as the kernel asks for at a time.
const piece = 40

// reader reads a directory piece by piece.
type reader struct {
	m      *mount
	d      *vfs.DirHandle
	cookie uint64
	seen   map[string]bool
}

func (m *mount) reader(id vfs.NodeID) *reader {
	m.Helper()
	d, err := m.tree.OpenDir(m.ctx, id)
	m.must(err)
	return &reader{m: m, d: d, seen: map[string]bool{}}
}

// next reads the next piece; none of it is the end.
func (r *reader) next() (entries []vfs.DirEntry, err error) {
	told := 0
	err = r.d.ReadPlus(r.m.ctx, r.cookie, func(e *vfs.DirEntry) bool {
		if told == piece {
			return false
		}
		told++
		r.cookie = e.Cookie
		if r.seen[e.Name] {
			r.m.Errorf("%s is told twice", e.Name)
		}
		r.seen[e.Name] = true
		if e.Entry.Node != 0 {
			entries = append(entries, *e)
		}
		return true
	})
	if told > 0 && entries == nil && err == nil {
		return r.next() // "." and ".." alone
	}
	return entries, err
}

// rest reads to the end.
func (r *reader) rest() {
	r.m.Helper()
	for {
		entries, err := r.next()
		r.m.must(err)
		if len(entries) == 0 {
			r.d.Release()
			return
		}
	}
}

// ls -l gets the attributes with the names, however long the listing takes:
// they are as old as the answer that brought them, not as the listing.
func TestLongListingAnswersStats(t *testing.T) {
	long(t, func(m *mount) {
		dir := m.node("dir")
		m.remote.ResetCounts()
		began := time.Now()
		r := m.reader(dir)
		if took := time.Since(began); took > ttl/2 {
			t.Errorf("the first names come after %v", took)
		}
		names := 0
		for {
			entries, err := r.next()
			m.must(err)
			if len(entries) == 0 {
				break
			}
			read := time.Now()
			for _, e := range entries {
				names++
				if time.Since(read) >= e.Entry.Valid { // the kernel asks
					m.getattr(e.Entry.Node)
				}
			}
		}
		r.d.Release()
		took := time.Since(began)
		t.Logf("%d names in %v, %d requests", names, took, m.remote.Count())
		if names != longNames {
			t.Errorf("%d names", names)
		}
		if n := m.remote.Count("lstat"); n > 0 {
			t.Errorf("%d LSTATs", n)
		}
		if most := 2*ttl + 20*pageTime; took > most {
			t.Errorf("took %v, want %v at most", took, most)
		}
	})
}

// Names and attributes are trusted for a TTL from the request that brought them
// on, and not longer.
func TestLongListingGrowsOld(t *testing.T) {
	long(t, func(m *mount) {
		dir := m.node("dir")
		r := m.reader(dir)
		r.rest()
		first, last := fmt.Sprintf("f%05d", 0), fmt.Sprintf("f%05d", longNames-1)
		m.remote.ResetCounts()
		m.stat("dir/" + last)
		if n := m.remote.Count("lstat"); n > 2 { // for dir and the root
			t.Errorf("the last name, just told, costs %d LSTATs", n)
		}
		m.server.Change(home+"/dir/"+first, func(a *conn.Attr) { a.Mtime = 7 })
		if a := m.stat("dir/" + first); a.Mtime.Unix() != 7 {
			t.Errorf("a name told two TTLs ago is trusted: %v", a.Mtime)
		}
	})
}

// Each name is told once, and what was made, removed and renamed meanwhile is
// right afterwards.
func TestLongListingBesideChanges(t *testing.T) {
	long(t, func(m *mount) {
		dir := m.node("dir")
		r := m.reader(dir)
		for range 5 {
			_, err := r.next()
			m.must(err)
		}
		name := func(i int) string { return fmt.Sprintf("f%05d", i) }
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				_, h, err := m.tree.Create(m.ctx, dir, fmt.Sprint("new", i), conn.OpenWrite|conn.OpenExcl, 0o644)
				if err == nil {
					h.Release()
				}
				err = errors.Join(err,
					m.tree.Unlink(m.ctx, dir, name(i)),      // told
					m.tree.Unlink(m.ctx, dir, name(4990+i)), // not yet
					m.tree.Rename(m.ctx, dir, name(10+i), dir, fmt.Sprint("told", i), true),
					m.tree.Rename(m.ctx, dir, name(4900+i), dir, fmt.Sprint("behind", i), true),
					m.tree.Rename(m.ctx, dir, name(20+i), vfs.RootID, fmt.Sprint("out", i), false))
				if err != nil {
					t.Error(err)
				}
			})
			m.server.Remove(home + "/dir/" + name(100+i))
			m.server.WriteFile(fmt.Sprintf("%s/dir/there%d", home, i), "")
		}
		r.rest()
		all.Wait()
		for i := range 10 {
			if s := fmt.Sprint("new", i); !r.seen[s] {
				t.Errorf("%s, made meanwhile, was not told", s)
			}
			m.missing("dir/" + name(i))
			m.missing("dir/" + name(4990+i))
		}
		time.Sleep(10 * rtt)
		synctest.Wait()
		m.remote.Page, m.remote.Before = 0, nil
		time.Sleep(2 * ttl)
		if have, want := len(m.names(dir)), len(m.server.Tree(home+"/dir"))-1; have != want {
			t.Errorf("%d names, %d on the server", have, want)
		}
	})
}

// A directory that is moved while it is read is read to its end, each name once.
func TestLongListingOfMoved(t *testing.T) {
	long(t, func(m *mount) {
		r := m.reader(m.node("dir"))
		_, err := r.next()
		m.must(err)
		m.must(m.tree.Rename(m.ctx, vfs.RootID, "dir", vfs.RootID, "moved", false))
		r.rest()
		if len(r.seen) != longNames+2 {
			t.Errorf("%d names told", len(r.seen)-2)
		}
		m.stat("moved/f00000")
	})
}

// A listing that breaks off is an error, not an end.
func TestLongListingFails(t *testing.T) {
	long(t, func(m *mount) {
		dir, n := m.node("dir"), 0
		time.Sleep(10 * rtt)
		synctest.Wait() // nothing is on its way
		slow := m.remote.Before
		m.remote.Before = func(r fake.Request) error {
			if n++; r.Op == "readdir" && n == 30 {
				return conn.Other
			}
			return slow(r)
		}
		r := m.reader(dir)
		var err error
		for entries := []vfs.DirEntry{{}}; err == nil && len(entries) > 0; {
			entries, err = r.next()
		}
		m.fails("reading", err, conn.Other)
		_, err = r.next()
		m.fails("reading on", err, conn.Other)
		r.d.Release()
		time.Sleep(2 * ttl)
		if n := len(m.names(dir)); n != longNames {
			t.Errorf("%d names afterwards", n)
		}
	})
}

// Who opens the directory while it is being listed gets what was told so far,
// unless that is too old.
func TestLongListingIsShared(t *testing.T) {
	long(t, func(m *mount) {
		dir := m.node("dir")
		first := m.reader(dir)
		m.remote.ResetCounts()
		second := m.reader(dir)
		second.rest()
		if n := m.remote.Count("opendir"); n != 0 {
			t.Errorf("%d more listings for the second reader", n)
		}
		first.rest()
		third := m.reader(dir)
		m.server.WriteFile(home+"/dir/new", "")
		third.rest()
		if n := m.remote.Count("opendir"); n != 1 {
			t.Errorf("%d more listings for the third reader, past the TTL", n)
		}
	})
}

// stutter tells a long listing as after a lost connection: from the start again.
type stutter struct{ *fake.Remote }

func (s stutter) List(path string, max int, class conn.Class, some func(conn.Listing)) *conn.Call[conn.Listing] {
	var before []conn.Listing
	return s.Remote.List(path, max, class, func(l conn.Listing) {
		before = append(before, l)
		some(l)
		if len(before) == 3 {
			for _, l := range before {
				some(l)
			}
		}
	})
}

func TestLongListingAfterLoss(t *testing.T) {
	long(t, func(m *mount) {
		tree, err := vfs.New(m.ctx, vfs.Options{Remote: stutter{m.remote}, Root: home + "/dir", TTL: ttl})
		m.must(err)
		own := m.tree
		m.tree = tree
		r := m.reader(vfs.RootID)
		r.rest()
		if len(r.seen) != longNames+2 {
			t.Errorf("%d names told", len(r.seen)-2)
		}
		m.must(tree.Close(m.ctx))
		m.tree = own
	})
}
