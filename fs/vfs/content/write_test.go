package content

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

const readWrite = conn.OpenRead | conn.OpenWrite

// A small new file: the write waits for nothing, close for one round trip, with
// the new attributes in it.
func TestSmallFileCostsOneRoundTripAtClose(t *testing.T) {
	const rtt = 20 * time.Millisecond
	simulated(t, rtt, Options{}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite|conn.OpenCreate)
		r.remote.ResetCounts()
		start := time.Now()
		r.write(h, "hello", 0)
		r.write(h, " world", 5)
		if d := time.Since(start); d != 0 {
			t.Errorf("writes took %v", d)
		}
		r.ok(h.Flush(r.ctx))
		if d := time.Since(start); d != rtt {
			t.Errorf("close took %v", d)
		}
		r.onServer("/f", "hello world")
		if told, changed := f.opener.(*opener).told(); len(told) != 1 || told[0].Size != 11 || changed != 0 {
			t.Errorf("was told %+v, %d", told, changed)
		}
		r.ok(h.Flush(r.ctx)) // clean
		r.ok(h.Sync(r.ctx))
		r.ok(h.Sync(r.ctx)) // on its disk already
		h.Release()
		r.ok(h.Flush(r.ctx))
		if d := time.Since(start); d != 2*rtt {
			t.Errorf("all took %v", d)
		}
		synctest.Wait()
		if w, s, c, all := r.remote.Count("write"), r.remote.Count("fstat"), r.remote.Count("close"), r.remote.Count(); w != 2 || s != 1 || c != 1 || all != 5 {
			t.Errorf("%d writes, %d stats, %d closes, %d requests", w, s, c, all)
		}
	})
}

// Small appends are merged while others are in flight, and cost memory that
// grows with the file.
func TestSmallWritesAreMerged(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		content := random(4<<20, 1)
		for off := 0; off < len(content); off += 4096 {
			r.write(h, content[off:off+4096], int64(off))
		}
		r.ok(h.Flush(r.ctx))
		r.onServer("/f", content)
		if n := r.remote.Count("write"); n > 2+len(content)/maxIO {
			t.Errorf("%d writes", n)
		}
		h.Release()
	})
}

func TestTinyFileTakesLittleMemory(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		for i := range 8 {
			r.write(h, strings.Repeat("x", 100), int64(i)*100)
		}
		f.mu.Lock()
		total := 0
		f.view.m.Scan(func(_ int64, e *extent) bool { total += cap(e.data); return true })
		f.mu.Unlock()
		if total > 3000 {
			t.Errorf("%d bytes for 800", total)
		}
		h.Release()
	})
}

// A big write keeps half the buffer in flight without waiting, and no more.
func TestStreamKeepsTheLinkFull(t *testing.T) {
	const rtt = 100 * time.Millisecond
	simulated(t, rtt, Options{WriteBuffer: 16 << 20}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		content := random(64<<20, 1)
		start := time.Now()
		for off := 0; off < len(content); off += 1 << 20 {
			r.write(h, content[off:off+1<<20], int64(off))
			r.check()
		}
		r.ok(h.Flush(r.ctx))
		r.onServer("/f", content)
		if trips := time.Since(start) / rtt; trips > 10 { // 8 MiB each
			t.Errorf("took %d round trips", trips)
		}
		if most := r.remote.most["/f"]; most > 8<<20 || most < 7<<20 {
			t.Errorf("%d bytes in flight", most)
		}
		h.Release()
	})
}

// A file that floods the buffer does not keep another one out.
func TestFloodLeavesRoomForOthers(t *testing.T) {
	const rtt = 100 * time.Millisecond
	simulated(t, rtt, Options{WriteBuffer: 4 << 20}, func(r *rig) {
		flood, other := r.file("/flood"), r.file("/other")
		h1, h2 := r.open(flood, conn.OpenWrite), r.open(other, conn.OpenWrite)
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.write(h1, strings.Repeat("x", 32<<20), 0)
		}()
		for i := range 50 {
			time.Sleep(rtt / 3)
			start := time.Now()
			r.write(h2, "a line of a log\n", int64(i)*16)
			if d := time.Since(start); d > 0 {
				t.Fatalf("write %d waited %v", i, d)
			}
		}
		<-done
		h1.Release()
		h2.Release()
	})
}

// Writers that wait for room stop waiting with their context, and nothing of
// what they did not get in is kept.
func TestWriteStopsWaiting(t *testing.T) {
	simulated(t, time.Second, Options{WriteBuffer: 64 << 10}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		ctx, cancel := context.WithTimeout(r.ctx, 10*time.Millisecond)
		defer cancel()
		n, err := h.WriteAt(ctx, make([]byte, 1<<20), 0)
		if conn.KindOf(err) != conn.TimedOut || n <= 0 || n > 64<<10 {
			t.Errorf("%d, %v", n, err)
		}
		if f.Size() != int64(n) {
			t.Errorf("size %d after a write of %d", f.Size(), n)
		}
		r.ok(h.Flush(r.ctx))
		r.onServer("/f", string(make([]byte, n)))
		h.Release()
	})
}

func TestHolesAreZeros(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", "begin")
	f := r.file("/f")
	h := r.open(f, readWrite)
	r.write(h, "end", 100_000)
	want := "begin" + string(make([]byte, 100_000-5)) + "end"
	if got := r.read(h, 200_000, 0); got != want {
		t.Error(difference(got, want))
	}
	r.ok(f.Truncate(r.ctx, 3))
	r.ok(f.Truncate(r.ctx, 50_000))
	want = "beg" + string(make([]byte, 50_000-3))
	if got := r.read(h, 200_000, 0); got != want {
		t.Error(difference(got, want))
	}
	r.ok(h.Flush(r.ctx))
	r.onServer("/f", want)
	h.Release()
}

// A write beyond the end shows zeros while nothing was answered yet, and a
// reader of what is dirty waits for nothing.
func TestReaderSeesWhatIsInFlight(t *testing.T) {
	simulated(t, time.Second, Options{}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, readWrite)
		start := time.Now()
		r.write(h, "end", 1000)
		r.write(h, "middle", 500)
		want := string(make([]byte, 500)) + "middle" + string(make([]byte, 494)) + "end"
		if got := r.read(h, 2000, 0); got != want {
			t.Error(difference(got, want))
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("took %v", d)
		}
		h.Release()
	})
}

// Whatever the order, an older write never lands on a newer one, though the
// server is free to reorder writes that don't overlap.
func TestOverlappingWritesKeepTheirOrder(t *testing.T) {
	r := newRig(t, Options{})
	r.remote.shuffle = true
	f := r.file("/f")
	h := r.open(f, readWrite)
	src := rand.New(rand.NewPCG(7, 7))
	want := make([]byte, 64<<10)
	for range 5000 {
		off, n := src.IntN(len(want)-4096), 1+src.IntN(4096)
		p := random(n, src.Uint64())
		r.write(h, p, int64(off))
		copy(want[off:], p)
	}
	r.ok(h.Flush(r.ctx))
	size := f.Size()
	r.onServer("/f", string(want[:size]))
	h.Release()
}

// Times that a program sets stand behind what it wrote before and before what
// it writes after.
func TestAttributesStandInOrder(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		var ops []string
		r.remote.Before = func(q fake.Request) error {
			if q.Op != "open" {
				ops = append(ops, fmt.Sprint(q.Op, q.Off))
			}
			return nil
		}
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		r.write(h, "a", 0)
		r.write(h, "b", 1)
		set := f.SetAttr(conn.SetAttr{Valid: conn.SetTimes, Attr: conn.Attr{Mtime: 1, Atime: 1}})
		r.write(h, "c", 2)
		r.ok(f.Truncate(r.ctx, 2))
		r.ok(h.Flush(r.ctx))
		if _, err := set.Wait(r.ctx); err != nil {
			t.Error(err)
		}
		h.Release()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := strings.Join(ops, " "); got != "write0 write1 fsetattr0 write2 fsetattr0 fstat0 close0" {
			t.Error(got)
		}
		if f.SetAttr(conn.SetAttr{Valid: conn.SetMode}) != nil {
			t.Error("a change through a handle that is closed")
		}
	})
}

// A truncate by path for a file that nobody has open.
func TestTruncateByPath(t *testing.T) {
	const rtt = 20 * time.Millisecond
	simulated(t, rtt, Options{}, func(r *rig) {
		r.give("/f", "0123456789")
		f := r.file("/f")
		start := time.Now()
		r.ok(f.Truncate(r.ctx, 4))
		if d := time.Since(start); d != rtt {
			t.Errorf("took %v", d)
		}
		r.onServer("/f", "0123")
		if f.Size() != 4 {
			t.Errorf("size %d", f.Size())
		}
		if err := f.Truncate(r.ctx, -1); conn.KindOf(err) != conn.Invalid {
			t.Error(err)
		}
	})
}

// A truncate that fails leaves everything as it was.
func TestTruncateThatFails(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", "0123456789")
	f := r.file("/f")
	h := r.open(f, readWrite)
	r.write(h, "abc", 10)
	r.remote.Before = func(q fake.Request) error {
		if q.Op == "fsetattr" {
			return conn.Permission
		}
		return nil
	}
	if err := f.Truncate(r.ctx, 5); conn.KindOf(err) != conn.Permission {
		t.Error(err)
	}
	if got := r.read(h, 100, 0); got != "0123456789abc" {
		t.Error(got)
	}
	r.ok(h.Flush(r.ctx))
	r.onServer("/f", "0123456789abc")
	h.Release()
}

// Two writers append, one here and one there: no byte is lost or doubled, and
// the view becomes what the server made of it.
func TestAppendOnBothSides(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		r.give("/log", "")
		f := r.file("/log")
		h := r.open(f, conn.OpenWrite|conn.OpenAppend)
		rd := r.open(f, conn.OpenRead)
		there := r.server.Connect()
		defer there.Close()
		theirs, _ := there.Open("/log", conn.OpenWrite|conn.OpenAppend, 0)
		count := map[byte]int{}
		for i := range 200 {
			r.write(h, "H\n", 0)
			if i%7 == 0 {
				if _, err := theirs.WriteAt([]byte("T\n"), 0).Wait(r.ctx); err != nil {
					t.Fatal(err)
				}
			}
			if i%50 == 0 {
				r.ok(h.Flush(r.ctx))
			}
		}
		r.ok(h.Flush(r.ctx))
		synctest.Wait()
		got, _ := r.server.ReadFile("/log")
		for _, c := range []byte(got) {
			count[c]++
		}
		if count['H'] != 200 || count['T'] != 29 || count['\n'] != 229 {
			t.Errorf("%v", count)
		}
		if f.Size() != int64(len(got)) {
			t.Errorf("size %d here, %d there", f.Size(), len(got))
		}
		if view := r.read(rd, 1000, 0); view != got {
			t.Errorf("view: %s", difference(view, got))
		}
		h.Release()
		rd.Release()
	})
}

// Write through: a write waits and tells its error itself.
func TestWriteThrough(t *testing.T) {
	const rtt = 20 * time.Millisecond
	simulated(t, rtt, Options{WriteThrough: true}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		start := time.Now()
		r.write(h, "hello", 0)
		if d := time.Since(start); d != rtt {
			t.Errorf("took %v", d)
		}
		r.onServer("/f", "hello")
		r.server.SetRoom(0)
		if n, err := h.WriteAt(r.ctx, []byte("more"), 5); n != 0 || conn.KindOf(err) != conn.NoSpace {
			t.Errorf("%d, %v", n, err)
		}
		h.Release()
	})
}
