package content

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// learn asks the server and tells the File, as a revalidation does.
func (r *rig) learn(f *File) (changed bool) {
	r.t.Helper()
	asked := r.store.o.Now()
	a, err := r.remote.Lstat(f.opener.(*opener).path).Wait(r.ctx)
	r.ok(err)
	return f.Learn(a, asked)
}

// Content is reused only if it was fetched two seconds after its mtime was
// first seen, or less than the TTL ago.
func TestContentMustBeProven(t *testing.T) {
	simulated(t, 0, Options{TTL: time.Second}, func(r *rig) {
		r.give("/f", "content")
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		read := func(want int) {
			t.Helper()
			r.remote.ResetCounts()
			r.read(h, 100, 0)
			if n := r.remote.Count("read"); n != want {
				t.Errorf("%d reads, want %d", n, want)
			}
		}
		fresh := func(want bool) {
			t.Helper()
			r.learn(f)
			if got := f.Fresh(); got != want {
				t.Errorf("fresh: %v", got)
			}
			if !want {
				if f.Fresh() {
					t.Error("fresh before the kernel let go of its pages")
				}
				f.Unserved()
			}
		}
		read(1)
		time.Sleep(900 * time.Millisecond)
		fresh(true) // within the TTL
		read(0)
		time.Sleep(time.Second)
		fresh(false) // fetched right after the mtime was first seen
		time.Sleep(200 * time.Millisecond)
		read(1) // now later than two seconds
		time.Sleep(time.Minute)
		read(0) // an open handle goes on with what it has
		fresh(true)
		r.server.Change("/f", func(a *conn.Attr) { a.Mtime += 100 })
		if !r.learn(f) {
			t.Error("not changed")
		}
		read(1)
		time.Sleep(10 * time.Second)
		fresh(false)
		h.Release()
	})
}

// Our own writes prove nothing: another hand may write in the same second.
func TestOwnWritesServeForTheTTL(t *testing.T) {
	simulated(t, 0, Options{TTL: time.Second}, func(r *rig) {
		f := r.file("/f")
		h := r.open(f, readWrite)
		r.write(h, "ours", 0)
		r.ok(h.Flush(r.ctx))
		h.Release()
		if r.learn(f); !f.Fresh() || !f.Whole() {
			t.Error("what was written just now is not served")
		}
		r.give("/f", "them") // the same second and size
		time.Sleep(1100 * time.Millisecond)
		if r.learn(f); f.Fresh() || f.Whole() {
			t.Error("what was written is still served")
		}
		h = f.Handle(conn.OpenRead)
		if got := r.read(h, 10, 0); got != "them" {
			t.Error(got)
		}
		h.Release()
	})
}

// Attributes that were asked for before our writes were answered say nothing.
func TestOldAttributesAreIgnored(t *testing.T) {
	const rtt = 20 * time.Millisecond
	simulated(t, rtt, Options{}, func(r *rig) {
		r.give("/f", "0123456789")
		f := r.file("/f")
		h := r.open(f, readWrite)
		old := conn.Attr{Size: 10, Mtime: time.Now().Unix(), Mode: conn.TypeRegular}
		asked := time.Now()
		r.write(h, "abc", 10)
		if f.Learn(old, asked) || f.Size() != 13 {
			t.Error("learned while dirty")
		}
		r.ok(h.Flush(r.ctx))
		if f.Learn(old, asked) || f.Size() != 13 {
			t.Error("learned what was asked before")
		}
		if old.Mtime--; !f.Learn(old, time.Now()) || f.Size() != 10 {
			t.Error("did not learn")
		}
		h.Release()
	})
}

// The server's attributes alone make a file shorter.
func TestEarlyEnd(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", random(100_000, 1))
	f := r.file("/f")
	h := r.open(f, conn.OpenRead)
	r.server.Change("/f", func(a *conn.Attr) { a.Size = 60_000 })
	if got := r.read(h, 10, 90_000); got != "" {
		t.Errorf("read %d bytes beyond the end", len(got))
	}
	if f.Size() != 60_000 {
		t.Errorf("size %d", f.Size())
	}
	if _, changed := f.opener.(*opener).told(); changed != 1 {
		t.Error("nobody was told")
	}
	if got := r.read(h, 100_000, 0); got != random(60_000, 1) {
		t.Error(difference(got, random(60_000, 1)))
	}
	h.Release()
}

// An early end that the attributes do not confirm is an error.
func TestFalseEnd(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", random(100_000, 1))
	f := r.file("/f")
	h := r.open(f, conn.OpenRead)
	r.remote.Before = func(q fake.Request) error {
		if q.Op == "read" {
			return io.EOF
		}
		return nil
	}
	if _, err := h.ReadAt(r.ctx, 10, 0, make([]byte, 10)); conn.KindOf(err) != conn.Other {
		t.Error(err)
	}
	r.remote.Before = nil
	if got := r.read(h, 10, 0); got != random(10, 1) {
		t.Error(got)
	}
	h.Release()
}

// Bytes of ours behind an end that another hand drew: zeros lie between.
func TestCutBelowDirtyBytes(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		r.give("/f", random(200_000, 1))
		f := r.file("/f")
		h := r.open(f, readWrite)
		r.server.Change("/f", func(a *conn.Attr) { a.Size = 100 })
		r.write(h, "ours", 150_000)
		want := random(100, 1) + string(make([]byte, 149_900)) + "ours"
		if got := r.read(h, 1000, 149_000); got != want[149_000:150_000] {
			t.Error(difference(got, want[149_000:150_000]))
		}
		r.ok(h.Flush(r.ctx))
		r.onServer("/f", want)
		if got := r.read(h, 300_000, 0); got != want {
			t.Error(difference(got, want))
		}
		h.Release()
	})
}

// A read that fails says why, and the next one tries again.
func TestReadErrors(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", "content")
	f := r.file("/f")
	h := f.Handle(conn.OpenRead)
	deny := "open"
	r.remote.Before = func(q fake.Request) error {
		if q.Op == deny {
			return conn.Permission
		}
		return nil
	}
	for _, deny = range []string{"open", "read"} {
		if _, err := h.ReadAt(r.ctx, 10, 0, make([]byte, 10)); conn.KindOf(err) != conn.Permission {
			t.Errorf("%s: %v", deny, err)
		}
	}
	deny = ""
	if got := r.read(h, 10, 0); got != "content" {
		t.Error(got)
	}
	for _, bad := range []struct {
		n   int
		off int64
	}{{-1, 0}, {1, -1}} {
		if _, err := h.ReadAt(r.ctx, bad.n, bad.off, nil); conn.KindOf(err) != conn.Invalid {
			t.Error(err)
		}
	}
	if _, err := h.WriteAt(r.ctx, []byte("x"), 0); conn.KindOf(err) != conn.BadHandle {
		t.Error(err)
	}
	w := r.open(f, conn.OpenWrite)
	if _, err := w.ReadAt(r.ctx, 1, 0, make([]byte, 1)); conn.KindOf(err) != conn.BadHandle {
		t.Error(err)
	}
	if _, err := w.WriteAt(r.ctx, []byte("x"), -1); conn.KindOf(err) != conn.Invalid {
		t.Error(err)
	}
	h.Release()
	w.Release()
}

// Server handles are opened when they are needed and closed when they are not;
// one for writing does not outlive the last writer.
func TestServerHandles(t *testing.T) {
	simulated(t, 0, Options{}, func(r *rig) {
		r.give("/f", random(100_000, 1))
		f := r.file("/f")
		h1, h2 := f.Handle(conn.OpenRead), f.Handle(conn.OpenRead)
		if n := r.remote.handles(); n != 0 {
			t.Errorf("%d server handles", n)
		}
		r.read(h1, 10, 0)
		r.read(h2, 10, 90_000)
		w := r.open(f, conn.OpenWrite)
		r.write(w, "x", 0)
		r.ok(w.Flush(r.ctx))
		if n := r.remote.handles(); n != 2 {
			t.Errorf("%d server handles", n)
		}
		w.Release()
		synctest.Wait()
		if n := r.remote.closed[conn.OpenWrite]; n != 1 {
			t.Error("the server handle for writing is open")
		}
		h1.Release()
		synctest.Wait()
		if n := r.remote.handles(); n != 1 {
			t.Errorf("%d server handles", n)
		}
		h2.Release()
		synctest.Wait()
		if n, st := r.remote.handles(), r.check(); n != 0 || st.Remotes != 0 {
			t.Errorf("%d server handles, %d in the statistics", n, st.Remotes)
		}
	})
}

// While writes are in flight on a server handle that another one replaced,
// nothing that must stand behind them is started on that one.
func TestWritesSurviveTheirServerHandle(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		f := r.file("/f")
		h1, h2 := r.open(f, conn.OpenWrite), f.Handle(conn.OpenWrite)
		content := random(1<<20, 1)
		asked := time.Now()
		remote, opened := r.remote.Open("/f", conn.OpenWrite, 0)
		a, err := opened.Wait(r.ctx)
		r.ok(err)
		r.write(h1, content, 0)
		f.Attach(remote, conn.OpenWrite, a, asked)
		r.write(h2, "second", 500_000)
		r.write(h2, "third", 2<<20)
		r.ok(h2.Flush(r.ctx))
		want := content[:500_000] + "second" + content[500_006:] + string(make([]byte, 1<<20)) + "third"
		r.onServer("/f", want)
		if told, changed := f.opener.(*opener).told(); changed != 0 || told[len(told)-1].Size != int64(len(want)) {
			t.Errorf("was told %+v, %d", told, changed)
		}
		h1.Release()
		h2.Release()
		time.Sleep(time.Second)
		if n := r.remote.handles(); n != 0 {
			t.Errorf("%d server handles", n)
		}
	})
}

// A handle that was opened later serves in place of the one before.
func TestNewerServerHandleWins(t *testing.T) {
	simulated(t, 0, Options{}, func(r *rig) {
		r.give("/f", "old")
		f := r.file("/f")
		h1 := r.open(f, conn.OpenRead)
		r.read(h1, 10, 0)
		r.server.Replace("/f", "newer")
		h2 := r.open(f, conn.OpenRead)
		if got := r.read(h2, 10, 0); got != "newer" {
			t.Error(got)
		}
		h1.Release()
		h2.Release()
		synctest.Wait()
		if n := r.remote.handles(); n != 0 {
			t.Errorf("%d server handles", n)
		}
	})
}

// Of too many idle server handles those that were not used the longest go.
func TestIdleServerHandlesAreLimited(t *testing.T) {
	simulated(t, 0, Options{MaxRemotes: 4}, func(r *rig) {
		var handles []*Handle
		for _, name := range strings.Split("abcdefghij", "") {
			r.give("/"+name, random(200_000, 1))
			h := r.file("/" + name).Handle(conn.OpenRead)
			r.read(h, 10, 100_000)
			handles = append(handles, h)
		}
		synctest.Wait()
		if n := r.remote.handles(); n > 4 {
			t.Errorf("%d server handles", n)
		}
		for _, h := range handles {
			if got := r.read(h, 10, 0); got != random(10, 1) {
				t.Error("another content")
			}
			h.Release()
		}
		synctest.Wait()
		if n := r.remote.handles(); n != 0 {
			t.Errorf("%d server handles", n)
		}
	})
}

// A name that goes takes the way to open the file with it: Hold opens before.
func TestHoldBeforeTheNameGoes(t *testing.T) {
	simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
		r.give("/f", "content")
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		f.Hold()
		gone := r.remote.Unlink("/f")
		f.Moved("")
		if _, err := gone.Wait(r.ctx); err != nil {
			t.Fatal(err)
		}
		if got := r.read(h, 10, 0); got != "content" {
			t.Error(got)
		}
		h.Release()
	})
}

// A file without a path can't be opened, and says so.
type nowhere struct{ opener }

func (*nowhere) OpenRemote(conn.OpenFlags) (conn.File, *conn.Call[conn.Attr]) {
	return nil, conn.Answered(conn.Attr{}, error(conn.Stale))
}

func TestNoPathIsStale(t *testing.T) {
	r := newRig(t, Options{})
	f := r.store.NewFile(conn.Attr{Size: 10}, time.Now(), &nowhere{})
	h := f.Handle(readWrite)
	if _, err := h.ReadAt(r.ctx, 10, 0, make([]byte, 10)); conn.KindOf(err) != conn.Stale {
		t.Error(err)
	}
	r.write(h, "x", 0)
	if err := h.Flush(r.ctx); conn.KindOf(err) != conn.Stale {
		t.Error(err)
	}
	h.Release()
}

// An open that truncates empties the view.
func TestAttachTruncated(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", "content")
	f := r.file("/f")
	rd := r.open(f, conn.OpenRead)
	r.read(rd, 10, 0)
	asked := time.Now()
	remote, opened := r.remote.Open("/f", conn.OpenWrite|conn.OpenTrunc, 0)
	a, err := opened.Wait(r.ctx)
	r.ok(err)
	// The fake's open answers before it knows of the truncation's time only.
	f.Attach(remote, conn.OpenWrite|conn.OpenTrunc, a, asked)
	h := f.Handle(conn.OpenWrite)
	if f.Size() != 0 || r.read(rd, 10, 0) != "" {
		t.Errorf("size %d", f.Size())
	}
	r.write(h, "new", 0)
	if got := r.read(rd, 10, 0); got != "new" {
		t.Error(got)
	}
	r.ok(h.Flush(r.ctx))
	r.onServer("/f", "new")
	h.Release()
	rd.Release()
}

func TestPrefetch(t *testing.T) {
	const rtt = 20 * time.Millisecond
	simulated(t, rtt, Options{TTL: time.Minute}, func(r *rig) {
		content := random(600_000, 1)
		r.give("/f", content)
		f := r.file("/f")
		start := time.Now()
		call := f.Prefetch()
		if f.Prefetch() != call {
			t.Error("a second prefetch beside the first")
		}
		if _, err := call.Wait(r.ctx); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 2*rtt {
			t.Errorf("took %v", d)
		}
		if !f.Fresh() || !f.Whole() {
			t.Error("not whole")
		}
		h := f.Handle(conn.OpenRead)
		if got := r.read(h, 600_000, 0); got != content {
			t.Error(difference(got, content))
		}
		h.Release()
		synctest.Wait()
		if n := r.remote.handles(); n != 0 || r.remote.Count("open") != 1 {
			t.Errorf("%d server handles", n)
		}
		if _, err := f.Prefetch().Wait(r.ctx); err != nil || r.remote.Count("open") != 1 {
			t.Error("fetched twice")
		}
	})
}

// Who reads a file that is being prefetched gets these bytes, and where that
// fails asks itself.
func TestReadJoinsPrefetch(t *testing.T) {
	for _, fails := range []bool{false, true} {
		simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
			r.give("/f", "content")
			f := r.file("/f")
			h := f.Handle(conn.OpenRead)
			r.remote.Before = func(q fake.Request) error {
				if fails && q.Flags&conn.OpenBackground != 0 {
					return conn.NotConnected
				}
				return nil
			}
			call := f.Prefetch()
			if got := r.read(h, 10, 0); got != "content" {
				t.Error(got)
			}
			if _, err := call.Wait(r.ctx); (err != nil) != fails {
				t.Error(err)
			}
			h.Release()
		})
	}
}

// Bytes that nobody reads go after a while.
func TestIdleStoreGivesBack(t *testing.T) {
	simulated(t, 0, Options{}, func(r *rig) {
		r.give("/f", random(1<<20, 1))
		f := r.file("/f")
		h := f.Handle(conn.OpenRead)
		for off := int64(0); off < 1<<20; off += kernelRead {
			r.read(h, kernelRead, off)
		}
		if st := r.check(); st.Cached != 1<<20 {
			t.Errorf("%d cached", st.Cached)
		}
		time.Sleep(2 * idleAfter)
		if st := r.check(); st.Cached != 0 {
			t.Errorf("%d cached", st.Cached)
		}
		if n := f.view.m.Len(); n != 0 {
			t.Errorf("%d extents", n)
		}
		h.Release()
	})
}

// What is read is the cache's own bytes, and they never change.
func TestReadsAreNotCopiedAndNeverChange(t *testing.T) {
	r := newRig(t, Options{})
	r.give("/f", random(100_000, 1))
	f := r.file("/f")
	h := r.open(f, readWrite)
	buf := make([]byte, 4096)
	r.read(h, 1, 0)
	rest(f)
	b, err := h.ReadAt(r.ctx, 4096, 4096, buf)
	r.ok(err)
	if &b[0] == &buf[0] {
		t.Error("copied")
	}
	want := string(b)
	r.write(h, strings.Repeat("x", 50_000), 0)
	r.ok(f.Truncate(r.ctx, 0))
	r.write(h, strings.Repeat("y", 50_000), 0)
	if string(b) != want {
		t.Error("the bytes changed")
	}
	h.Release()
}
