package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// lifeline counts how often a sandbox's life was extended.
type lifeline struct {
	sandbox.Provider
	times atomic.Int64
	err   error
}

func (l *lifeline) KeepAlive(_ context.Context, d time.Duration) error {
	if d == 8*time.Minute {
		l.times.Add(1)
	}
	return l.err
}

// TestKeepUsed: a life is extended for files that are open and for uses since
// the last look, not for the passing of time.
func TestKeepUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const life = 8 * time.Minute
		l := new(lifeline)
		var open, uses atomic.Int64
		ctx, end := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			keepUsed(ctx, l, life, slog.New(slog.DiscardHandler), func() (int, uint64) { return int(open.Load()), uint64(uses.Load()) })
		}()
		for _, step := range []struct {
			what string
			do   func()
			want int64 // extensions within the hour
		}{
			{"just mounted, then idle", func() {}, 1},
			{"one read", func() { uses.Add(1) }, 1},
			{"idle again", func() {}, 0},
			{"an open file", func() { open.Store(1) }, 30},
			{"closed", func() { open.Store(0) }, 0},
			{"the provider fails", func() { l.err = errors.New("down"); open.Store(1) }, 30}, // and goes on
		} {
			synctest.Wait()
			before := l.times.Load()
			if step.what == "just mounted, then idle" {
				before = 0
			}
			step.do()
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := l.times.Load() - before; got != step.want {
				t.Errorf("%s: extended %d times, want %d", step.what, got, step.want)
			}
		}
		end()
		<-over
	})
}

// TestKeepUsedWithoutAKey gives up at once.
func TestKeepUsedWithoutAKey(t *testing.T) {
	l := &lifeline{err: &sandbox.Error{Op: "keep alive", Reason: sandbox.NoKey}}
	use := func() (int, uint64) { return 1, 0 }
	keepUsed(t.Context(), l, 8*time.Minute, slog.New(slog.DiscardHandler), use)
	keepUsed(t.Context(), l, 0, slog.New(slog.DiscardHandler), use)
	if n := l.times.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
