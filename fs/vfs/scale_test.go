package vfs_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// flat is a conn.Remote whose root has n files and that keeps none of them in
// memory, so that what a Tree takes can be measured.
type flat struct {
	conn.Remote
	n int
}

func (f flat) Info() conn.Info {
	return conn.Info{UID: 1000, GID: 1000, OwnerKnown: true, MaxRead: 1 << 18, MaxWrite: 1 << 18}
}

func (f flat) Lstat(string) *conn.Call[conn.Attr] {
	return conn.Answered(conn.Attr{Mode: conn.TypeDir | 0o755}, nil)
}

func (f flat) List(_ string, max int, _ conn.Class, _ func(conn.Listing)) *conn.Call[conn.Listing] {
	l := conn.Listing{Complete: true}
	for i := range f.n {
		l.Entries = append(l.Entries, conn.Entry{
			Name: fmt.Sprintf("a file's name %06d.txt", i),
			Attr: conn.Attr{Size: int64(i), Mtime: 1e9, Mode: conn.TypeRegular | 0o644, UID: 1000, GID: 1000, Nlink: 1},
		})
	}
	return conn.Answered(l, nil)
}

// A name costs at most 500 bytes, and reading a directory takes time in
// proportion to its names.
func TestHugeDirectory(t *testing.T) {
	const n = 100_000
	tree, err := vfs.New(t.Context(), vfs.Options{Remote: flat{n: n}, Root: "/", TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close(t.Context())
	before := inUse()
	start := time.Now()
	d, err := tree.OpenDir(t.Context(), vfs.RootID)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("listing taken in after %v", time.Since(start))
	names, cookie := 0, uint64(0)
	for more := true; more; { // 40 at a time, as the kernel's READDIRPLUS
		more = false
		batch := 0
		err := d.ReadPlus(t.Context(), cookie, func(e *vfs.DirEntry) bool {
			if more = batch == 40; more {
				return false
			}
			batch++
			names++
			cookie = e.Cookie
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	d.Release()
	if names != n+2 {
		t.Errorf("%d names", names)
	}
	took := time.Since(start)
	each := (inUse() - before) / n
	t.Logf("%d names read in %v, %d bytes each", names, took, each)
	if each > 500 {
		t.Errorf("%d bytes a name", each)
	}
	if took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	runtime.KeepAlive(tree)
}

func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

// Cookies are good for seeking to and fro, and what changes meanwhile changes
// nothing about the other names.
func TestCookies(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 300 {
			s.WriteFile(fmt.Sprintf("%s/f%03d", home, i), "")
		}
	}
	bubble(t, vfs.Options{TTL: time.Hour}, prepare, func(m *mount) {
		d, err := m.tree.OpenDir(m.ctx, vfs.RootID)
		m.must(err)
		type at struct {
			name   string
			cookie uint64
		}
		var all []at
		m.must(d.Read(m.ctx, 0, func(e *vfs.DirEntry) bool { all = append(all, at{e.Name, e.Cookie}); return true }))
		if len(all) != 302 {
			t.Fatalf("%d names", len(all))
		}
		for range 200 {
			i := rand.IntN(len(all) - 1)
			m.must(d.Read(m.ctx, all[i].cookie, func(e *vfs.DirEntry) bool {
				if e.Name != all[i+1].name || e.Cookie != all[i+1].cookie {
					t.Errorf("after %q comes %q, want %q", all[i].name, e.Name, all[i+1].name)
				}
				return false
			}))
		}
		// rm -r: what is read is removed, the rest still comes.
		for _, e := range all[2:202] {
			m.must(m.tree.Unlink(m.ctx, vfs.RootID, e.name))
		}
		m.create(vfs.RootID, "new", "")
		var rest []string
		m.must(d.Read(m.ctx, all[201].cookie, func(e *vfs.DirEntry) bool { rest = append(rest, e.Name); return true }))
		if len(rest) != 100 || rest[0] != all[202].name {
			t.Errorf("%d names are left", len(rest))
		}
		n := 0
		m.must(d.Read(m.ctx, 0, func(e *vfs.DirEntry) bool { n++; return true }))
		if n != 2+100+1 {
			t.Errorf("after rewinding there are %d names", n)
		}
		d.Release()
	})
}

// Inodes are bounded; what is forgotten is found again, and what the kernel
// refers to is asked back.
func TestForgetting(t *testing.T) {
	prepare := func(s *fake.Server) {
		for d := range 30 {
			for f := range 20 {
				s.WriteFile(fmt.Sprintf("%s/d%02d/f%02d", home, d, f), "x")
			}
		}
	}
	bubble(t, vfs.Options{KeepInodes: 200}, prepare, func(m *mount) {
		inos := map[string]uint64{}
		for range 2 {
			for d := range 30 {
				dir := fmt.Sprintf("d%02d", d)
				e, err := m.find(dir)
				m.must(err)
				dh, err := m.tree.OpenDir(m.ctx, e.Node)
				m.must(err)
				n := 0
				m.must(dh.Read(m.ctx, 0, func(e *vfs.DirEntry) bool {
					n++
					if old, ok := inos[dir+e.Name]; ok && old != e.Ino {
						t.Errorf("%s/%s has another inode number", dir, e.Name)
					}
					inos[dir+e.Name] = e.Ino
					return true
				}))
				if n != 22 {
					t.Errorf("%s has %d names", dir, n)
				}
				dh.Release()
				m.tree.Forget(e.Node, 1)
				if n := m.tree.Stats().Inodes; n > 260 {
					t.Errorf("%d inodes", n)
				}
			}
		}
		var told notes
		m.tree.SetNotifier(&told)
		var refs []vfs.NodeID
		for d := range 30 {
			for name, e := range m.list(m.node(fmt.Sprintf("d%02d", d))) {
				if name[0] == 'f' {
					refs = append(refs, e.Entry.Node)
				}
			}
		}
		synctest.Wait()
		told.Lock()
		if len(told.entries) == 0 {
			t.Error("the kernel is not asked to let go")
		}
		told.Unlock()
		for _, id := range refs {
			m.tree.Forget(id, 1)
		}
		m.tree.SetNotifier(nil)
		if n := m.tree.Stats().Inodes; n > 200 {
			t.Errorf("%d inodes when nothing is referred to", n)
		}
	})
}

// Many goroutines do everything at once: for the race detector, and for
// deadlocks.
func TestEverythingAtOnce(t *testing.T) {
	prepare := func(s *fake.Server) { forest(s, 20, 100) }
	bubble(t, vfs.Options{KeepInodes: 100, TTL: 50 * time.Millisecond}, prepare, func(m *mount) {
		m.tree.SetNotifier(&notes{})
		var all sync.WaitGroup
		for g := range 16 {
			all.Go(func() { m.hammer(rand.New(rand.NewPCG(uint64(g), 7))) })
		}
		all.Go(func() {
			for i := range 50 {
				m.server.WriteFile(fmt.Sprintf("%s/d%d/remote%d", home, i%5, i%7), "remote")
				m.server.Remove(fmt.Sprintf("%s/d%d", home, i%6))
				m.tree.Changed(fmt.Sprintf("%s/d%d", home, i%5))
				m.tree.Stats()
				time.Sleep(30 * time.Millisecond)
			}
		})
		all.Wait()
		m.tree.SetNotifier(nil)
		m.must(m.tree.Sync(m.ctx))
		time.Sleep(3 * time.Second)
		have := 0
		m.walk(vfs.RootID, func(string, vfs.DirEntry) { have++ })
		if want := len(m.server.Tree(home)) - 1; have != want {
			t.Errorf("%d names shown, %d on the server", have, want)
		}
	})
}

// hammer does random things to a few names and takes no error amiss.
func (m *mount) hammer(r *rand.Rand) {
	for range 150 {
		dir, err := m.find(fmt.Sprintf("d%d", r.IntN(6)))
		if err != nil {
			m.tree.Mkdir(m.ctx, vfs.RootID, fmt.Sprintf("d%d", r.IntN(6)), 0o755)
			continue
		}
		name := fmt.Sprintf("f%d", r.IntN(5))
		switch r.IntN(9) {
		case 0:
			if d, err := m.tree.OpenDir(m.ctx, dir.Node); err == nil {
				d.Read(m.ctx, 0, func(*vfs.DirEntry) bool { return true })
				d.Release()
			}
		case 1:
			if e, h, err := m.tree.Create(m.ctx, dir.Node, name, conn.OpenRead|conn.OpenWrite, 0o644); err == nil {
				h.Write(m.ctx, []byte("text"), int64(r.IntN(10)))
				h.Read(m.ctx, make([]byte, 10), 0)
				h.Flush(m.ctx)
				h.Release()
				m.tree.Forget(e.Node, 1)
			}
		case 2:
			m.tree.Unlink(m.ctx, dir.Node, name)
		case 3:
			m.tree.Rename(m.ctx, dir.Node, name, dir.Node, fmt.Sprintf("f%d", r.IntN(5)), true)
		case 4:
			m.tree.Rename(m.ctx, vfs.RootID, fmt.Sprintf("d%d", r.IntN(6)), vfs.RootID, fmt.Sprintf("d%d", r.IntN(6)), r.IntN(2) == 0)
		case 5, 6:
			e, err := m.tree.Lookup(m.ctx, dir.Node, name)
			if err != nil || e.Node == 0 {
				break
			}
			if h, err := m.tree.Open(m.ctx, e.Node, conn.OpenRead); err == nil {
				h.Read(m.ctx, make([]byte, 10), 0)
				h.Release()
			}
			m.tree.SetAttr(m.ctx, e.Node, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o644})
			m.tree.GetAttr(m.ctx, e.Node, nil)
			m.tree.Forget(e.Node, 1)
		case 7:
			if e, err := m.tree.Symlink(m.ctx, dir.Node, name, "x"); err == nil {
				m.tree.Readlink(m.ctx, e.Node)
				m.tree.Forget(e.Node, 1)
			}
		case 8:
			m.tree.Rmdir(m.ctx, vfs.RootID, fmt.Sprintf("d%d", r.IntN(6)))
		}
		m.tree.Forget(dir.Node, 1)
	}
}

// Files that were read cost little more than their bytes.
func TestReadFilesMemory(t *testing.T) {
	const n = 5000
	server := fake.NewServer()
	for i := range n {
		server.WriteFile(fmt.Sprintf("%s/f%05d", home, i), "x")
	}
	m := open(t, server, 0, vfs.Options{TTL: time.Hour})
	m.list(vfs.RootID)
	before := inUse()
	for i := range n {
		m.read(fmt.Sprintf("f%05d", i))
	}
	time.Sleep(10 * time.Millisecond)
	each := (inUse() - before) / n
	t.Logf("%d bytes for each file that was read", each)
	if each > 2560 { // with what the fake keeps of requests
		t.Errorf("%d bytes for each file that was read", each)
	}
	m.close()
}
