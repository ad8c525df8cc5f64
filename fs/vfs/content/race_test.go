package content

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Many programs do everything to few files at once, each in a part of its own
// whose bytes it checks; the budgets hold all the time, and at the end the
// server has what the last writers wrote.
func TestEverythingAtOnce(t *testing.T) {
	r := newRig(t, Options{CacheSize: 1 << 20, WriteBuffer: 512 << 10, MaxRead: 16 << 10, MaxWrite: 16 << 10, MaxRemotes: 2, TTL: time.Hour})
	r.remote.shuffle = true
	const files, parts, size = 3, 4, 100_000
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	var wg sync.WaitGroup
	want := make([][]byte, files)
	for i := range files {
		path := fmt.Sprint("/f", i)
		r.give(path, random(parts*size, uint64(i)))
		want[i] = []byte(random(parts*size, uint64(i)))
		f := r.file(path)
		for p := range parts {
			wg.Go(func() { r.busy(f, want[i][p*size:(p+1)*size], int64(p*size), rounds, uint64(i*parts+p)) })
		}
		wg.Go(func() { r.disturb(f, rounds, uint64(i)) })
	}
	wg.Wait()
	r.ok(r.store.Flush(r.ctx))
	for i := range files {
		r.onServer(fmt.Sprint("/f", i), string(want[i]))
	}
}

// busy reads and writes a part of a file.
func (r *rig) busy(f *File, want []byte, base int64, rounds int, seed uint64) {
	src := rand.New(rand.NewPCG(seed, 3))
	h := f.Handle(readWrite)
	buf := make([]byte, len(want))
	for range rounds {
		off := src.IntN(len(want) - 1)
		n := 1 + src.IntN(min(len(want)-off, 1+src.IntN(30_000)))
		switch src.IntN(10) {
		default:
			b, err := h.ReadAt(r.ctx, n, base+int64(off), buf)
			if err != nil || string(b) != string(want[off:off+n]) {
				r.t.Errorf("read %d at %d: %v, %s", n, base+int64(off), err, difference(string(b), string(want[off:off+n])))
				return
			}
		case 0, 1, 2, 3:
			p := random(n, src.Uint64())
			copy(want[off:], p)
			if m, err := h.WriteAt(r.ctx, []byte(p), base+int64(off)); m != n || err != nil {
				r.t.Errorf("write: %d, %v", m, err)
				return
			}
		case 4:
			if err := h.Flush(r.ctx); err != nil {
				r.t.Error(err)
			}
		case 5:
			h.Release()
			h = f.Handle(readWrite)
		}
		r.check()
	}
	h.Release()
}

// disturb does what must not change what others see.
func (r *rig) disturb(f *File, rounds int, seed uint64) {
	src := rand.New(rand.NewPCG(seed, 4))
	for range rounds {
		switch src.IntN(8) {
		case 0:
			r.learn(f)
		case 1:
			f.Fresh()
		case 2:
			f.Prefetch()
		case 3:
			f.Hold()
		case 4:
			if err := f.Truncate(r.ctx, f.Size()); err != nil {
				r.t.Error(err)
			}
		case 5:
			f.SetAttr(conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: 0o600}})
		case 6:
			ctx, cancel := context.WithCancel(r.ctx)
			cancel()
			h := f.Handle(conn.OpenRead)
			_, _ = h.ReadAt(ctx, 1000, src.Int64N(100_000), make([]byte, 1000))
			_ = h.Sync(ctx)
			h.Release()
		case 7:
			f.Whole()
			f.Dirty()
			r.store.Stats()
		}
	}
}
