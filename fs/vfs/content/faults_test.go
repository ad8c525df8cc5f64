package content

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// Where writes fail, at random, each flush says so exactly if one failed since
// the last, and the view is then what the server has.
func TestFaults(t *testing.T) {
	for seed := range seeds() {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			runFaults(t, rand.New(rand.NewPCG(uint64(seed), 5)))
		})
	}
}

func runFaults(t *testing.T, src *rand.Rand) {
	r := newRig(t, Options{CacheSize: 256 << 10, WriteBuffer: 64 << 10 << src.IntN(4), MaxRead: 8 << 10, MaxWrite: 4096 << src.IntN(3)})
	r.remote.shuffle = true
	var failed atomic.Int64
	fate := rand.New(rand.NewPCG(src.Uint64(), 6))
	kinds := []conn.Kind{conn.NoSpace, conn.Quota, conn.TimedOut, conn.NotConnected}
	r.remote.Before = func(q fake.Request) error {
		if q.Op != "write" || fate.IntN(20) > 0 {
			return nil
		}
		failed.Add(1)
		return kinds[fate.IntN(len(kinds))]
	}
	f := r.file("/f")
	h, app := r.open(f, readWrite), r.open(f, conn.OpenWrite|conn.OpenAppend)
	for range 40 {
		for range 1 + src.IntN(30) {
			p := []byte(random(1+src.IntN(6000), src.Uint64()))
			to := h
			if src.IntN(4) == 0 {
				to = app
			}
			_, _ = to.WriteAt(r.ctx, p, src.Int64N(100_000))
			if src.IntN(10) == 0 {
				_ = f.Truncate(r.ctx, src.Int64N(100_000))
			}
			if src.IntN(5) == 0 {
				_, _ = h.ReadAt(r.ctx, 5000, src.Int64N(100_000), make([]byte, 5000))
			}
			if src.IntN(8) == 0 {
				r.learn(f)
			}
			r.check()
		}
		err, also := h.Flush(r.ctx), app.Flush(r.ctx)
		if n := failed.Swap(0); (n > 0) != (err != nil) || (err != nil) != (also != nil) {
			t.Fatalf("%d writes failed, flush: %v, %v", n, err, also)
		}
		rest(f)
		want, _ := r.server.ReadFile("/f")
		if got := r.read(h, len(want)+100, 0); got != want || f.Size() != int64(len(want)) {
			t.Fatalf("size %d, view: %s", f.Size(), difference(got, want))
		}
	}
	_, _ = f.Flush(r.ctx), r.store.Flush(r.ctx)
	h.Release()
	app.Release()
	checkView(t, f)
	f.Forget()
	if st := r.check(); st.Lost != 0 || st.Cached != 0 || st.Dirty != 0 {
		t.Errorf("after Forget: %+v", st)
	}
}
