package vfs_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// kernelFile is what a kernel keeps of one file: all its pages, until an open
// says that it must not.
type kernelFile struct {
	pages string
	kept  bool
}

// open reads the file as a program behind a kernel does.
func (k *kernelFile) open(m *mount, path string) string {
	m.Helper()
	h, err := m.tree.Open(m.ctx, m.node(path), conn.OpenRead)
	m.must(err)
	defer h.Release()
	if !h.KeepCache() {
		k.kept = false
	}
	if !k.kept {
		k.pages, k.kept = m.readAll(h), true
	}
	return k.pages
}

// A writer on the sandbox and readers here: what was closed there a TTL ago, or
// at all where the TTL is 0, is what an open here gives, also where neither size
// nor second have changed, and whatever is known of the server's clock.
func TestWriterOnTheServer(t *testing.T) {
	const rounds = 2000
	for name, c := range map[string]struct {
		ttl   time.Duration
		ahead time.Duration // the server's clock before ours
		told  bool
	}{
		"ttl 1s":                          {ttl, 0, false},
		"ttl 1s, clock told":              {ttl, 0, true},
		"ttl 1s, clock told, server late": {ttl, -90 * time.Minute, true},
		"ttl 1s, clock told, server fast": {ttl, 90*time.Minute + 700*time.Millisecond, true},
		"ttl 0":                           {none, 0, false},
		"ttl 0, clock told":               {none, 300 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			var server *fake.Server
			prepare := func(s *fake.Server) {
				server = s
				s.SetClock(func() int64 { return time.Now().Add(c.ahead).Unix() })
				s.WriteFile(home+"/f", "first")
				s.WriteFile(home+"/other", "first")
			}
			clock := func() conn.Clock {
				if !c.told {
					return conn.Clock{}
				}
				now := time.Now()
				return conn.Clock{Seconds: now.Add(c.ahead).Unix(), Asked: now, Told: now}
			}
			bubbleAt(t, time.Millisecond, vfs.Options{TTL: c.ttl, Clock: clock}, prepare, func(m *mount) {
				m.tree.SetNotifier(&notes{})
				r := rand.New(rand.NewPCG(3, uint64(len(name))))
				var file, other kernelFile
				size := 10
				for i := range rounds {
					if r.IntN(4) == 0 {
						size = 1 + r.IntN(20_000)
						if r.IntN(30) == 0 {
							size *= 10
						}
					}
					mark := fmt.Sprintf("%09d ", i)
					want := strings.Repeat(mark, size/len(mark)+1)[:size]
					switch r.IntN(6) {
					case 0:
						server.Replace(home+"/f", want)
					default:
						server.WriteFile(home+"/f", want)
					}
					switch r.IntN(8) { // others look meanwhile, at any moment
					case 0:
						other.open(m, "other")
					case 1:
						m.list(vfs.RootID)
					case 2:
						file.open(m, "f") // may see the one before
					}
					if c.ttl != none {
						time.Sleep(ttl + time.Duration(r.IntN(100))*time.Millisecond)
					}
					got := file.open(m, "f")
					if len(got) > len(want) {
						t.Fatalf("round %d: %d bytes, %d are there", i, len(got), len(want))
					}
					if got != want {
						t.Fatalf("round %d: %.20q (%d bytes), want %.20q (%d)", i, got, len(got), want, len(want))
					}
					time.Sleep(time.Duration(r.IntN(600)) * time.Millisecond)
				}
				synctest.Wait()
				m.tree.SetNotifier(nil)
			})
		})
	}
}
