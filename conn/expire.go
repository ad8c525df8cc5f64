package conn

import "time"

// maxLosses is how many connections may end, one after another, while one
// operation waits, before it counts as waiting for a dead link.
const maxLosses = 4

// flaps reports whether the link comes and goes without an answer for o. A server
// that ends each session before an answer is no better than one that is silent.
// c.mu is held.
func (c *Client) flaps(o *op) bool {
	return o.losses >= maxLosses || c.state.generation-o.entered >= maxLosses
}

// expire ends what has waited for the link for too long. All else stays where it
// waits: what was lost is to be decided there. What is being decided is left to
// that, which has its own bound.
func (c *Client) expire() {
	c.mu.Lock()
	defer c.unlock()
	if c.primary != nil || c.settling || c.o.Timeout < 0 || c.closed != nil {
		return
	}
	old := time.Now().Add(-c.o.Timeout)
	why := &Error{Op: "wait", Kind: TimedOut, Err: c.state.lastError}
	for _, o := range c.pending() {
		if !o.over && o.since.Before(old) && (c.state.downSince.Before(old) || c.flaps(o)) {
			c.unqueue(o)
			c.refuse(o, why)
		}
	}
}
