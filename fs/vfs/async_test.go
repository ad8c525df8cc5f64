package vfs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

var async = vfs.Options{Writes: vfs.WriteAsync}

// TestAsyncWaits: what changes names and files waits for nothing, what asks for
// delivery does.
func TestAsyncWaits(t *testing.T) {
	bubble(t, async, func(s *fake.Server) {
		s.WriteFile(home+"/a", "hello")
		s.WriteFile(home+"/b", "world")
	}, func(m *mount) {
		m.list(vfs.RootID)
		m.costs("names", 0, func() {
			e, err := m.tree.Mkdir(m.ctx, vfs.RootID, "d", 0o750)
			m.must(err)
			m.create(e.Node, "f", "text")
			_, err = m.tree.Symlink(m.ctx, e.Node, "l", "f")
			m.must(err)
			_, err = m.tree.Link(m.ctx, m.node("d/f"), e.Node, "g")
			m.must(err)
			m.must(m.tree.Rename(m.ctx, vfs.RootID, "a", e.Node, "a", true))
			m.must(m.tree.Unlink(m.ctx, vfs.RootID, "b"))
			_, err = m.tree.SetAttr(m.ctx, e.Node, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o700})
			m.must(err)
		})
		if got := strings.Join(m.names(vfs.RootID), " "); got != "d" {
			m.Errorf("names: %s", got)
		}
		if got := m.read("d/f"); got != "text" {
			m.Errorf("d/f: %q", got)
		}
		m.costs("sync", 2, func() { m.must(m.tree.Sync(m.ctx)) })
		m.onServer("d/f", "text")
		m.onServer("d/g", "text")
		m.onServer("d/a", "hello")
		if _, there := m.server.Stat(home + "/b"); there {
			m.Error("b is still there")
		}
		if s := m.stat("d"); s.Mode.Perm() != 0o700 || s.Nlink != 2 {
			m.Errorf("%+v", s)
		}
	})
}

// TestAsyncSave: an editor's save waits for its fsync alone.
func TestAsyncSave(t *testing.T) {
	bubble(t, async, func(s *fake.Server) { s.WriteFile(home+"/a", "old") }, func(m *mount) {
		m.list(vfs.RootID)
		for i := range 3 {
			text := fmt.Sprint("new", i)
			m.waits(func() { // until the name that the last save took away is free again
				e, h, err := m.tree.Create(m.ctx, vfs.RootID, "a~", conn.OpenWrite|conn.OpenExcl, 0o600)
				m.must(err)
				_, err = h.Write(m.ctx, []byte(text), 0)
				m.must(err)
				m.must(h.Sync(m.ctx))
				m.onServer("a~", text)
				m.costs("close, rename", 0, func() {
					m.must(h.Flush(m.ctx))
					h.Release()
					m.must(m.tree.Rename(m.ctx, vfs.RootID, "a~", vfs.RootID, "a", true))
				})
				m.tree.Forget(e.Node, 1)
			})
			if got := m.read("a"); got != text {
				m.Errorf("read %q", got)
			}
		}
		m.must(m.tree.Sync(m.ctx))
		m.onServer("a", "new2")
	})
}

// TestAsyncRefused: what the server refuses is undone here, and reported once
// by the directory's fsync and once by Sync.
func TestAsyncRefused(t *testing.T) {
	for _, op := range []string{"open", "mkdir", "symlink", "link", "rename", "unlink", "rmdir", "setattr"} {
		t.Run(op, func(t *testing.T) {
			bubble(t, async, func(s *fake.Server) {
				s.WriteFile(home+"/a", "hello")
				s.WriteFile(home+"/b", "world")
				s.MkdirAll(home + "/e")
			}, func(m *mount) {
				m.list(vfs.RootID)
				m.list(m.node("e"))
				before := strings.Join(m.names(vfs.RootID), " ")
				m.remote.Before = func(r fake.Request) error {
					if r.Op == op && (op != "open" || r.Flags&conn.OpenCreate != 0) {
						return &conn.Error{Op: r.Op, Path: r.Path, Kind: conn.NoSpace}
					}
					return nil
				}
				d, err := m.tree.OpenDir(m.ctx, vfs.RootID)
				m.must(err)
				defer d.Release()
				switch op {
				case "open":
					_, h, err := m.tree.Create(m.ctx, vfs.RootID, "new", conn.OpenWrite, 0o600)
					m.must(err)
					_, err = h.Write(m.ctx, []byte("x"), 0)
					m.must(err)
					m.fails("fsync", h.Sync(m.ctx), conn.NoSpace)
					h.Release()
				case "mkdir":
					_, err := m.tree.Mkdir(m.ctx, vfs.RootID, "new", 0o700)
					m.must(err)
				case "symlink":
					_, err := m.tree.Symlink(m.ctx, vfs.RootID, "new", "a")
					m.must(err)
				case "link":
					_, err := m.tree.Link(m.ctx, m.node("a"), vfs.RootID, "new")
					m.must(err)
				case "rename":
					m.must(m.tree.Rename(m.ctx, vfs.RootID, "a", vfs.RootID, "b", true))
				case "unlink":
					m.must(m.tree.Unlink(m.ctx, vfs.RootID, "a"))
				case "rmdir":
					m.must(m.tree.Rmdir(m.ctx, vfs.RootID, "e"))
				case "setattr":
					_, err := m.tree.SetAttr(m.ctx, vfs.RootID, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o711})
					m.must(err)
				}
				m.fails("fsync of the directory", d.Sync(m.ctx), conn.NoSpace)
				m.must(d.Sync(m.ctx))
				m.fails("sync", m.tree.Sync(m.ctx), conn.NoSpace)
				m.must(m.tree.Sync(m.ctx))
				if n := m.tree.Stats().Refused; n != 1 {
					m.Errorf("%d refused", n)
				}
				if after := strings.Join(m.names(vfs.RootID), " "); after != before {
					m.Errorf("%s, before %s", after, before)
				}
				if m.read("a") != "hello" || m.read("b") != "world" {
					m.Error("contents differ")
				}
			})
		})
	}
}

// TestAsyncOrder: no name is seen on the server before the data that it
// publishes, and none is made anew before it is gone.
func TestAsyncOrder(t *testing.T) {
	bubble(t, async, nil, func(m *mount) {
		m.list(vfs.RootID)
		big := strings.Repeat("0123456789abcdef", 1<<16) // more than one request
		m.remote.Before = func(r fake.Request) error {
			if r.Op != "rename" {
				return nil
			}
			if text, _ := m.server.ReadFile(r.Path); text != big {
				m.Errorf("%s is renamed with %d bytes", r.Path, len(text))
			}
			return nil
		}
		for i := range 5 {
			m.create(vfs.RootID, "t", big)
			m.must(m.tree.Rename(m.ctx, vfs.RootID, "t", vfs.RootID, fmt.Sprint("f", i), true))
		}
		m.must(m.tree.Sync(m.ctx))
		for i := range 5 {
			m.onServer(fmt.Sprint("f", i), big)
		}
	})
}

// TestAsyncUnknown: what is not known to be possible is waited for.
func TestAsyncUnknown(t *testing.T) {
	bubble(t, async, func(s *fake.Server) {
		s.WriteFile(home+"/there", "x")
		s.MkdirAll(home + "/sub")
		s.WriteFile(home+"/sub/f", "x")
	}, func(m *mount) {
		_, err := m.tree.Mkdir(m.ctx, vfs.RootID, "there", 0o700)
		m.fails("mkdir in a directory that was never listed", err, conn.Exist)
		m.list(vfs.RootID)
		m.fails("rmdir of what is not known to be empty", m.tree.Rmdir(m.ctx, vfs.RootID, "sub"), conn.NotEmpty)
		m.fails("unlink of a directory", m.tree.Unlink(m.ctx, vfs.RootID, "sub"), conn.IsDir)
		m.fails("unlink of nothing", m.tree.Unlink(m.ctx, vfs.RootID, "none"), conn.NotExist)
		m.fails("rename of nothing", m.tree.Rename(m.ctx, vfs.RootID, "none", vfs.RootID, "x", true), conn.NotExist)
		m.fails("rename without replacing", m.tree.Rename(m.ctx, vfs.RootID, "there", vfs.RootID, "sub", false), conn.Exist)
		if n := m.tree.Stats().Refused; n != 0 {
			m.Errorf("%d refused", n)
		}
	})
}
