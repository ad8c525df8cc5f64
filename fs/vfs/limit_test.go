package vfs_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// A kernel that lets go of nothing gets ENOMEM for more than there is room for,
// and all else goes on.
func TestInodesAreBounded(t *testing.T) {
	const most = 300
	prepare := func(s *fake.Server) {
		for i := range 800 {
			dir := fmt.Sprintf("%s/d%d", home, i/20)
			s.MkdirAll(dir)
			s.WriteFile(fmt.Sprintf("%s/f%d", dir, i), "")
		}
	}
	bubble(t, vfs.Options{MaxInodes: most}, prepare, func(m *mount) {
		var refs []vfs.NodeID
		hold := func(e vfs.Entry) { refs = append(refs, e.Node) }
		bounded := func(what string) {
			if s := m.tree.Stats(); s.Inodes > most || s.MaxInodes != most {
				t.Errorf("after %s: %d inodes of %d", what, s.Inodes, s.MaxInodes)
			}
		}
		for _, e := range m.list(vfs.RootID) {
			if e.Entry.Node != 0 {
				hold(e.Entry)
			}
		}
		refused := 0
		for d := range 40 {
			dir := m.node(fmt.Sprint("d", d))
			refs = append(refs, dir)
			for f := range 20 {
				e, err := m.tree.Lookup(m.ctx, dir, fmt.Sprint("f", 20*d+f))
				switch {
				case err != nil:
					m.fails("a look-up", err, conn.NoMemory)
					refused++
				case e.Node != 0:
					hold(e)
				}
				bounded("a look-up")
			}
		}
		if refused == 0 {
			t.Fatal("nothing was refused")
		}
		for name, make := range map[string]func(name string) error{
			"create": func(name string) error {
				_, _, err := m.tree.Create(m.ctx, vfs.RootID, name, conn.OpenWrite, 0o644)
				return err
			},
			"mkdir":   func(name string) error { _, err := m.tree.Mkdir(m.ctx, vfs.RootID, name, 0o755); return err },
			"symlink": func(name string) error { _, err := m.tree.Symlink(m.ctx, vfs.RootID, name, "x"); return err },
		} {
			m.fails(name, make(name), conn.NoMemory)
			if _, made := m.server.Stat(home + "/" + name); made {
				t.Errorf("%s was refused, and carried out", name)
			}
		}
		bounded("making")
		_, err := m.tree.OpenDir(m.ctx, m.node("d39"))
		m.fails("a listing", err, conn.NoMemory)
		bounded("a listing")
		m.getattr(refs[0]) // what is there is there
		for _, id := range refs {
			m.tree.Forget(id, 1)
		}
		for d := range 40 {
			dir := m.node(fmt.Sprint("d", d))
			for _, e := range m.list(dir) {
				m.tree.Forget(e.Entry.Node, 1)
			}
			m.tree.Forget(dir, 1)
			bounded("forgetting")
		}
	})
}

// The kernel is asked to let go of directories, too, before anything fails.
func TestDirectoriesAreAskedBack(t *testing.T) {
	bubble(t, vfs.Options{MaxInodes: 300}, func(s *fake.Server) {
		for d := range 1000 {
			s.MkdirAll(fmt.Sprintf("%s/d%d/e%d", home, d%20, d))
		}
	}, func(m *mount) {
		kernel := &letsGo{t: m.tree, held: map[string]vfs.NodeID{}}
		m.tree.SetNotifier(kernel)
		for d := range 20 {
			e, err := m.find(fmt.Sprint("d", d))
			m.must(err)
			dh, err := m.tree.OpenDir(m.ctx, e.Node)
			m.must(err)
			m.must(dh.ReadPlus(m.ctx, 0, func(x *vfs.DirEntry) bool {
				if x.Entry.Node != 0 {
					kernel.hold(e.Node, x.Name, x.Entry.Node)
				}
				return true
			}))
			dh.Release()
			m.tree.Forget(e.Node, 1)
			synctest.Wait() // the kernel has time
		}
		m.tree.SetNotifier(nil)
		if kernel.gone == 0 {
			t.Error("the kernel was not asked")
		}
	})
}

// letsGo is a kernel that forgets what it is asked to.
type letsGo struct {
	notes
	t    *vfs.Tree
	held map[string]vfs.NodeID
	gone int
}

func (k *letsGo) hold(parent vfs.NodeID, name string, id vfs.NodeID) {
	k.Lock() // called with the tree locked: only InvalidateEntry may wait for it
	defer k.Unlock()
	k.held[fmt.Sprint(parent, name)] = id
}

func (k *letsGo) InvalidateEntry(parent vfs.NodeID, name string) {
	k.Lock()
	id, ok := k.held[fmt.Sprint(parent, name)]
	delete(k.held, fmt.Sprint(parent, name))
	k.Unlock()
	if ok {
		k.gone++
		k.t.Forget(id, 1)
	}
}

// Links with long texts count for what they take, and forget them first.
func TestLongTextsAreBounded(t *testing.T) {
	const most, links = 1000, 200
	bubble(t, vfs.Options{MaxInodes: most}, func(s *fake.Server) {
		for i := range links {
			s.Symlink(strings.Repeat("x/", 2000)+"y", fmt.Sprintf("%s/l%d", home, i))
		}
	}, func(m *mount) {
		highest := 0
		for i := range links {
			text, err := m.tree.Readlink(m.ctx, m.node(fmt.Sprint("l", i)))
			if err != nil || len(text) != 4001 {
				t.Errorf("readlink %d: %d bytes, %v", i, len(text), err)
			}
			n := m.tree.Stats().Inodes
			if highest = max(highest, n); n > most {
				t.Errorf("%d inodes after %d links", n, i)
			}
		}
		if highest < most/2 {
			t.Errorf("%d inodes at most: the texts do not count", highest)
		}
	})
}

// What is open is bounded, files and directories together.
func TestOpenIsBounded(t *testing.T) {
	bubble(t, vfs.Options{MaxOpen: 4}, func(s *fake.Server) { s.WriteFile(home+"/f", "content") }, func(m *mount) {
		f := m.node("f")
		var open []*vfs.Handle
		for range 3 {
			h, err := m.tree.Open(m.ctx, f, conn.OpenRead)
			m.must(err)
			open = append(open, h)
		}
		d, err := m.tree.OpenDir(m.ctx, vfs.RootID)
		m.must(err)
		if s := m.tree.Stats(); s.Handles != 4 || s.MaxOpen != 4 {
			t.Errorf("%d open of %d", s.Handles, s.MaxOpen)
		}
		refused := func() {
			t.Helper()
			_, err := m.tree.Open(m.ctx, f, conn.OpenRead)
			m.fails("open", err, conn.TooManyOpen)
			_, err = m.tree.OpenDir(m.ctx, vfs.RootID)
			m.fails("opendir", err, conn.TooManyOpen)
			_, _, err = m.tree.Create(m.ctx, vfs.RootID, "new", conn.OpenWrite, 0o644)
			m.fails("create", err, conn.TooManyOpen)
			if _, made := m.server.Stat(home + "/new"); made {
				t.Error("a create was refused, and carried out")
			}
		}
		refused()
		d.Release()
		h, err := m.tree.Open(m.ctx, f, conn.OpenRead)
		m.must(err)
		refused()
		for _, h := range append(open, h) {
			h.Release()
		}
		m.create(vfs.RootID, "new", "made")
		if s := m.tree.Stats(); s.Handles != 0 {
			t.Errorf("%d open", s.Handles)
		}

		// A caller that goes away while its open is on its way leaves nothing.
		ctx, cancel := context.WithCancel(m.ctx)
		time.AfterFunc(rtt/2, cancel)
		if _, err := m.tree.Open(ctx, f, conn.OpenWrite); err == nil {
			t.Error("opened")
		}
		time.Sleep(2 * rtt)
		if s := m.tree.Stats(); s.Handles != 0 {
			t.Errorf("%d open", s.Handles)
		}
	})
}

// crowded is a Remote with a hundred directories that have a thousand names each
// that share one string, and later one alone.
type crowded struct {
	flat
	few *bool
}

func (c crowded) List(path string, _ int, _ conn.Class, _ func(conn.Listing)) *conn.Call[conn.Listing] {
	const size = 250
	n, mode := 100, conn.TypeDir|0o755
	if path != "/" {
		n, mode = 1000, conn.TypeRegular|0o644
	}
	var all strings.Builder
	for i := range n {
		fmt.Fprintf(&all, "%0*d", size, i)
	}
	if path != "/" && *c.few {
		n = 1
	}
	l := conn.Listing{Complete: true}
	for i := range n {
		l.Entries = append(l.Entries, conn.Entry{Name: all.String()[i*size : (i+1)*size], Attr: conn.Attr{Mode: mode}})
	}
	return conn.Answered(l, nil)
}

// A name that is left of an answer does not keep the answer.
func TestNamesKeepNoAnswers(t *testing.T) {
	few := false
	now := time.Now()
	tree, err := vfs.New(t.Context(), vfs.Options{
		Remote: crowded{flat{}, &few}, Root: "/", TTL: time.Second, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close(t.Context())
	list := func(id vfs.NodeID) (nodes []vfs.NodeID) {
		d, err := tree.OpenDir(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Release()
		_ = d.ReadPlus(t.Context(), 0, func(e *vfs.DirEntry) bool {
			if e.Entry.Node != 0 {
				nodes = append(nodes, e.Entry.Node)
			}
			return true
		})
		return nodes
	}
	before := inUse()
	top := list(vfs.RootID)
	for _, id := range top {
		for _, sub := range list(id) {
			tree.Forget(sub, 1)
		}
	}
	few = true
	now = now.Add(time.Hour)
	for _, id := range top {
		if n := len(list(id)); n != 1 {
			t.Fatalf("%d names", n)
		}
	}
	if kept := inUse() - before; kept > 8<<20 {
		t.Errorf("%d names keep %d MiB", len(top), kept>>20)
	}
}

// vast is a Remote whose one file has the largest size that there is.
type vast struct{ flat }

func (vast) List(string, int, conn.Class, func(conn.Listing)) *conn.Call[conn.Listing] {
	e := conn.Entry{Name: "vast", Attr: conn.Attr{Size: math.MaxInt64, Mode: conn.TypeRegular | 0o644}}
	return conn.Answered(conn.Listing{Complete: true, Entries: []conn.Entry{e}}, nil)
}

func TestBlocksOfTheLargestFile(t *testing.T) {
	tree, err := vfs.New(t.Context(), vfs.Options{Remote: vast{}, Root: "/", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close(t.Context())
	d, err := tree.OpenDir(t.Context(), vfs.RootID)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Release()
	_ = d.ReadPlus(t.Context(), 0, func(e *vfs.DirEntry) bool {
		if a := e.Entry.Attr; e.Name == "vast" && (a.Size != math.MaxInt64 || a.Blocks != 1<<54) {
			t.Errorf("%d bytes in %d blocks", a.Size, a.Blocks)
		}
		return true
	})
}
