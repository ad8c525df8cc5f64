package vfs_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

func oneFile(s *fake.Server) { s.WriteFile(home+"/a", "hello") }

// A file that is open stays readable and writable when its name is taken away
// or given to another.
func TestOpenWithoutName(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(m *mount) error
	}{
		{"unlinked", func(m *mount) error { return m.tree.Unlink(m.ctx, vfs.RootID, "a") }},
		{"replaced", func(m *mount) error {
			m.create(vfs.RootID, "b", "other")
			return m.tree.Rename(m.ctx, vfs.RootID, "b", vfs.RootID, "a", true)
		}},
	} {
		for _, flags := range []conn.OpenFlags{conn.OpenRead, conn.OpenRead | conn.OpenWrite} {
			t.Run(c.name, func(t *testing.T) {
				bubble(t, vfs.Options{}, oneFile, func(m *mount) {
					m.list(vfs.RootID)
					id := m.node("a")
					m.read("a") // so that a second open needs no handle of the server
					h, err := m.tree.Open(m.ctx, id, flags)
					m.must(err)
					m.costs("taking the name away", map[string]int{"unlinked": 1, "replaced": 3}[c.name], func() { m.must(c.lose(m)) })
					time.Sleep(5 * ttl)
					want := "hello"
					if flags&conn.OpenWrite != 0 {
						_, err := h.Write(m.ctx, []byte("HE"), 0)
						m.must(err)
						m.must(h.Sync(m.ctx))
						want = "HEllo"
					}
					if got := m.readAll(h); got != want {
						t.Errorf("read %q, want %q", got, want)
					}
					a, err := m.tree.GetAttr(m.ctx, id, h)
					m.must(err)
					if a.Nlink != 0 || a.Size != 5 {
						t.Errorf("%+v", a)
					}
					m.must(h.Flush(m.ctx))
					h.Release()
				})
			})
		}
	}
}

// What was not waited for is reported, once, by what comes next.
func TestLostAttributes(t *testing.T) {
	for _, how := range []string{"flush", "fsync", "rename", "unlink"} {
		t.Run(how, func(t *testing.T) {
			bubble(t, vfs.Options{}, oneFile, func(m *mount) {
				m.list(vfs.RootID)
				id := m.node("a")
				h, err := m.tree.Open(m.ctx, id, conn.OpenWrite)
				m.must(err)
				m.remote.Before = func(q fake.Request) error {
					if strings.HasSuffix(q.Op, "setattr") {
						return conn.ReadOnly
					}
					return nil
				}
				a, err := m.tree.SetAttr(m.ctx, id, h, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600})
				m.must(err)
				if a.Mode.Perm() != 0o600 {
					t.Errorf("mode %o", a.Mode)
				}
				do := map[string]func() error{
					"flush":  func() error { return h.Flush(m.ctx) },
					"fsync":  func() error { return h.Sync(m.ctx) },
					"rename": func() error { return m.tree.Rename(m.ctx, vfs.RootID, "a", vfs.RootID, "b", true) },
					"unlink": func() error { return m.tree.Unlink(m.ctx, vfs.RootID, "a") },
				}[how]
				m.fails(how, do(), conn.ReadOnly)
				m.must(h.Flush(m.ctx))
				if how == "flush" || how == "fsync" {
					if s := m.stat("a"); s.Mode.Perm() != 0o644 {
						t.Errorf("the mode that the server refused is still shown: %o", s.Mode)
					}
				}
				h.Release()
			})
		})
	}
}

// Through mode waits, and so do changes that may be refused.
func TestAttributesThatWait(t *testing.T) {
	set := func(m *mount, path string, s vfs.SetAttr) error {
		_, err := m.tree.SetAttr(m.ctx, m.node(path), nil, s)
		return err
	}
	bubble(t, vfs.Options{Writes: vfs.WriteThrough}, oneFile, func(m *mount) {
		m.list(vfs.RootID)
		m.costs("chmod in through mode", 1, func() { m.must(set(m, "a", vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600})) })
	})
	prepare := func(s *fake.Server) {
		oneFile(s)
		s.WriteFile(home+"/theirs", "x")
		s.Change(home+"/theirs", func(a *conn.Attr) { a.UID = 7 })
		s.MkdirAll(home + "/d")
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		m.list(vfs.RootID)
		m.costs("chmod of another's file", 1, func() {
			m.fails("chmod", set(m, "theirs", vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600}), conn.NotPermitted)
		})
		m.costs("chown", 1, func() {
			m.fails("chown", set(m, "a", vfs.SetAttr{Valid: vfs.SetUID, UID: 7}), conn.NotPermitted)
		})
		m.costs("chown to what it is", 0, func() { m.must(set(m, "a", vfs.SetAttr{Valid: vfs.SetUID | vfs.SetGID, UID: 1000, GID: 1000})) })
		m.costs("chmod of a directory", 1, func() { m.must(set(m, "d", vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o700})) })
		m.costs("set-id bits", 1, func() { m.must(set(m, "a", vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o4755})) })
	})
}

func TestTimes(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		m.server.Change(home+"/a", func(a *conn.Attr) { a.Atime, a.Mtime = 100, 200 })
		time.Sleep(10 * time.Second)
		m.list(vfs.RootID)
		id := m.node("a")
		set := func(s vfs.SetAttr) vfs.Attr {
			a, err := m.tree.SetAttr(m.ctx, id, nil, s)
			m.must(err)
			return a
		}
		a := m.stat("a")
		if a.Atime.Unix() != 100 || a.Mtime.Unix() != 200 || !a.Ctime.Equal(a.Mtime) {
			t.Errorf("%+v", a)
		}
		now := time.Now().Unix()
		if a = set(vfs.SetAttr{Valid: vfs.SetMtime, Mtime: time.Unix(-5, 0)}); a.Atime.Unix() != 100 || a.Mtime.Unix() != -5 || a.Ctime.Unix() != now {
			t.Errorf("mtime alone: %+v", a)
		}
		if a = set(vfs.SetAttr{Valid: vfs.SetAtime | vfs.SetAtimeNow}); a.Atime.Unix() != now || a.Mtime.Unix() != -5 {
			t.Errorf("atime now: %+v", a)
		}
		was := a.Ctime
		if a = set(vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600}); !a.Ctime.After(was) {
			t.Errorf("ctime did not move with the mode: %v, %v", was, a.Ctime)
		}
		time.Sleep(3 * time.Second)
		m.list(vfs.RootID)
		h, err := m.tree.Open(m.ctx, id, conn.OpenWrite)
		m.must(err)
		before := time.Now().Unix()
		_, err = h.Write(m.ctx, []byte("x"), 0)
		m.must(err)
		if a = m.getattr(id); a.Mtime.Unix() < before || a.Valid != 0 {
			t.Errorf("after a write: %+v", a)
		}
		m.must(h.Flush(m.ctx))
		h.Release()
		on, _ := m.server.Stat(home + "/a")
		if a = m.getattr(id); a.Mtime.Unix() != on.Mtime || a.Size != on.Size || !a.Ctime.Equal(a.Mtime) && a.Ctime.Before(a.Mtime) {
			t.Errorf("after close: %+v, on the server %+v", a, on)
		}
		if on.Atime != now {
			t.Errorf("atime on the server %d, want %d", on.Atime, now)
		}
	})
}

// Attributes that were asked for before a local change say nothing of it.
func TestLateAnswers(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		m.list(vfs.RootID)
		id := m.node("a")
		time.Sleep(2 * ttl)
		var all sync.WaitGroup
		all.Go(func() { // asked at 0, answered at 20 ms, of the old mode
			m.getattr(id)
		})
		time.Sleep(rtt / 4)
		_, err := m.tree.SetAttr(m.ctx, id, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600})
		m.must(err)
		all.Wait()
		if a := m.getattr(id); a.Mode.Perm() != 0o600 {
			t.Errorf("mode %o", a.Mode.Perm())
		}
	})
}

// A listing in flight does not undo what is changed here meanwhile.
func TestListingAgainstLocalChanges(t *testing.T) {
	prepare := func(s *fake.Server) {
		for _, name := range []string{"a", "b", "c"} {
			s.WriteFile(home+"/"+name, name)
		}
	}
	for _, at := range []time.Duration{0, rtt / 4, rtt, rtt + rtt/4, 2*rtt - 1} {
		bubble(t, vfs.Options{}, prepare, func(m *mount) {
			m.list(vfs.RootID)
			time.Sleep(2 * ttl)
			var all sync.WaitGroup
			all.Go(func() { m.list(vfs.RootID) })
			time.Sleep(at)
			all.Go(func() { m.must(m.tree.Unlink(m.ctx, vfs.RootID, "a")) })
			all.Go(func() { m.must(m.tree.Rename(m.ctx, vfs.RootID, "b", vfs.RootID, "b2", true)) })
			all.Go(func() { m.create(vfs.RootID, "new", "") })
			all.Wait()
			if got := strings.Join(m.names(vfs.RootID), " "); got != "b2 c new" {
				t.Errorf("changed %v into a listing: %s", at, got)
			}
			m.missing("a")
			m.missing("b")
		})
	}
}

// One question at a time: who asks the same waits for the same answer.
func TestSingleFlight(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		m.remote.ResetCounts()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { m.stat("a") })
			all.Go(func() { m.missing("none") })
			all.Go(func() { m.list(vfs.RootID) })
		}
		m.costs("all of them", 2, all.Wait)
		if n := m.remote.Count(); n > 5 {
			t.Errorf("%d requests", n)
		}
	})
}

// A caller that goes away leaves nothing behind that is wrong.
func TestAbandonedChanges(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		m.list(vfs.RootID)
		short := func() context.Context {
			ctx, cancel := context.WithTimeout(m.ctx, rtt/2)
			t.Cleanup(cancel)
			return ctx
		}
		_, err := m.tree.Mkdir(short(), vfs.RootID, "d", 0o755)
		m.fails("mkdir", err, conn.TimedOut)
		_, _, err = m.tree.Create(short(), vfs.RootID, "f", conn.OpenWrite, 0o644)
		m.fails("create", err, conn.TimedOut)
		m.fails("rename", m.tree.Rename(short(), vfs.RootID, "a", vfs.RootID, "b", true), conn.TimedOut)
		time.Sleep(rtt)
		if got := strings.Join(m.names(vfs.RootID), " "); got != "b d f" {
			t.Errorf("names %s", got)
		}
		synctest.Wait()
		if n := m.tree.Stats().Handles; n != 0 {
			t.Errorf("%d handles", n)
		}
	})
}

// notes records what the kernel is told.
type notes struct {
	sync.Mutex
	content, attr []vfs.NodeID
	entries       []string
}

func (n *notes) InvalidateContent(id vfs.NodeID, off, length int64) {
	n.Lock()
	defer n.Unlock()
	n.content = append(n.content, id)
}

func (n *notes) InvalidateAttr(id vfs.NodeID) {
	n.Lock()
	defer n.Unlock()
	n.attr = append(n.attr, id)
}

func (n *notes) InvalidateEntry(parent vfs.NodeID, name string) {
	n.Lock()
	defer n.Unlock()
	n.entries = append(n.entries, name)
}

// The kernel's pages go when the content changed, and not before.
func TestKernelCache(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		var told notes
		m.tree.SetNotifier(&told)
		time.Sleep(5 * time.Second)
		m.list(vfs.RootID)
		time.Sleep(5 * time.Second)
		id := m.node("a")
		open := func() *vfs.Handle {
			m.stat("a")
			h, err := m.tree.Open(m.ctx, id, conn.OpenRead)
			m.must(err)
			m.readAll(h)
			return h
		}
		open().Release()
		time.Sleep(5 * time.Second)
		h := open()
		if !h.KeepCache() {
			t.Error("unchanged content is not kept by the kernel")
		}
		m.server.WriteFile(home+"/a", "changed")
		time.Sleep(2 * ttl)
		m.list(vfs.RootID)
		synctest.Wait()
		if told.content = told.content[:]; len(told.content) == 0 {
			t.Error("the kernel was not told of changed content of an open file")
		}
		h2 := open()
		if h2.KeepCache() {
			t.Error("changed content is kept by the kernel")
		}
		if got := m.readAll(h2); got != "changed" {
			t.Errorf("read %q", got)
		}
		h.Release()
		h2.Release()
		m.tree.SetNotifier(nil)
	})
}

func TestAllocate(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		h, err := m.tree.Open(m.ctx, m.node("a"), conn.OpenRead|conn.OpenWrite)
		m.must(err)
		m.must(h.Allocate(m.ctx, 0, 2, 5))
		m.onServer("a", "hello\x00\x00")
		m.must(h.Allocate(m.ctx, 1|2, 1, 2)) // a hole
		m.must(h.Flush(m.ctx))
		m.onServer("a", "h\x00\x00lo\x00\x00")
		m.must(h.Allocate(m.ctx, 0x10, 6, 4)) // zeros
		m.must(h.Flush(m.ctx))
		m.onServer("a", "h\x00\x00lo\x00\x00\x00\x00\x00")
		m.fails("room beyond the end", h.Allocate(m.ctx, 1, 0, 100), conn.Unsupported)
		m.fails("collapse", h.Allocate(m.ctx, 8, 0, 4096), conn.Unsupported)
		m.server.SetRoom(10)
		m.fails("no room", h.Allocate(m.ctx, 0, 0, 1<<20), conn.NoSpace)
		m.server.SetRoom(-1)
		h.Release()
	})
}

func TestCopyRange(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		src, err := m.tree.Open(m.ctx, m.node("a"), conn.OpenRead)
		m.must(err)
		e, dst, err := m.tree.Create(m.ctx, vfs.RootID, "b", conn.OpenWrite, 0o644)
		m.must(err)
		n, err := m.tree.CopyRange(m.ctx, src, 1, dst, 0, 100)
		if n != 4 || err != nil {
			t.Errorf("copied %d, %v", n, err)
		}
		m.must(dst.Flush(m.ctx))
		if a := m.getattr(e.Node); a.Size != 4 {
			t.Errorf("size %d", a.Size)
		}
		m.onServer("b", "ello")
		src.Release()
		dst.Release()
	})
}

// Where the server's clock is known, content of old files is proven by size and
// mtime at once; else it takes 2 s after the mtime was first seen.
func TestOldContentIsTrusted(t *testing.T) {
	create := func(m *mount) { m.create(vfs.RootID, "new", "") }
	for _, c := range []struct {
		how           string
		before, after func(*mount) // reading for the first time
		clock         func(start time.Time) conn.Clock
		waits         int
	}{
		{how: "not known", waits: 2},
		{how: "from a file made before", before: create},
		{how: "from a file made after", after: create},
		{how: "told", clock: func(start time.Time) conn.Clock {
			return conn.Clock{Connected: start, Seconds: start.Unix(), Asked: start, Told: start}
		}},
		{how: "told, but of a file changed just now", clock: func(start time.Time) conn.Clock {
			return conn.Clock{Connected: start, Seconds: start.Unix() - 3600, Asked: start, Told: start}
		}, waits: 2},
		{how: "from before the present connection", before: create, clock: func(start time.Time) conn.Clock {
			return conn.Clock{Connected: start.Add(time.Second)}
		}, waits: 2},
	} {
		t.Run(c.how, func(t *testing.T) {
			var start time.Time
			told := func() conn.Clock {
				if c.clock == nil {
					return conn.Clock{}
				}
				return c.clock(start)
			}
			bubble(t, vfs.Options{Clock: told}, oneFile, func(m *mount) {
				time.Sleep(time.Hour)
				start = time.Now()
				if c.before != nil {
					c.before(m)
				}
				time.Sleep(2 * ttl)
				m.list(vfs.RootID)
				m.read("a")
				if c.after != nil {
					c.after(m)
				}
				time.Sleep(2 * ttl)
				m.list(vfs.RootID)
				m.costs("reading again past the TTL", c.waits, func() { m.read("a") })
			})
		})
	}
}

// TestUses: opens, reads and writes show that somebody works here; looking at
// names and attributes does not.
func TestUses(t *testing.T) {
	bubble(t, vfs.Options{}, oneFile, func(m *mount) {
		m.list(vfs.RootID)
		m.stat("a")
		m.missing("none")
		if n := m.tree.Stats().Uses; n != 0 {
			t.Errorf("looking counts %d times", n)
		}
		m.read("a")
		read := m.tree.Stats().Uses
		m.create(vfs.RootID, "new", "text")
		if written := m.tree.Stats().Uses; read == 0 || written <= read {
			t.Errorf("%d uses after a read, %d after a write", read, written)
		}
	})
}
