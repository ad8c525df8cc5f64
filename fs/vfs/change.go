package vfs

import (
	"context"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// place is where a name is or will be.
type place struct {
	d    *inode
	text string
}

// change is a local change of names and inodes in flight. What is asked for
// before it was started proves nothing of them, nor does a listing, which
// stands in no order with it, that overlaps it in time.
//
// A change that the server carried out is taken into the tree by whoever
// delivers the answer, in the order of answers, also when nobody waits for it
// any more.
type change struct {
	t      *Tree
	op     string
	places []place
	nodes  []*inode
	moved  *inode  // a directory whose path changes, or nil
	makes  string  // the path of a directory or link that it makes and nobody waits for, or ""
	made   *name   // what it makes and nobody waits for, or nil
	takes  *place  // where a name is taken away and nobody waits for it, or nil
	began  instant // before the request was started
	sent   time.Time
}

// begin announces a change. Tree.mu is held.
func (t *Tree) begin(op string, places []place, nodes ...*inode) *change {
	c := &change{t: t, op: op, places: places, nodes: nodes, began: t.tick(), sent: t.now()}
	for _, p := range places {
		if p.d.dir.changing == nil {
			p.d.dir.changing = map[string]int{}
		}
		p.d.dir.changing[p.text]++
	}
	for _, n := range nodes {
		n.changes++
		n.changed = starting
	}
	c.void()
	return c
}

// void makes worthless what is being asked.
func (c *change) void() {
	for _, p := range c.places {
		if q := p.d.dir.asking[p.text]; q != nil {
			q.void = true
			delete(p.d.dir.asking, p.text)
		}
		if l := p.d.dir.listing; l != nil {
			l.excluded[p.text] = struct{}{}
		}
	}
	if c.moved == nil {
		return
	}
	for q, d := range c.t.questions {
		q.void = q.void || c.t.within(d, c.moved)
	}
	for l, d := range c.t.listings {
		l.void = l.void || c.t.within(d, c.moved)
	}
}

// started is called when the request has its place in the order of requests.
func (c *change) started() {
	for _, n := range c.nodes {
		n.changed = c.t.tick()
	}
	c.void() // also what was asked between begin and now
}

// end is called with the answer.
func (c *change) end() {
	for _, p := range c.places {
		if p.d.dir.changing[p.text]--; p.d.dir.changing[p.text] == 0 {
			delete(p.d.dir.changing, p.text)
		}
	}
	if p := c.takes; p != nil {
		if p.d.dir.leaving[p.text]--; p.d.dir.leaving[p.text] == 0 {
			delete(p.d.dir.leaving, p.text)
		}
	}
	for _, n := range c.nodes {
		n.changes--
		n.settled = c.t.tick()
		if n.changes == 0 && n.unmoved {
			n.unmoved = false
			c.t.moved(n)
		}
	}
}

// leaves says that the change takes a name away, and that nobody waits for it.
func (c *change) leaves(p place) {
	if p.d.dir.leaving == nil {
		p.d.dir.leaving = map[string]int{}
	}
	p.d.dir.leaving[p.text]++
	c.takes = &p
}

// failed takes note of a change that the server refused, or of which nobody
// knows.
func (c *change) failed(err error) {
	switch conn.KindOf(err) {
	case conn.Permission, conn.NotPermitted, conn.NoSpace, conn.Quota, conn.ReadOnly, conn.Unsupported,
		conn.NameTooLong, conn.Interrupted:
		return // says nothing against what is known
	}
	for _, p := range c.places {
		if nm := p.d.dir.children[p.text]; nm != nil {
			nm.asked = never
			if nm.node.dir != nil {
				nm.node.dir.listed = never
			}
		}
		p.d.dir.listed = never
		if l := p.d.dir.listing; l != nil {
			l.void = true // without this name it would pass for complete
		}
		c.t.noteEntry(p.d, p.text)
	}
	for _, n := range c.nodes {
		n.asked = never
		c.t.noteAttr(n)
	}
}

// carry sends a change and waits for its answer. Tree.mu is held before and
// after, and when apply takes a good answer into the tree. Should ctx end
// first, the change goes on, and undo gives back what apply took for the
// caller.
func carry[T any](ctx context.Context, c *change, start func() *conn.Call[T], apply func(T), undo func()) error {
	t := c.t
	t.unlock()
	call := start()
	t.mu.Lock()
	c.started()
	done, abandoned := make(chan struct{}), false
	var failure error
	t.unlock()
	call.Then(func(v T, err error) {
		t.mu.Lock()
		defer t.unlock()
		c.end()
		if failure = err; err != nil {
			c.failed(err)
		} else {
			apply(v)
			if abandoned && undo != nil {
				undo()
			}
		}
		close(done)
	})
	t.mu.Lock()
	if err := t.wait(ctx, done, nil); err != nil {
		select {
		case <-done:
			if failure == nil && undo != nil {
				undo()
			}
		default:
			abandoned = true
		}
		return err
	}
	return failure
}

// touched takes it that a directory's entries were changed now, and its count
// of sub-directories by links.
func (t *Tree) touched(d *inode, links int) {
	d.attr.Mtime = max(d.attr.Mtime, t.clock.now(t.now()).Unix())
	d.settled = t.tick()
	if d.attr.Nlink > 1 {
		d.attr.Nlink = uint32(max(2, int(d.attr.Nlink)+links))
	}
}
