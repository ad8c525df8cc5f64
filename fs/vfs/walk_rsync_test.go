package vfs_test

import (
	"fmt"
	"sort"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// As rsync does: the whole tree is listed, then the files are opened, directory
// after directory and by name.
func TestWalkListThenOpen(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 167 {
			s.WriteFile(fmt.Sprintf("%s/src/package%02d/file%d.go", home, i%18, i*7%167), fmt.Sprint("content ", i))
		}
	}
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		var names []string
		nodes := map[string]vfs.NodeID{}
		waits := m.waits(func() {
			var visit func(dir string, id vfs.NodeID)
			visit = func(dir string, id vfs.NodeID) {
				for name, e := range m.list(id) {
					p := dir + "/" + name
					if name == "." || name == ".." {
						continue
					}
					if e.Mode.IsDir() {
						visit(p, e.Entry.Node)
					} else {
						names, nodes[p] = append(names, p), e.Entry.Node
					}
				}
			}
			visit("", vfs.RootID)
			sort.Strings(names)
			for _, p := range names {
				h, err := m.tree.Open(m.ctx, nodes[p], conn.OpenRead)
				m.must(err)
				m.readAll(h)
				m.must(h.Flush(m.ctx))
				h.Release()
			}
		})
		t.Logf("%d waits, %d opens", waits, m.remote.Count("open"))
		if waits > 25 {
			t.Errorf("%d waits for %d files", waits, len(names))
		}
		if n := m.remote.Count("open"); n > len(names) {
			t.Errorf("%d files were opened %d times", len(names), n)
		}
	})
}
