package fs

import (
	"bytes"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
)

// The second ESTALE in a row is one that programs expect.
func TestStaleOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s staleOpens
		for i, want := range []syscall.Errno{syscall.ESTALE, syscall.ENOENT, syscall.ESTALE, syscall.ENOENT} {
			if got := Errno(s.opened(7, conn.Stale)); got != want {
				t.Errorf("time %d: %v, want %v", i, got, want)
			}
		}
		for _, err := range []error{nil, conn.Permission} {
			s.opened(7, conn.Stale)
			if got := s.opened(7, err); got != err {
				t.Errorf("%v became %v", err, got)
			}
			if got := Errno(s.opened(7, conn.Stale)); got != syscall.ESTALE {
				t.Errorf("after %v: %v", err, got)
			}
			s.opened(7, nil)
		}
		s.opened(7, conn.Stale)
		if got := Errno(s.opened(8, conn.Stale)); got != syscall.ESTALE {
			t.Errorf("another thread: %v", got)
		}
		time.Sleep(2 * retryWithin)
		if got := Errno(s.opened(7, conn.Stale)); got != syscall.ESTALE {
			t.Errorf("much later: %v", got)
		}
		if len(s.told) != 1 {
			t.Errorf("%d threads remembered", len(s.told))
		}
		s.opened(7, nil)
		if s.known.Load() != 0 {
			t.Errorf("%d threads counted", s.known.Load())
		}
	})
}

// While an open is tried again, names are not taken away, for a while.
func TestNamesStandBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testBridge(t, new(bytes.Buffer))
		r := b.request(make(chan struct{}), &fuse.InHeader{})
		defer r.finish()
		waits := func() time.Duration {
			start := time.Now()
			b.stale.standBack(r)
			return time.Since(start)
		}
		b.stale.lookup(7)
		if d := waits(); d != 0 {
			t.Errorf("%v for a first lookup", d)
		}
		b.stale.opened(7, conn.Stale)
		if d := waits(); d != 0 {
			t.Errorf("%v before the second lookup", d)
		}
		b.stale.lookup(7)
		time.AfterFunc(30*time.Millisecond, func() { b.stale.opened(7, nil) })
		if d := waits(); d != 30*time.Millisecond {
			t.Errorf("%v for an open that takes 30 ms", d)
		}
		if d := waits(); d != 0 {
			t.Errorf("%v once it is over", d)
		}
		b.stale.opened(7, conn.Stale)
		b.stale.lookup(7)
		if d := waits(); d != retryWithin {
			t.Errorf("%v for an open that never comes", d)
		}
	})
}
