package vfs_test

import (
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// The round trips that each operation keeps a program waiting for: the table
// in the package comment.
func TestWaits(t *testing.T) {
	prepare := func(s *fake.Server) {
		s.WriteFile(home+"/a", "hello")
		s.WriteFile(home+"/b", "world")
		s.WriteFile(home+"/sub/c", "c")
	}
	tests := []struct {
		name string
		test func(*mount)
	}{
		{"lookup", func(m *mount) {
			m.costs("first lookup", 1, func() { m.stat("a") })
			m.costs("second lookup", 0, func() { m.stat("a") })
			m.costs("another name", 1, func() { m.stat("b") })
			m.costs("once listed beside", 0, func() { m.stat("sub") })
			m.costs("missing, once listed", 0, func() { m.missing("none") })
		}},
		{"readdir", func(m *mount) {
			m.costs("ls -l", 2, func() { m.list(vfs.RootID) })
			m.costs("again", 0, func() { m.list(vfs.RootID) })
			m.costs("stat", 0, func() { m.stat("a"); m.stat("b"); m.stat("sub") })
			m.costs("missing", 0, func() { m.missing("none") })
			time.Sleep(2 * ttl)
			m.costs("after the TTL", 2, func() { m.list(vfs.RootID) })
		}},
		{"read", func(m *mount) {
			m.list(vfs.RootID)
			m.costs("open, read, close", 2, func() { m.read("a") })
			m.costs("again", 0, func() { m.read("a") })
		}},
		{"create", func(m *mount) {
			m.list(vfs.RootID)
			m.costs("create, write, close", 2, func() { m.create(vfs.RootID, "new", "text") })
			m.onServer("new", "text")
			m.costs("stat of it", 0, func() { m.stat("new") })
			m.costs("create, close", 1, func() { m.create(vfs.RootID, "empty", "") })
		}},
		{"names", func(m *mount) {
			m.list(vfs.RootID)
			m.costs("mkdir", 1, func() { _, err := m.tree.Mkdir(m.ctx, vfs.RootID, "d", 0o755); m.must(err) })
			m.costs("readdir of the new one", 0, func() { m.list(m.node("d")) })
			m.costs("rename", 1, func() { m.must(m.tree.Rename(m.ctx, vfs.RootID, "a", m.node("d"), "a2", true)) })
			m.costs("stat there", 0, func() { m.stat("d/a2") })
			m.costs("not here", 0, func() { m.missing("a") })
			m.costs("unlink", 1, func() { m.must(m.tree.Unlink(m.ctx, vfs.RootID, "b")) })
			m.costs("gone", 0, func() { m.missing("b") })
			m.costs("symlink", 1, func() { _, err := m.tree.Symlink(m.ctx, vfs.RootID, "l", "x/y"); m.must(err) })
			m.costs("link", 1, func() { _, err := m.tree.Link(m.ctx, m.node("d/a2"), vfs.RootID, "a3"); m.must(err) })
			m.costs("rmdir", 1, func() {
				_, err := m.tree.Mkdir(m.ctx, vfs.RootID, "e", 0o755)
				m.must(err)
			})
			m.costs("rmdir", 1, func() { m.must(m.tree.Rmdir(m.ctx, vfs.RootID, "e")) })
		}},
		{"setattr", func(m *mount) {
			m.list(vfs.RootID)
			a := m.node("a")
			m.costs("chmod, utimes", 0, func() {
				_, err := m.tree.SetAttr(m.ctx, a, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600})
				m.must(err)
				_, err = m.tree.SetAttr(m.ctx, a, nil, vfs.SetAttr{Valid: vfs.SetAtime | vfs.SetMtime, Atime: time.Unix(5, 0), Mtime: time.Unix(6, 0)})
				m.must(err)
			})
			m.costs("stat", 0, func() {
				if s := m.stat("a"); s.Mode.Perm() != 0o600 || s.Mtime.Unix() != 6 {
					m.Errorf("%+v", s)
				}
			})
			m.costs("what is so already", 0, func() {
				_, err := m.tree.SetAttr(m.ctx, a, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0o600})
				m.must(err)
			})
			m.costs("rename waits for it", 1, func() { m.must(m.tree.Rename(m.ctx, vfs.RootID, "a", vfs.RootID, "a2", true)) })
			if s, _ := m.server.Stat(home + "/a2"); s.Mode.Perm() != 0o600 || s.Mtime != 6 || s.Atime != 5 {
				m.Errorf("on the server: %+v", s)
			}
			if n := m.remote.Count("setattr"); n != 2 {
				m.Errorf("%d SETSTATs, want 2", n)
			}
			m.costs("truncate", 1, func() {
				_, err := m.tree.SetAttr(m.ctx, m.node("b"), nil, vfs.SetAttr{Valid: vfs.SetSize, Size: 2})
				m.must(err)
			})
			m.onServer("b", "wo")
			m.costs("stat after truncate", 0, func() {
				if s := m.stat("b"); s.Size != 2 {
					m.Errorf("size %d", s.Size)
				}
			})
		}},
		{"save", func(m *mount) {
			m.list(vfs.RootID)
			m.costs("editor's save", 3, func() {
				_, h, err := m.tree.Create(m.ctx, vfs.RootID, "a~", conn.OpenWrite|conn.OpenExcl, 0o644)
				m.must(err)
				_, err = h.Write(m.ctx, []byte("better"), 0)
				m.must(err)
				m.must(h.Sync(m.ctx))
				m.must(h.Flush(m.ctx))
				h.Release()
				m.must(m.tree.Rename(m.ctx, vfs.RootID, "a~", vfs.RootID, "a", true))
			})
			m.onServer("a", "better")
			m.costs("reading it back", 0, func() {
				if s := m.read("a"); s != "better" {
					m.Errorf("read %q", s)
				}
			})
		}},
		{"overwrite", func(m *mount) {
			m.list(vfs.RootID)
			m.costs("overwrite", 2, func() {
				h, err := m.tree.Open(m.ctx, m.node("a"), conn.OpenWrite|conn.OpenTrunc)
				m.must(err)
				_, err = h.Write(m.ctx, []byte("new"), 0)
				m.must(err)
				m.must(h.Flush(m.ctx))
				h.Release()
			})
			m.onServer("a", "new")
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { bubble(t, vfs.Options{}, prepare, test.test) })
	}
}
