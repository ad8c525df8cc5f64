package vfs_test

import (
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// The kernel may keep pages over opens while they are younger than the TTL, or
// proven: fetched two seconds after the mtime was first seen. What is neither
// must go from the kernel, too, or a change within the same second would never
// be seen.
func TestKeepCache(t *testing.T) {
	prepare := func(s *fake.Server) { s.WriteFile(home+"/a", "one") }
	bubbleAt(t, rtt, vfs.Options{}, prepare, func(m *mount) {
		open := func(when string, keep bool) {
			t.Helper()
			h, err := m.tree.Open(m.ctx, m.node("a"), conn.OpenRead)
			m.must(err)
			if h.KeepCache() != keep {
				t.Errorf("%s: KeepCache %v", when, !keep)
			}
			m.readAll(h)
			m.must(h.Flush(m.ctx))
			h.Release()
		}
		open("first", false)
		open("within the TTL", true)
		time.Sleep(2 * ttl)
		open("past the TTL, fetched too early", false)
		time.Sleep(2 * ttl)
		open("past the TTL, fetched late enough", true)
		m.costs("once more", 0, func() { open("within the TTL again", true) })
	})
}
