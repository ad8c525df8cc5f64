package content

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
)

func difference(got, want string) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Sprintf("byte %d of %d is %#x, want %#x", i, len(got), got[i], want[i])
		}
	}
	return "equal"
}

// model is what a file must hold, beside the File itself.
type model struct {
	*rig
	src   *rand.Rand
	path  string
	f     *File
	h     *Handle
	want  []byte
	clock int64
}

const modelSize = 200_000

func (m *model) step() string {
	off, n := m.src.Int64N(modelSize), m.src.IntN(1+m.src.IntN(20_000))
	switch k := m.src.IntN(100); {
	case k < 40:
		got := m.read(m.h, n, off)
		want := m.want[min(off, int64(len(m.want))):min(off+int64(n), int64(len(m.want)))]
		if got != string(want) {
			m.t.Fatalf("read %d at %d: %s", n, off, difference(got, string(want)))
		}
		return fmt.Sprintf("read %d at %d", n, off)
	case k < 80:
		if m.src.IntN(3) == 0 {
			off = int64(len(m.want)) // a tail that grows
		}
		if off+int64(n) > modelSize {
			return "nothing"
		}
		p := []byte(random(n, m.src.Uint64()))
		m.write(m.h, string(p), off)
		m.put(p, off)
		return fmt.Sprintf("write %d at %d", n, off)
	case k < 85:
		m.ok(m.f.Truncate(m.ctx, off))
		if off < int64(len(m.want)) {
			m.want = m.want[:off]
		}
		m.put(nil, off)
		return fmt.Sprintf("truncate to %d", off)
	case k < 90:
		m.ok(m.h.Flush(m.ctx))
		m.onServer(m.path, string(m.want))
		return "flush"
	case k < 92:
		m.ok(m.h.Sync(m.ctx))
		m.onServer(m.path, string(m.want))
		return "sync"
	case k < 94:
		m.evict()
		return "evict"
	case k < 96:
		m.elsewhere(off, n)
		return "change on the server"
	case k < 97:
		m.ok(m.drop())
		return "fresh"
	case k < 98:
		m.f.Prefetch()
		return "prefetch"
	case k < 99:
		call := m.f.SetAttr(conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: 0o640}})
		if call != nil && m.src.IntN(2) == 0 {
			_, err := call.Wait(m.ctx)
			m.ok(err)
		}
		return "setattr"
	default:
		m.h.Release()
		m.h = m.f.Handle(conn.OpenRead | conn.OpenWrite)
		return "reopen"
	}
}

// put writes to what is expected.
func (m *model) put(p []byte, off int64) {
	if grow := off + int64(len(p)) - int64(len(m.want)); grow > 0 && (len(p) > 0 || p == nil) {
		m.want = append(m.want, make([]byte, grow)...)
	}
	copy(m.want[min(off, int64(len(m.want))):], p)
}

func (m *model) evict() {
	s := m.store
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := m.src.IntN(8); i > 0 && m.f.chunks.len > 0; i-- {
		s.cache.evict(m.f.chunks.back())
	}
}

// elsewhere has another hand change the file, and the File learn of it.
func (m *model) elsewhere(off int64, n int) {
	m.ok(m.f.Flush(m.ctx))
	m.clock++
	switch m.src.IntN(3) {
	case 0:
		m.want = []byte(random(n, m.src.Uint64()))
	case 1:
		m.want = append(bytes.Clone(m.want), random(n%100, 1)...)
	case 2:
		if off < int64(len(m.want)) {
			m.want = m.want[:off]
		}
	}
	m.server.WriteFile(m.path, string(m.want))
	asked := m.store.o.Now()
	a, err := m.remote.Lstat(m.path).Wait(m.ctx)
	m.ok(err)
	m.f.Learn(a, asked)
	if m.f.Size() != a.Size {
		m.t.Fatalf("size %d after Learn, server has %d", m.f.Size(), a.Size)
	}
}

func (m *model) drop() error {
	m.f.Fresh()
	return nil
}

func runModel(t *testing.T, seed uint64, steps int) {
	src := rand.New(rand.NewPCG(seed, 2))
	o := Options{CacheSize: 64 << 10 << src.IntN(6), WriteBuffer: 32 << 10 << src.IntN(6), MaxRead: 4096 << src.IntN(4), MaxWrite: 4096 << src.IntN(4)}
	o.WriteThrough = src.IntN(8) == 0
	m := &model{rig: newRig(t, o), src: src, path: "/home/user/f", clock: 1000}
	m.remote.shuffle = true
	m.server.SetClock(func() int64 { return m.clock })
	m.f = m.file(m.path)
	m.h = m.f.Handle(conn.OpenRead | conn.OpenWrite)
	var log []string
	defer func() {
		if t.Failed() {
			t.Logf("seed %d, %+v, the last steps:\n%s", seed, o, strings.Join(log[max(0, len(log)-25):], "\n"))
		}
	}()
	for range steps {
		log = append(log, "(failed)")
		log[len(log)-1] = m.step()
		m.check()
		if m.f.Size() != int64(len(m.want)) {
			t.Fatalf("size %d, want %d", m.f.Size(), len(m.want))
		}
	}
	m.ok(m.h.Flush(m.ctx))
	m.onServer(m.path, string(m.want))
	m.h.Release()
	checkView(t, m.f)
}

// rest waits until nothing of a file is on its way.
func rest(f *File) {
	for {
		var wait <-chan struct{}
		f.mu.Lock()
		if g := f.sender.end(); g != nil {
			wait = g.answered
		}
		f.view.m.Scan(func(_ int64, e *extent) bool {
			if e.state == asked {
				wait = e.fetch.done
			}
			return wait == nil
		})
		f.pump()
		if wait == nil {
			return
		}
		<-wait
	}
}

// checkView holds a file at rest to what its structures promise.
func checkView(t *testing.T, f *File) {
	t.Helper()
	rest(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	pos := int64(0)
	f.view.m.Scan(func(off int64, e *extent) bool {
		if off != e.off || e.off < pos || e.end <= e.off || e.end > f.size || e.state == dirty || e.state == sent || e.state == gone {
			t.Errorf("extent [%d, %d) state %d, after %d, size %d", e.off, e.end, e.state, pos, f.size)
		}
		pos = e.end
		return true
	})
	s := &f.sender
	if s.open != 0 || s.flying != 0 || s.on != nil || s.unsent.len != 0 || s.sending.Len() != 0 || len(s.queue) != 0 || len(s.gens) != 0 {
		t.Errorf("sender at rest: %+v", s)
	}
}

// seeds is how many random sequences are tried: SBXMOUNT_SEEDS, for walks of
// millions of steps, or few.
func seeds() int {
	if n, err := strconv.Atoi(os.Getenv("SBXMOUNT_SEEDS")); err == nil {
		return n
	}
	return 16
}

// Random reads, writes, truncates, flushes, remote changes and evictions show
// what a slice of bytes shows.
func TestModel(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			runModel(t, uint64(seed), 1000)
		})
	}
}
