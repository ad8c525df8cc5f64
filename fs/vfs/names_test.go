package vfs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

func TestNameErrors(t *testing.T) {
	prepare := func(s *fake.Server) {
		s.WriteFile(home+"/file", "x")
		s.WriteFile(home+"/dir/in", "y")
		s.MkdirAll(home + "/empty")
		s.Symlink("file", home+"/link")
		s.MkdirAll(home + "/closed")
		s.Change(home+"/closed", func(a *conn.Attr) { a.Mode = conn.TypeDir | 0o111; a.UID = 7; a.GID = 7 })
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		root := vfs.RootID
		file, dir := m.node("file"), m.node("dir")
		lookup := func(d vfs.NodeID, s string) error { _, err := m.tree.Lookup(m.ctx, d, s); return err }
		mkdir := func(d vfs.NodeID, s string) error { _, err := m.tree.Mkdir(m.ctx, d, s, 0o755); return err }
		open := func(p string, f conn.OpenFlags) error { _, err := m.tree.Open(m.ctx, m.node(p), f); return err }
		rename := func(p, q string, replace bool) error {
			return m.tree.Rename(m.ctx, root, p, root, q, replace)
		}
		create := func(s string, f conn.OpenFlags) error {
			_, _, err := m.tree.Create(m.ctx, root, s, f|conn.OpenWrite, 0o644)
			return err
		}
		link := func(id vfs.NodeID, s string) error { _, err := m.tree.Link(m.ctx, id, root, s); return err }
		opendir := func(id vfs.NodeID) error { _, err := m.tree.OpenDir(m.ctx, id); return err }
		resize := func(id vfs.NodeID) error {
			_, err := m.tree.SetAttr(m.ctx, id, nil, vfs.SetAttr{Valid: vfs.SetSize, Size: 1})
			return err
		}
		for _, c := range []struct {
			what string
			err  error
			want conn.Kind
		}{
			{"lookup in a file", lookup(file, "x"), conn.NotDir},
			{"lookup of an empty name", lookup(root, ""), conn.Invalid},
			{"lookup of ..", lookup(root, ".."), conn.Invalid},
			{"lookup of a/b", lookup(root, "a/b"), conn.Invalid},
			{"lookup of a name with NUL", lookup(root, "a\x00"), conn.Invalid},
			{"lookup of a long name", lookup(root, strings.Repeat("x", 256)), conn.NameTooLong},
			{"lookup in what never was", lookup(999, "x"), conn.Stale},
			{"mkdir over a file", mkdir(root, "file"), conn.Exist},
			{"mkdir where it is not allowed", mkdir(m.node("closed"), "x"), conn.Permission},
			{"create over a directory", create("dir", 0), conn.IsDir},
			{"create excl over a file", create("file", conn.OpenExcl), conn.Exist},
			{"create over a link", create("link", 0), conn.LinkLoop},
			{"open a directory", open("dir", conn.OpenRead), conn.IsDir},
			{"open a link", open("link", conn.OpenRead), conn.LinkLoop},
			{"opendir a file", opendir(file), conn.NotDir},
			{"opendir where it is not allowed", opendir(m.node("closed")), conn.Permission},
			{"unlink a directory", m.tree.Unlink(m.ctx, root, "dir"), conn.IsDir},
			{"unlink nothing", m.tree.Unlink(m.ctx, root, "none"), conn.NotExist},
			{"rmdir a file", m.tree.Rmdir(m.ctx, root, "file"), conn.NotDir},
			{"rmdir a full one", m.tree.Rmdir(m.ctx, root, "dir"), conn.NotEmpty},
			{"rename nothing", rename("none", "x", true), conn.NotExist},
			{"rename over a name, not replacing", rename("file", "link", false), conn.Exist},
			{"rename a file over a directory", rename("file", "empty", true), conn.IsDir},
			{"rename a directory over a file", rename("dir", "file", true), conn.NotDir},
			{"rename over a full directory", rename("empty", "dir", true), conn.NotEmpty},
			{"rename into itself", m.tree.Rename(m.ctx, root, "dir", dir, "x", true), conn.Invalid},
			{"link a directory", link(dir, "x"), conn.NotPermitted},
			{"link over a name", link(file, "link"), conn.Exist},
			{"truncate a directory", resize(dir), conn.IsDir},
			{"truncate a link", resize(m.node("link")), conn.Invalid},
		} {
			m.fails(c.what, c.err, c.want)
			var e *conn.Error
			if !errors.As(c.err, &e) || e.Op == "" {
				t.Errorf("%s: %v says no operation", c.what, c.err)
			}
		}
		if got := m.names(root); !slices.Equal(got, []string{"closed", "dir", "empty", "file", "link"}) {
			t.Errorf("after all that: %q", got)
		}
	})
}

// What changes here is seen here at once, in names, attributes and listings.
func TestLocalViewIsRight(t *testing.T) {
	prepare := func(s *fake.Server) {
		s.WriteFile(home+"/a", "a")
		s.WriteFile(home+"/sub/deep/c", "c")
	}
	bubble(t, vfs.Options{TTL: time.Hour}, prepare, func(m *mount) {
		root := vfs.RootID
		m.list(root)
		was := m.stat("")
		time.Sleep(3 * time.Second)
		c := m.stat("sub/deep/c")
		m.must(m.tree.Rename(m.ctx, root, "sub", root, "sub2", true))
		if a := m.stat("sub2/deep/c"); a.Ino != c.Ino {
			t.Error("a file below a renamed directory got another inode")
		}
		if a := m.stat(""); !a.Mtime.After(was.Mtime) || !a.Ctime.After(was.Ctime) {
			t.Errorf("the directory's times did not move: %+v, %+v", was, a)
		}
		m.missing("sub/deep/c")
		if got := m.names(root); !slices.Equal(got, []string{"a", "sub2"}) {
			t.Errorf("names %q", got)
		}
		m.must(m.tree.Unlink(m.ctx, m.node("sub2/deep"), "c"))
		m.must(m.tree.Rmdir(m.ctx, m.node("sub2"), "deep"))
		e, err := m.tree.Mkdir(m.ctx, m.node("sub2"), "d", 0o755)
		m.must(err)
		_, err = m.tree.Mkdir(m.ctx, e.Node, "e", 0o755)
		m.must(err)
		if a := m.getattr(e.Node); a.Nlink != 3 {
			t.Errorf("link count %d with one sub-directory", a.Nlink)
		}
		m.must(m.tree.Rename(m.ctx, e.Node, "e", vfs.RootID, "e", true))
		if a := m.getattr(e.Node); a.Nlink != 2 {
			t.Errorf("link count %d of an empty directory", a.Nlink)
		}
		m.must(m.tree.Rmdir(m.ctx, m.node("sub2"), "d"))
		m.must(m.tree.Rmdir(m.ctx, vfs.RootID, "e"))
		m.create(m.node("sub2"), "new", "text")
		if a := m.stat("sub2/new"); a.Size != 4 || a.Mode != conn.TypeRegular|0o644 || a.Blocks != 1 || a.Nlink != 1 {
			t.Errorf("%+v", a)
		}
		if got := m.names(m.node("sub2")); !slices.Equal(got, []string{"new"}) {
			t.Errorf("names %q", got)
		}
	})
}

func TestLinkCounts(t *testing.T) {
	prepare := func(s *fake.Server) { s.WriteFile(home+"/a", "text") }
	bubble(t, vfs.Options{TTL: time.Hour}, prepare, func(m *mount) {
		m.list(vfs.RootID)
		a := m.node("a")
		e, err := m.tree.Link(m.ctx, a, vfs.RootID, "b")
		m.must(err)
		if e.Node != a || e.Attr.Nlink != 2 || m.stat("a").Nlink != 2 {
			t.Errorf("link: %+v", e)
		}
		m.must(m.tree.Unlink(m.ctx, vfs.RootID, "a"))
		if s := m.stat("b"); s.Nlink != 1 || s.Ino != e.Attr.Ino {
			t.Errorf("after unlink: %+v", s)
		}
		if got := m.read("b"); got != "text" {
			t.Errorf("read %q", got)
		}
		m.must(m.tree.Rename(m.ctx, vfs.RootID, "b", vfs.RootID, "c", true))
		if got := m.read("c"); got != "text" {
			t.Errorf("read %q", got)
		}
	})
}

func TestSymlinks(t *testing.T) {
	prepare := func(s *fake.Server) {
		for _, name := range []string{"a", "b", "c", "d"} {
			s.Symlink("to/"+name, home+"/"+name)
		}
	}
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		m.costs("ls -l", 3, func() { m.list(vfs.RootID) })
		read := func(name, want string) {
			if got, err := m.tree.Readlink(m.ctx, m.node(name)); err != nil || got != want {
				t.Errorf("readlink %s: %q, %v", name, got, err)
			}
		}
		m.costs("four links", 0, func() {
			for _, name := range []string{"a", "b", "c", "d"} {
				read(name, "to/"+name)
			}
		})
		m.server.Remove(home + "/a")
		time.Sleep(3 * ttl)
		m.server.Symlink("elsewhere", home+"/a")
		read("a", "elsewhere")
		e, err := m.tree.Symlink(m.ctx, vfs.RootID, "new", "x y\n//./z")
		m.must(err)
		if e.Attr.Size != 9 || !e.Attr.Mode.IsSymlink() {
			t.Errorf("%+v", e.Attr)
		}
		read("new", "x y\n//./z")
		_, err = m.tree.Readlink(m.ctx, vfs.RootID)
		m.fails("readlink of a directory", err, conn.Invalid)
	})
}

// Changes on the server are seen once the TTL is over, and at once without one.
func TestRemoteChangesAreSeen(t *testing.T) {
	prepare := func(s *fake.Server) {
		s.WriteFile(home+"/changes", "1")
		s.WriteFile(home+"/goes", "1")
		s.WriteFile(home+"/becomes", "1")
	}
	change := func(m *mount) {
		time.Sleep(2 * time.Second)
		m.server.WriteFile(home+"/changes", "22")
		m.server.Remove(home + "/goes")
		m.server.Remove(home + "/becomes")
		m.server.MkdirAll(home + "/becomes/dir")
		m.server.WriteFile(home+"/comes", "1")
	}
	check := func(m *mount) {
		m.Helper()
		if got := m.read("changes"); got != "22" {
			m.Errorf("read %q", got)
		}
		if s := m.stat("changes"); s.Size != 2 {
			m.Errorf("size %d", s.Size)
		}
		m.missing("goes")
		if !m.stat("becomes").Mode.IsDir() {
			m.Error("a file that became a directory is not one")
		}
		m.stat("becomes/dir")
		m.stat("comes")
		if got := m.names(vfs.RootID); !slices.Equal(got, []string{"becomes", "changes", "comes"}) {
			m.Errorf("names %q", got)
		}
	}
	for _, c := range []struct {
		name  string
		ttl   time.Duration
		sleep time.Duration
	}{{"after the TTL", 0, ttl}, {"without TTL", none, 0}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, vfs.Options{TTL: c.ttl}, prepare, func(m *mount) {
				m.list(vfs.RootID)
				m.read("changes")
				m.stat("goes")
				m.stat("becomes")
				m.missing("comes")
				change(m)
				time.Sleep(c.sleep)
				check(m)
			})
		})
	}
	t.Run("told by a watcher", func(t *testing.T) {
		bubble(t, vfs.Options{TTL: time.Hour}, prepare, func(m *mount) {
			m.list(vfs.RootID)
			m.read("changes")
			m.missing("comes")
			change(m)
			m.stat("goes")
			for _, name := range []string{"changes", "goes", "becomes", "comes"} {
				m.tree.Changed(home + "/" + name)
			}
			m.tree.Changed("/elsewhere")
			m.tree.Changed(home + "/unknown/x")
			check(m)
		})
	})
}

// A reference to what is gone is stale, so that the kernel looks again.
func TestGoneIsStale(t *testing.T) {
	prepare := func(s *fake.Server) { s.WriteFile(home+"/d/a", "1") }
	bubble(t, vfs.Options{}, prepare, func(m *mount) {
		d, a := m.node("d"), m.node("d/a")
		m.server.Remove(home + "/d")
		time.Sleep(2 * ttl)
		_, err := m.tree.GetAttr(m.ctx, a, nil)
		m.fails("getattr of a file", err, conn.Stale)
		_, err = m.tree.GetAttr(m.ctx, d, nil)
		m.fails("getattr of its directory", err, conn.Stale)
		_, err = m.tree.Open(m.ctx, a, conn.OpenRead)
		m.fails("open", err, conn.Stale)
		_, err = m.tree.OpenDir(m.ctx, d)
		if err == nil {
			t.Error("opendir of what is gone")
		}
	})
}

func TestRoot(t *testing.T) {
	server := fake.NewServer()
	server.Symlink("user", "/home/alias")
	server.WriteFile(home+"/a", "x")
	for root, want := range map[string]error{"/": nil, "/home/alias": nil, "/none": conn.NotExist, home + "/a": conn.NotDir} {
		remote := server.Connect()
		tree, err := vfs.New(t.Context(), vfs.Options{Remote: remote, Root: root, TTL: ttl})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", root, err, want)
		}
		if err == nil {
			p := map[string]string{"/": "home", "/home/alias": "a"}[root]
			if e, err := tree.Lookup(t.Context(), vfs.RootID, p); err != nil || e.Node == 0 {
				t.Errorf("%s in %s: %v", p, root, err)
			}
			if _, err := tree.StatFS(t.Context(), vfs.RootID); err != nil {
				t.Error(err)
			}
			tree.Close(t.Context())
		}
		remote.Close()
	}
}
