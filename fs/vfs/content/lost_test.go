package content

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// The first lost write is reported once to each handle that is open for
// writing, with its kind, and the view is the server's again.
func TestLostWriteIsReportedOncePerHandle(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", "0123456789")
	f := r.file("/f")
	h1, h2, rd := r.open(f, readWrite), r.open(f, conn.OpenWrite), r.open(f, conn.OpenRead)
	r.server.SetRoom(0)
	r.write(h1, "fits!", 0)
	r.write(h1, "does not fit", 10)
	if err := h1.Flush(r.ctx); conn.KindOf(err) != conn.NoSpace {
		t.Errorf("first flush: %v", err)
	}
	r.ok(h1.Flush(r.ctx))
	if err := h2.Sync(r.ctx); conn.KindOf(err) != conn.NoSpace {
		t.Errorf("another handle: %v", err)
	}
	r.ok(h2.Sync(r.ctx))
	r.ok(rd.Flush(r.ctx))
	if err := f.Flush(r.ctx); conn.KindOf(err) != conn.NoSpace {
		t.Errorf("the file: %v", err)
	}
	r.ok(f.Flush(r.ctx))
	rest(f)
	if got := r.read(rd, 100, 0); got != "fits!56789" {
		t.Errorf("the view is %q", got)
	}
	if l := f.Lost(); len(l) != 1 || l[0].Off != 10 || string(l[0].Data) != "does not fit" || conn.KindOf(l[0].Err) != conn.NoSpace {
		t.Errorf("kept aside: %+v", l)
	}
	if st := r.store.Stats(); st.Lost != 12 {
		t.Errorf("lost %d", st.Lost)
	}
	if _, changed := f.opener.(*opener).told(); changed == 0 {
		t.Error("the kernel keeps the lost bytes")
	}
	r.server.SetRoom(-1)
	r.write(h1, "later", 10)
	r.ok(h1.Flush(r.ctx))
	r.onServer("/f", "fits!56789later") // what was lost is not sent by itself
	for _, h := range []*Handle{h1, h2, rd} {
		h.Release()
	}
	f.Forget()
	if st := r.store.Stats(); st.Lost != 0 {
		t.Errorf("lost %d after Forget", st.Lost)
	}
}

// A program that goes on writing to a full disk hears of it before it closes.
func TestWritingOnAfterALoss(t *testing.T) {
	r := newRig(t, Options{})
	f := r.file("/f")
	h := r.open(f, conn.OpenWrite)
	r.server.SetRoom(0)
	r.write(h, "x", 0)
	rest(f)
	if _, err := h.WriteAt(r.ctx, []byte("y"), 1); conn.KindOf(err) != conn.NoSpace {
		t.Errorf("next write: %v", err)
	}
	r.server.SetRoom(-1)
	r.write(h, "z", 0) // reported: the next is tried
	if err := h.Flush(r.ctx); conn.KindOf(err) != conn.NoSpace {
		t.Errorf("flush: %v", err)
	}
	r.ok(h.Flush(r.ctx))
	r.onServer("/f", "z")
	h.Release()
}

// The first kind counts: what comes after a full disk does not hide it.
func TestFirstKindIsKept(t *testing.T) {
	r := newRig(t, Options{})
	f := r.file("/f")
	h := r.open(f, conn.OpenWrite)
	kinds := []conn.Kind{conn.Quota, conn.NotConnected}
	r.remote.Before = func(q fake.Request) error {
		if q.Op == "write" {
			k := kinds[0]
			kinds = kinds[1:]
			return k
		}
		return nil
	}
	r.write(h, "a", 0)
	rest(f)
	r.write(h, "", 0)
	if _, err := h.WriteAt(r.ctx, []byte("b"), 100); conn.KindOf(err) != conn.Quota {
		t.Error(err)
	}
	r.write(h, "b", 100)
	if err := h.Flush(r.ctx); conn.KindOf(err) != conn.Quota {
		t.Error(err)
	}
	h.Release()
}

// What is lost when nobody has the file open is told by the Store.
func TestLossWithoutAHandle(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, conn.OpenWrite)
		r.server.SetRoom(0)
		r.write(h, "x", 0)
		h.Release()
		if err := r.store.Flush(r.ctx); conn.KindOf(err) != conn.NoSpace {
			t.Error(err)
		}
		r.ok(r.store.Flush(r.ctx))
		synctest.Wait()
		if n := r.remote.handles(); n != 0 {
			t.Errorf("%d server handles are open", n)
		}
	})
}

// What is kept aside is bounded.
func TestLostBytesAreBounded(t *testing.T) {
	r := newRig(t, Options{WriteBuffer: 1 << 20, MaxWrite: 64 << 10})
	f := r.file("/f")
	h := r.open(f, conn.OpenWrite)
	r.server.SetRoom(0)
	for i := range 40 {
		_, _ = h.WriteAt(r.ctx, make([]byte, 64<<10), int64(i)<<16)
	}
	_ = h.Flush(r.ctx)
	if st := r.store.Stats(); st.Lost > 256<<10 || st.Lost == 0 {
		t.Errorf("lost %d", st.Lost)
	}
	h.Release()
}
