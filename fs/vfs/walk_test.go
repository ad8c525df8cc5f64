package vfs_test

import (
	"fmt"
	"math/rand/v2"
	"path"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// forest makes a tree of dirs directories with files in them on the server, of
// the uneven shape that a source repository has, and returns the files' paths.
// Names come in no order.
func forest(s *fake.Server, dirs, files int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	all := []string{""}
	for len(all) < dirs {
		at := all[r.IntN(len(all))]
		if strings.Count(at, "/") >= 6 {
			continue
		}
		d := at + fmt.Sprintf("/d%03d", r.IntN(1000))
		s.MkdirAll(home + d)
		if !contains(all, d) {
			all = append(all, d)
		}
	}
	var paths []string
	for i := range files {
		p := all[r.IntN(len(all))] + fmt.Sprintf("/f%03d", i)
		s.WriteFile(home+p, strings.Repeat(p, 20+r.IntN(400)))
		paths = append(paths, p)
	}
	return paths
}

func contains(all []string, s string) bool {
	for _, have := range all {
		if have == s {
			return true
		}
	}
	return false
}

// find walks as find(1) does: each directory is read, and then each of its
// sub-directories in the order told. It returns how many names there were.
func (m *mount) walk(id vfs.NodeID, visit func(name string, e vfs.DirEntry)) int {
	m.Helper()
	d, err := m.tree.OpenDir(m.ctx, id)
	m.must(err)
	var entries []vfs.DirEntry
	m.must(d.ReadPlus(m.ctx, 0, func(e *vfs.DirEntry) bool {
		if e.Entry.Node != 0 {
			entries = append(entries, *e)
		}
		return true
	}))
	d.Release()
	n := len(entries)
	for _, e := range entries {
		m.getattr(e.Entry.Node)
		if visit != nil {
			visit(e.Name, e)
		}
		if e.Mode.IsDir() {
			n += m.walk(e.Entry.Node, visit)
		}
	}
	return n
}

// links are the round trip times of the walks, and by how much more they may
// wait where listings grow stale while the walk is under way.
var links = []struct {
	rtt  time.Duration
	more float64
}{{rtt, 1}, {100 * time.Millisecond, 2}}

func TestWalkFind(t *testing.T) {
	for _, link := range links {
		t.Run(link.rtt.String(), func(t *testing.T) { walkFind(t, link.rtt, link.more) })
	}
}

func walkFind(t *testing.T, rtt time.Duration, more float64) {
	prepare := func(s *fake.Server) { forest(s, 249, 877) }
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		for _, c := range []struct {
			when string
			max  int
		}{{"cold", 20}, {"past the TTL", 10}} {
			m.remote.ResetCounts()
			names := 0
			waits := m.waits(func() { names = m.walk(vfs.RootID, nil) })
			t.Logf("%s: %d waits, %d requests, %d listings", c.when, waits, m.remote.Count(), m.remote.Count("opendir"))
			if max := int(float64(c.max) * more); waits > max {
				t.Errorf("%s: %d waits, want %d at most", c.when, waits, max)
			}
			if names != 877+248 {
				t.Errorf("%s: %d names", c.when, names)
			}
			if n := m.remote.Count("opendir"); n > int(249*more*2) || rtt < ttl/20 && n > 249 {
				t.Errorf("%s: %d listings", c.when, n)
			}
			time.Sleep(3 * ttl)
		}
	})
}

// As git status does: lstat of each path in sorted order, from the root each
// time; the kernel keeps what it may.
func TestWalkGitStatus(t *testing.T) {
	for _, link := range links {
		t.Run(link.rtt.String(), func(t *testing.T) { walkGitStatus(t, link.rtt, link.more) })
	}
}

func walkGitStatus(t *testing.T, rtt time.Duration, more float64) {
	var paths []string
	prepare := func(s *fake.Server) { paths = forest(s, 249, 877) }
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		sort.Strings(paths)
		k := newDcache(m)
		for _, c := range []struct {
			when string
			max  int
		}{{"cold", 30}, {"past the TTL", 8}} {
			m.remote.ResetCounts()
			waits := m.waits(func() {
				for _, p := range paths {
					k.lstat(p)
				}
			})
			t.Logf("%s: %d waits, %d requests, %d listings", c.when, waits, m.remote.Count(), m.remote.Count("opendir"))
			if max := int(float64(c.max) * more); waits > max {
				t.Errorf("%s: %d waits, want %d at most", c.when, waits, max)
			}
			time.Sleep(3 * ttl)
		}
	})
}

func TestWalkGrep(t *testing.T) {
	for _, link := range links {
		t.Run(link.rtt.String(), func(t *testing.T) { walkGrep(t, link.rtt, link.more) })
	}
}

func walkGrep(t *testing.T, rtt time.Duration, more float64) {
	prepare := func(s *fake.Server) { forest(s, 40, 167) }
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		grep := func() {
			m.walk(vfs.RootID, func(name string, e vfs.DirEntry) {
				if !e.Mode.IsRegular() {
					return
				}
				h, err := m.tree.Open(m.ctx, e.Entry.Node, conn.OpenRead)
				m.must(err)
				if got := m.readAll(h); int64(len(got)) != e.Entry.Attr.Size || !strings.Contains(got, name) {
					t.Errorf("%s: read %d bytes", name, len(got))
				}
				m.must(h.Flush(m.ctx))
				h.Release()
			})
		}
		for _, c := range []struct {
			when string
			max  int
		}{{"cold", 25}, {"past the TTL, content not proven", 12}, {"past the TTL", 6}} {
			m.remote.ResetCounts()
			waits := m.waits(grep)
			t.Logf("%s: %d waits, %d requests, %d listings, %d opens", c.when, waits, m.remote.Count(), m.remote.Count("opendir"), m.remote.Count("open"))
			if max := int(float64(c.max) * more); waits > max {
				t.Errorf("%s: %d waits, want %d at most", c.when, waits, max)
			}
			time.Sleep(3 * ttl)
		}
	})
}

// Who does not walk pays for nothing.
func TestWalkNeedsEvidence(t *testing.T) {
	prepare := func(s *fake.Server) { forest(s, 100, 300) }
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		m.list(vfs.RootID)
		time.Sleep(time.Second / 2)
		if n := m.remote.Count("opendir"); n != 1 {
			t.Errorf("ls: %d listings", n)
		}
		var dir string
		for name, e := range m.list(vfs.RootID) {
			if e.Mode.IsDir() && name[0] == 'd' {
				dir = name
			}
		}
		time.Sleep(time.Second / 2) // as a person would
		m.walk(m.node(dir), nil)
		time.Sleep(time.Second / 2)
		s := m.tree.Stats()
		if useless := s.Ahead - s.AheadUsed; useless > s.AheadUsed+48 {
			t.Errorf("find in one sub-directory: %d listed ahead, %d used", s.Ahead, s.AheadUsed)
		}
	})
}

// dcache is the kernel's cache of names, as far as a walk needs it.
type dcache struct {
	m       *mount
	entries map[string]cached
}

type cached struct {
	entry vfs.Entry
	until time.Time
}

func newDcache(m *mount) *dcache { return &dcache{m, map[string]cached{}} }

func (k *dcache) lstat(p string) vfs.Attr {
	k.m.Helper()
	if p == "/" {
		return k.m.getattr(vfs.RootID)
	}
	c, ok := k.entries[p]
	if !ok || !time.Now().Before(c.until) {
		parent := vfs.RootID
		if d := path.Dir(p); d != "/" {
			k.lstat(d)
			parent = k.entries[d].entry.Node
		}
		e, err := k.m.tree.Lookup(k.m.ctx, parent, path.Base(p))
		k.m.must(err)
		if e.Node == 0 {
			k.m.Fatalf("%s is missing", p)
		}
		c = cached{e, time.Now().Add(e.Valid)}
		k.entries[p] = c
	}
	return c.entry.Attr
}

// What vanishes or may not be read while it is fetched ahead is nobody's error.
func TestWalkIsSilent(t *testing.T) {
	var paths []string
	prepare := func(s *fake.Server) {
		paths = forest(s, 60, 300)
		for i, p := range paths {
			if i%7 == 0 {
				s.Change(home+p, func(a *conn.Attr) { a.Mode = conn.TypeRegular; a.UID = 7 })
			}
		}
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		n := 0
		m.remote.Before = func(q fake.Request) error {
			if n++; q.Class == conn.Background && n%3 == 0 {
				return conn.NotExist
			}
			return nil
		}
		read, denied := 0, 0
		m.walk(vfs.RootID, func(name string, e vfs.DirEntry) {
			if !e.Mode.IsRegular() {
				return
			}
			h, err := m.tree.Open(m.ctx, e.Entry.Node, conn.OpenRead)
			if e.Entry.Attr.Mode.Perm() == 0 {
				m.fails("open of an unreadable file", err, conn.Permission)
				denied++
				return
			}
			m.must(err)
			if got := m.readAll(h); int64(len(got)) != e.Entry.Attr.Size {
				t.Errorf("read %d bytes", len(got))
			}
			h.Release()
			read++
		})
		if read+denied != len(paths) {
			t.Errorf("%d read, %d denied, of %d", read, denied, len(paths))
		}
	})
}

// Opening files here and there is not followed.
func TestWalkRandomOpens(t *testing.T) {
	var paths []string
	prepare := func(s *fake.Server) { paths = forest(s, 60, 600) }
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		r := rand.New(rand.NewPCG(5, 6))
		for range 300 {
			m.read(paths[r.IntN(len(paths))])
			time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		}
		s := m.tree.Stats()
		t.Logf("%d ahead, %d used", s.Ahead, s.AheadUsed)
		if s.Ahead-s.AheadUsed > s.AheadUsed+2*256 {
			t.Errorf("%d fetched ahead, %d of them used", s.Ahead, s.AheadUsed)
		}
	})
}

// Lookups in a directory whose listing was asked for ahead, and stands behind
// other work of that kind, do not wait one by one.
func TestWalkPassesLateListing(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 30 {
			s.WriteFile(fmt.Sprintf("%s/a/f%02d", home, i), "x")
			s.WriteFile(fmt.Sprintf("%s/b/f%02d", home, i), "x")
		}
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		late := late{m.remote}
		tree, err := vfs.New(m.ctx, vfs.Options{Remote: late, Root: home, TTL: ttl})
		m.must(err)
		own := m.tree
		m.tree = tree
		m.list(vfs.RootID)
		m.stat("a/f00") // a walk: b comes next
		time.Sleep(rtt)
		m.stat("b/f00")
		if waits := m.waits(func() {
			for i := range 30 {
				m.stat(fmt.Sprintf("b/f%02d", i))
			}
		}); waits > 5 {
			t.Errorf("%d waits", waits)
		}
		m.must(tree.Close(m.ctx))
		m.tree = own
	})
}

// late is a Remote whose background listings take a second.
type late struct{ *fake.Remote }

func (l late) List(path string, max int, class conn.Class, some func(conn.Listing)) *conn.Call[conn.Listing] {
	if class == conn.Foreground {
		return l.Remote.List(path, max, class, some)
	}
	call := conn.NewCall[conn.Listing](nil)
	time.AfterFunc(time.Second, func() {
		l.Remote.List(path, max, class, some).Then(func(ls conn.Listing, err error) { call.Finish(ls, err) })
	})
	return call
}
