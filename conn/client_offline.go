package conn

import (
	"math"
	"time"
)

// outage is whether who can do without the link should.
type outage struct {
	keep   time.Duration // 0: the link is up
	turned chan struct{} // closed when that changes
}

const (
	// offlineAfter is how long the link is down before it counts as offline: most
	// losses are mended sooner, and are no reason to show what is old.
	offlineAfter = time.Second
	// keepOffline is for how long what the server told may be shown while the
	// link is down: long enough to finish what somebody is looking at, too short
	// to be taken for the truth.
	keepOffline = 10 * time.Minute
	// keepPaused is for ever: the files of a paused sandbox do not change.
	keepPaused = time.Duration(math.MaxInt64)
)

// Offline returns for how long what the server told, counted from then, may be
// shown in place of an answer, and what is closed when that changes. It is 0
// while the link is up, also in its first second down; ten minutes while it is
// down; without end while the sandbox is paused. One that is gone for good has
// nothing to show, but an error. It takes no lock.
func (c *Client) Offline() (keep time.Duration, turned <-chan struct{}) {
	o := c.outage.Load()
	return o.keep, o.turned
}

// turnLater is the goroutine that looks once the link has been down for a while.
func (c *Client) turnLater() {
	select {
	case <-time.After(offlineAfter):
	case <-c.ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn(time.Since(c.state.downSince) >= offlineAfter)
}

// turn takes note of what the link is like, and whether it has been down for a
// while. c.mu is held.
func (c *Client) turn(long bool) {
	was, keep := c.outage.Load(), time.Duration(0)
	switch {
	case c.primary != nil || c.state.state == StateGone || c.closed != nil:
	case c.state.state == StatePaused:
		keep = keepPaused
	case was.keep > 0 || long:
		keep = keepOffline
	}
	if keep != was.keep {
		c.outage.Store(&outage{keep, make(chan struct{})})
		close(was.turned)
	}
}
