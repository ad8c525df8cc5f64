package conn

import "time"

// outage is whether who can do without the link should.
type outage struct {
	offline bool
	turned  chan struct{} // closed when that changes
}

// offlineAfter is how long the link is down before it counts as offline: most
// losses are mended sooner, and are no reason to show what is old.
const offlineAfter = time.Second

// Offline reports whether the link has been down for longer than a moment, and
// returns what is closed when that changes. A sandbox that is gone for good
// counts as there: whoever asks is told. It takes no lock.
func (c *Client) Offline() (offline bool, turned <-chan struct{}) {
	o := c.outage.Load()
	return o.offline, o.turned
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

// turn takes note of whether the link is down, and has been for a while. c.mu
// is held.
func (c *Client) turn(long bool) {
	was := c.outage.Load()
	is := c.primary == nil && c.state.state != StateGone && c.closed == nil && (was.offline || long)
	if is != was.offline {
		c.outage.Store(&outage{is, make(chan struct{})})
		close(was.turned)
	}
}
