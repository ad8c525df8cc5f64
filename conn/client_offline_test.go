package conn

import (
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
		offline, turned := c.Offline()
		r.drop()
		c.Lstat("/x")
		if turnedWithin(turned, 5*time.Second) || offline {
			t.Error("a moment counts as offline")
		}
		r.set(func() { r.refuse = dialFailed(NotConnected, Network, nil) })
		r.drop()
		began := time.Now()
		if !turnedWithin(turned, 5*time.Second) || time.Since(began) < offlineAfter {
			t.Errorf("told after %v", time.Since(began))
		}
		offline, turned = c.Offline()
		if !offline || turnedWithin(turned, time.Minute) {
			t.Error("offline no more, while the link is down")
		}
		r.set(func() { r.refuse = nil })
		c.Lstat("/x")
		if !turnedWithin(turned, time.Minute) {
			t.Error("the end is not told")
		}
		if offline, _ := c.Offline(); offline {
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
		offline, turned := c.Offline()
		if !offline {
			t.Error("paused and not offline")
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
