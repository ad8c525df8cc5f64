package content

import (
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

func TestCopyRange(t *testing.T) {
	for name, refuse := range map[string]bool{"on the server": false, "through here": true} {
		t.Run(name, func(t *testing.T) {
			simulated(t, 20*time.Millisecond, Options{}, func(r *rig) {
				r.remote.Before = func(q fake.Request) error {
					if refuse && q.Op == "copy" {
						return conn.Unsupported
					}
					return nil
				}
				content := random(6<<20, 1)
				r.give("/src", content)
				src, dst := r.file("/src"), r.file("/dst")
				from, to := r.open(src, readWrite), r.open(dst, readWrite)
				r.write(from, "dirty", 1<<20) // seen by the copy
				content = content[:1<<20] + "dirty" + content[1<<20+5:]
				r.write(to, "head", 0)
				r.read(to, 4, 0)
				n, err := CopyRange(r.ctx, r.remote, from, 100, to, 50, 100<<20)
				r.ok(err)
				if n != 6<<20-100 {
					t.Errorf("copied %d", n)
				}
				want := "head" + string(make([]byte, 46)) + content[100:]
				if got := r.read(to, len(want)+10, 0); got != want {
					t.Error(difference(got, want))
				}
				r.ok(to.Flush(r.ctx))
				r.onServer("/dst", want)
				from.Release()
				to.Release()
			})
		})
	}
}

func TestCopyRangeRefuses(t *testing.T) {
	r := newRig(t, Options{})
	f := r.file("/f")
	rd, wr, app := f.Handle(conn.OpenRead), f.Handle(conn.OpenWrite), f.Handle(conn.OpenWrite|conn.OpenAppend)
	defer rd.Release()
	defer wr.Release()
	defer app.Release()
	for _, c := range []struct {
		src, dst       *Handle
		srcOff, dstOff int64
		n              int64
		want           conn.Kind
	}{
		{wr, wr, 0, 0, 1, conn.BadHandle}, {rd, rd, 0, 0, 1, conn.BadHandle}, {rd, app, 0, 0, 1, conn.BadHandle},
		{rd, wr, -1, 0, 1, conn.Invalid}, {rd, wr, 0, -1, 1, conn.Invalid}, {rd, wr, 0, 0, -1, conn.Invalid},
		{rd, wr, 0, 5, 10, conn.Invalid},
	} {
		if _, err := CopyRange(r.ctx, r.remote, c.src, c.srcOff, c.dst, c.dstOff, c.n); conn.KindOf(err) != c.want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if n, err := CopyRange(r.ctx, r.remote, rd, 0, wr, 0, 0); n != 0 || err != nil {
		t.Error(n, err)
	}
}
