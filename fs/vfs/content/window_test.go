package content

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// simulated runs f in a bubble where the link has a round trip time and time
// passes only while all wait.
func simulated(t *testing.T, rtt time.Duration, o Options, f func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o.RTT = func() time.Duration { return rtt }
		r := newRig(t, o)
		r.remote.RTT = rtt
		f(r)
	})
}

const big = 32 << 20

// The kernel reads 128 KiB at a time.
const kernelRead = 128 << 10

func (r *rig) readAll(h *Handle, size int64) {
	r.t.Helper()
	for off := int64(0); off < size; off += kernelRead {
		if b := r.read(h, kernelRead, off); len(b) != kernelRead {
			r.t.Fatalf("read %d at %d", len(b), off)
		}
	}
}

// A sequential reader waits for few round trips: the window grows to the whole.
func TestSequentialReadHidesTheRoundTrip(t *testing.T) {
	for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
		t.Run(fmt.Sprint(rtt), func(t *testing.T) {
			simulated(t, rtt, Options{}, func(r *rig) {
				r.give("/f", random(big, 1))
				f := r.file("/f")
				h := f.Handle(conn.OpenRead)
				start := time.Now()
				r.readAll(h, big)
				trips := time.Since(start) / rtt
				if trips > 9 {
					t.Errorf("took %d round trips", trips)
				}
				if asked := r.remote.Bytes("read"); asked != big {
					t.Errorf("asked for %d bytes of %d", asked, big)
				}
				if n := r.remote.Count("open"); n != 1 {
					t.Errorf("%d opens", n)
				}
				h.Release()
			})
		})
	}
}

// Where the link's rate is the limit, the window stays near what it carries in
// a round trip, and the link is filled.
func TestWindowStopsAtTheRate(t *testing.T) {
	const rtt, rate = 40 * time.Millisecond, 25 << 20 // bytes a second
	simulated(t, rtt, Options{}, func(r *rig) {
		r.remote.Before = func(q fake.Request) error {
			if q.Op == "read" {
				time.Sleep(time.Duration(q.Len) * time.Second / rate)
			}
			return nil
		}
		r.give("/f", random(2*big, 1))
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		start, most := time.Now(), int64(0)
		for off := int64(0); off < 2*big; off += kernelRead {
			r.read(h, kernelRead, off)
			most = max(most, r.check().Asked)
		}
		if most > 2*floorWindow {
			t.Errorf("%d bytes in flight", most)
		}
		if took, least := time.Since(start), time.Duration(2*big)*time.Second/rate; took > least*107/100 {
			t.Errorf("took %v, the link needs %v", took, least)
		}
		h.Release()
	})
}

// A program that stops reading costs what it was ahead, no more.
func TestReadAheadWaitsForTheReader(t *testing.T) {
	simulated(t, 40*time.Millisecond, Options{}, func(r *rig) {
		r.give("/f", random(2*big, 1))
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		r.readAll(h, 1<<20)
		time.Sleep(time.Second)
		if asked := r.remote.Bytes("read"); asked > 6<<20 {
			t.Errorf("asked for %d bytes", asked)
		}
		h.Release()
	})
}

// Random reads ask for their pages and nothing else.
func TestRandomReadsDoNotOverfetch(t *testing.T) {
	o := Options{CacheSize: 512 << 10}
	simulated(t, 20*time.Millisecond, o, func(r *rig) {
		content := random(big, 1)
		r.give("/f", content)
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		src := rand.New(rand.NewPCG(1, 1))
		want := int64(0)
		for range 3000 {
			off := 1 + src.Int64N(big-8192)
			if got := r.read(h, 4096, off); got != content[off:off+4096] {
				t.Fatalf("at %d: %s", off, difference(got, content[off:off+4096]))
			}
			want += 8192 // two pages at most
			r.check()
		}
		if asked := r.remote.Bytes("read"); asked > want {
			t.Errorf("asked for %d bytes, want at most %d", asked, want)
		}
		if n := f.view.m.Len(); n > 2*64+2*int(o.CacheSize/4096) {
			t.Errorf("%d extents for %d bytes", n, o.CacheSize)
		}
		h.Release()
	})
}

func TestPatternsAreReadAhead(t *testing.T) {
	const rtt = 20 * time.Millisecond
	const reads = 200
	for name, at := range map[string]func(i int64) int64{
		"forward":       func(i int64) int64 { return i * 4096 },
		"backward":      func(i int64) int64 { return big - (i+1)*4096 },
		"strided":       func(i int64) int64 { return 8192 + i*65536 },
		"stepping back": func(i int64) int64 { return big - 8192 - i*65536 },
		"two streams":   func(i int64) int64 { return i%2*(big/2) + i/2*4096 },
		"swapped pairs": func(i int64) int64 { return (i ^ 1) * 4096 },
	} {
		t.Run(name, func(t *testing.T) {
			simulated(t, rtt, Options{}, func(r *rig) {
				content := random(big, 1)
				r.give("/f", content)
				f := r.file("/f")
				h := f.Handle(conn.OpenRead)
				start := time.Now()
				for i := range int64(reads) {
					off := at(i)
					if got := r.read(h, 4096, off); got != content[off:off+4096] {
						t.Fatalf("at %d: %s", off, difference(got, content[off:off+4096]))
					}
				}
				trips := time.Since(start) / rtt
				if trips > 16 {
					t.Errorf("%d reads took %d round trips", reads, trips)
				}
				if asked := r.remote.Bytes("read"); asked > 4<<20 {
					t.Errorf("asked for %d bytes to read %d", asked, reads*4096)
				}
				h.Release()
			})
		})
	}
}

// A reader of a few bytes at the start costs one request.
func TestHeadCostsOneRequest(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		r.give("/f", random(big, 1))
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		r.read(h, 4096, 0)
		if n, asked := r.remote.Count("read"), r.remote.Bytes("read"); n != 1 || asked > maxIO {
			t.Errorf("%d requests for %d bytes", n, asked)
		}
		h.Release()
	})
}

// Small files are fetched whole with the first read, wherever it is.
func TestSmallFileIsFetchedWhole(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		content := random(50_000, 1)
		r.give("/f", content)
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		r.read(h, 100, 40_000)
		if !f.Whole() {
			t.Error("not whole")
		}
		r.read(h, 4096, 0)
		if n := r.remote.Count("read"); n != 1 {
			t.Errorf("%d requests", n)
		}
		h.Release()
	})
}

// Readers at once share the cache and never take more than there is.
func TestReadersShareTheBudget(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{CacheSize: 8 << 20}, func(r *rig) {
		const readers, size = 8, 4 << 20
		done := make(chan time.Duration, readers)
		start := time.Now()
		for i := range readers {
			path := fmt.Sprint("/f", i)
			r.give(path, random(size, uint64(i)))
			f := r.file(path)
			go func() {
				h := f.Handle(conn.OpenRead)
				buf := make([]byte, kernelRead)
				for off := int64(0); off < size; off += kernelRead {
					if _, err := h.ReadAt(r.ctx, kernelRead, off, buf); err != nil {
						t.Error(err)
					}
					r.check()
				}
				h.Release()
				done <- time.Since(start)
			}()
		}
		first, last := time.Duration(0), time.Duration(0)
		for range readers {
			last = <-done
			if first == 0 {
				first = last
			}
		}
		if last > 3*first {
			t.Errorf("the first was done after %v, the last after %v", first, last)
		}
		if asked := r.remote.Bytes("read"); asked > readers*size*5/4 {
			t.Errorf("asked for %d bytes to read %d", asked, readers*size)
		}
	})
}
