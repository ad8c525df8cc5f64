package conn

import "slices"

// withdraw takes o back where it was not sent.
func (c *Client) withdraw(o *op) bool {
	c.mu.Lock()
	defer c.unlock()
	if o.over || o.decided || o.file != nil && o.opens() {
		return false
	}
	if o.lane != nil {
		if !o.lane.s.withdraw(o.mainRequest()) {
			return false
		}
		// An LSTAT beside it may have been sent: its answer finds the op over.
		for _, r := range o.rs {
			if r == o.mainRequest() || o.lane.s.withdraw(r) {
				o.left--
			}
		}
		if o.left == 0 {
			o.lane.remove(o, false)
			o.lane = nil
			c.pump()
		}
	} else if o.lost != nil && o.lost.sent {
		return false
	}
	o.over = true
	c.uncount(o)
	c.ungate(o)
	c.unqueue(o)
	if o.file != nil {
		o.file.ended(o)
		c.drain(o.file)
	}
	c.gone()
	return true
}

// unqueue takes o out of where it waits. c.mu is held.
func (c *Client) unqueue(o *op) {
	is := func(x *op) bool { return x == o }
	c.waiting = slices.DeleteFunc(c.waiting, is)
	c.bulk.drop(o)
	if o.blocked > 0 {
		for f := range c.files {
			f.unhold(o)
		}
		for _, gates := range c.listing {
			for _, g := range gates {
				g.unhold(o)
			}
		}
	}
}
