package conn

import (
	"context"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// turnedWithin reports whether the channel is closed by then.
func turnedWithin(turned <-chan struct{}, d time.Duration) bool {
	select {
	case <-turned:
		return true
	case <-time.After(d):
		return false
	}
}

// A loss that is mended at once is nobody's business; one that lasts is told,
// and its end, too.
func TestOffline(t *testing.T) {
	onRadio(t, Options{}, func(t *testing.T, r *radio, c *Client) {
		keep, turned := c.Offline()
		r.drop()
		c.Lstat("/x")
		if turnedWithin(turned, 5*time.Second) || keep != 0 {
			t.Error("a moment counts as offline")
		}
		r.set(func() { r.refuse = dialFailed(NotConnected, Network, nil) })
		r.drop()
		began := time.Now()
		if !turnedWithin(turned, 5*time.Second) || time.Since(began) < offlineAfter {
			t.Errorf("told after %v", time.Since(began))
		}
		keep, turned = c.Offline()
		if keep != keepOffline || turnedWithin(turned, time.Minute) {
			t.Error("offline no more, while the link is down")
		}
		r.set(func() { r.refuse = nil })
		c.Lstat("/x")
		if !turnedWithin(turned, time.Minute) {
			t.Error("the end is not told")
		}
		if keep, _ := c.Offline(); keep != 0 {
			t.Error("offline with the link up")
		}
	})
}

// A sandbox that is paused is offline at once; one that is gone is not: what was
// known of it is nothing to show.
func TestOfflineWithoutASandbox(t *testing.T) {
	p := &provider{state: sandbox.Running}
	onRadio(t, Options{Provider: p}, func(t *testing.T, r *radio, c *Client) {
		p.set(sandbox.Paused)
		r.drop()
		if _, err := c.Lstat("/x").Wait(t.Context()); KindOf(err) != NotConnected {
			t.Errorf("%v", err)
		}
		keep, turned := c.Offline()
		if keep != keepPaused {
			t.Errorf("paused, and what is known is kept for %v", keep)
		}
		p.set(sandbox.Gone)
		c.Lstat("/x")
		if !turnedWithin(turned, time.Minute) {
			t.Error("gone and still offline")
		}
		if s := c.Status(); s.State != StateGone {
			t.Errorf("%+v", s)
		}
	})
}

// A paused sandbox is not woken by who only looks, but by changes, and by a look
// that was announced.
func TestWhatWakes(t *testing.T) {
	for name, tt := range map[string]struct {
		start func(c *Client) *Call[Attr]
		wakes int
	}{
		"a look":           {func(c *Client) *Call[Attr] { return c.Lstat("/x") }, 0},
		"an announced one": {func(c *Client) *Call[Attr] { c.Want(); return c.Lstat("/x") }, 1},
		"a change":         {func(c *Client) *Call[Attr] { return c.Mkdir("/x", 0o755) }, 1},
		"an opening": {func(c *Client) *Call[Attr] {
			_, call := c.Open("/x", OpenRead, 0)
			return call
		}, 1},
	} {
		p := &provider{state: sandbox.Running}
		onRadio(t, Options{Provider: p, Resume: true}, func(t *testing.T, r *radio, c *Client) {
			p.set(sandbox.Paused)
			r.drop()
			time.Sleep(time.Minute) // nothing needs it
			_, err := tt.start(c).Wait(t.Context())
			if p.resumed != tt.wakes || (err == nil) != (tt.wakes > 0) {
				t.Errorf("%s: resumed %d times, %v", name, p.resumed, err)
			}
		})
	}
}

// slowAPI is a provider whose answers take a while.
type slowAPI struct {
	provider
	failures int // of Resume, before one succeeds
}

func (p *slowAPI) State(ctx context.Context) (sandbox.State, error) {
	defer time.Sleep(100 * time.Millisecond)
	return p.provider.State(ctx)
}

func (p *slowAPI) Resume(ctx context.Context) error {
	if p.failures > 0 {
		p.failures--
		return &sandbox.Error{Op: "resume", Reason: sandbox.Unreachable}
	}
	return p.provider.Resume(ctx)
}

// What wakes a sandbox may come while the provider is being asked because of
// what does not.
func TestWakingBehindAPoll(t *testing.T) {
	p := &slowAPI{provider: provider{state: sandbox.Running}}
	onRadio(t, Options{Provider: p, Resume: true}, func(t *testing.T, r *radio, c *Client) {
		p.set(sandbox.Paused)
		r.drop()
		time.Sleep(time.Minute)
		poll := c.Lstat("/x")
		time.Sleep(50 * time.Millisecond)
		if _, err := c.Mkdir("/y", 0o755).Wait(t.Context()); err != nil || p.resumed != 1 {
			t.Errorf("resumed %d times, %v", p.resumed, err)
		}
		if _, err := poll.Wait(t.Context()); err != nil {
			t.Errorf("the poll that waited beside it: %v", err)
		}
	})
}

// A provider that can't be reached for a moment is asked again.
func TestResumeIsTriedAgain(t *testing.T) {
	p := &slowAPI{provider: provider{state: sandbox.Running}, failures: 3}
	onRadio(t, Options{Provider: p, Resume: true}, func(t *testing.T, r *radio, c *Client) {
		p.set(sandbox.Paused)
		r.drop()
		time.Sleep(time.Second)
		began := time.Now()
		if _, err := c.Mkdir("/y", 0o755).Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("after %v", took)
		}
	})
}
