package fs

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
)

func testBridge(t *testing.T, log *bytes.Buffer) *bridge {
	base, cancel := context.WithCancelCause(context.Background())
	b := newBridge(base, &Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	b.dead = func() bool { return false }
	t.Cleanup(b.behind.Wait)
	t.Cleanup(func() { cancel(conn.Closed) })
	return b
}

func TestCompleteReturnsTheAnswer(t *testing.T) {
	b := testBridge(t, new(bytes.Buffer))
	r := b.request(make(chan struct{}), &fuse.InHeader{})
	defer r.finish()
	undone := false
	n, err := complete(r, func(context.Context) (int, error) { return 7, nil }, func(int) { undone = true })
	if n != 7 || err != nil || undone {
		t.Errorf("%d, %v, undone %v", n, err, undone)
	}
}

func TestCompleteTurnsPanicsIntoErrors(t *testing.T) {
	var log bytes.Buffer
	b := testBridge(t, &log)
	r := b.request(make(chan struct{}), &fuse.InHeader{})
	defer r.finish()
	_, err := complete(r, func(context.Context) (int, error) { panic("broken") }, nil)
	if !errors.Is(err, errPanic) || status(err) != fuse.EIO || !strings.Contains(log.String(), "broken") {
		t.Errorf("%v, log %s", err, log.String())
	}
}

// A change whose caller is gone goes on behind and is given back.
func TestCompleteGoesOnBehind(t *testing.T) {
	b := testBridge(t, new(bytes.Buffer))
	interrupt := make(chan struct{})
	// No thread has this number: it counts as gone once it is looked at.
	r := b.request(interrupt, &fuse.InHeader{Caller: fuse.Caller{Pid: 1 << 30}})
	goOn, undone := make(chan struct{}), make(chan int, 1)
	close(interrupt)
	_, err := complete(r, func(ctx context.Context) (int, error) {
		<-goOn
		return 7, ctx.Err()
	}, func(n int) { undone <- n })
	r.finish()
	if status(err) != fuse.EINTR {
		t.Errorf("%v", err)
	}
	close(goOn)
	if n := <-undone; n != 7 {
		t.Errorf("gave back %d", n)
	}
}

// An interrupted caller that lives goes on waiting; a hung-up kernel or the
// mount's end lets go.
func TestRequestEnds(t *testing.T) {
	for how, want := range map[string]syscall.Errno{"over": 0, "dead": syscall.EINTR, "mount": syscall.ESHUTDOWN} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { requestEnds(t, how, want) })
		})
	}
}

func requestEnds(t *testing.T, how string, want syscall.Errno) {
	b := testBridge(t, new(bytes.Buffer))
	base, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	b.base = base
	var dead atomic.Bool
	b.dead = dead.Load
	interrupt := make(chan struct{})
	r := b.request(interrupt, &fuse.InHeader{})
	done := r.Done()
	close(interrupt)
	time.Sleep(10 * lookAgain)
	synctest.Wait()
	select {
	case <-done:
		t.Error("ended by an interrupt alone")
	default:
	}
	switch how {
	case "over":
		r.finish()
	case "dead":
		dead.Store(true)
		<-done
	case "mount":
		cancel(conn.Closed)
		<-done
	}
	if got := Errno(r.Err()); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if how != "over" {
		r.finish()
	}
}

// A FLUSH of a process that was killed before it came ends without an
// INTERRUPT.
func TestClosingIsLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := testBridge(t, new(bytes.Buffer))
		r := b.request(make(chan struct{}), &fuse.InHeader{Caller: fuse.Caller{Pid: 1 << 30}})
		r.closing = true
		start := time.Now()
		<-r.Done()
		if waited := time.Since(start); waited != lookAgain {
			t.Errorf("after %v", waited)
		}
		r.finish()
	})
}
