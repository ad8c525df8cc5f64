package vfs

import (
	"context"
	"log/slog"

	"github.com/sbxmount/sbxmount/conn"
)

// behind is what was sent and is not waited for: of a file its changes of
// attributes, in async mode of a file, a directory and the Tree all changes.
// Tree.mu guards it.
type behind struct {
	flying int           // changes that were not answered
	idle   chan struct{} // closed when there are none any more
	lost   error         // the first that failed, until it is reported
}

func (b *behind) add() {
	if b.flying++; b.flying == 1 {
		b.idle = make(chan struct{})
	}
}

func (b *behind) done(err error) {
	if b.lost == nil {
		b.lost = err
	}
	if b.flying--; b.flying == 0 {
		close(b.idle)
	}
}

// report returns the first that failed, once.
func (b *behind) report() error {
	err := b.lost
	b.lost = nil
	return err
}

// quiet waits until nothing of b is on its way.
func (t *Tree) quiet(ctx context.Context, b *behind) error {
	for b.flying > 0 {
		if err := t.wait(ctx, b.idle, nil); err != nil {
			return err
		}
	}
	return nil
}

// maxBehind bounds the changes of names in flight that nobody waits for: with
// more, programs wait again. It is what a link of 150 ms carries in a second or
// two, and keeps what a dead link holds up small.
const maxBehind = 4096

// foresees reports whether changes of d's entries can be foretold: the mode
// asks for it, the login user may change the directory, and nothing speaks for
// waiting.
func (t *Tree) foresees(d *inode) bool {
	a := &d.attr
	return t.async() && t.info.OwnerKnown &&
		(t.info.UID == 0 || t.info.UID == a.UID && a.Mode&0o300 == 0o300)
}

// async reports whether changes may go unwaited for at present.
func (t *Tree) async() bool {
	return t.writes == WriteAsync && t.behind.flying < maxBehind && (t.ahead == nil || t.ahead())
}

// lacks reports whether the server is known to have no such name in d, and
// nobody is about to make it.
func (t *Tree) lacks(d *inode, text string) bool {
	return d.dir.children[text] == nil && d.dir.changing[text] == 0 && t.fresh(d.dir.listed, t.tick())
}

// has returns a name that the server is known to have in d, or nil.
func (t *Tree) has(d *inode, text string) *name {
	if nm := d.dir.children[text]; nm != nil && t.fresh(nm.asked, t.tick()) {
		return nm
	}
	return nil
}

// vacant waits until no name of these is on its way out of its directory: what
// is made there goes behind the answer. Otherwise nobody who looks at the
// server, after a crash, could tell the name that goes from the one that comes.
func (t *Tree) vacant(ctx context.Context, places ...place) error {
	for _, p := range places {
		for p.d.dir.leaving[p.text] > 0 {
			if err := t.quiet(ctx, &p.d.dir.behind); err != nil {
				return err
			}
		}
	}
	return nil
}

// foretell carries out a change that nobody waits for. It is sent, and predict
// takes its effect into the tree at once, behind the sending, so that whoever
// builds on the effect is sent later. A refusal is undone by undo, logged, and
// reported by the next fsync of the files and directories concerned and by
// Tree.Sync. Tree.mu is held; it is not while the request is started.
func foretell[T any](c *change, start func() *conn.Call[T], predict func(), confirmed func(T, instant), undo func()) {
	t := c.t
	owed := c.owe()
	t.unlock()
	call := start()
	t.mu.Lock()
	c.started()
	asked := t.tick()
	predict()
	c.void() // a listing that is on its way must not bring back what predict took
	t.later = append(t.later, func() {
		call.Then(func(v T, err error) {
			if c.makes == "" || err == nil || conn.KindOf(err) != conn.Other {
				c.heard(err, func() { confirmed(v, asked) }, undo, owed)
				return
			}
			// The answer was lost, and a name is there that was to be made: where
			// it was missing before, by what this mount knew, it is taken for ours.
			t.remote.Lstat(c.makes).Then(func(_ conn.Attr, missing error) {
				if missing == nil {
					err = nil
				}
				c.heard(err, c.doubt, undo, owed)
			})
		})
	})
}

// moot reports whether nobody sees any more what the change made, and err says
// no more than that: its answer was lost, and a later change took it away again.
func (c *change) moot(err error) bool {
	switch conn.KindOf(err) {
	case conn.NotExist, conn.Stale, conn.Other:
		return c.made != nil && c.made.in == nil && (c.op == "link" || c.made.node.names == nil)
	}
	return false
}

// heard takes in the answer to a foretold change.
func (c *change) heard(err error, confirmed, undo func(), owed []func(error)) {
	t := c.t
	t.mu.Lock()
	defer t.unlock()
	c.end()
	switch {
	case err == nil:
		confirmed()
	case c.moot(err):
		err = nil
		c.doubt()
	default:
		undo()
		c.failed(err)
		c.doubt()
		t.refused(c, err)
	}
	for _, settle := range owed {
		settle(err)
	}
}

// owe counts the change with all whom a failure of it must be reported to, and
// returns what takes it back from each.
func (c *change) owe() (owed []func(error)) {
	t := c.t
	count := func(b *behind, then func()) {
		b.add()
		owed = append(owed, func(err error) {
			b.done(err)
			then()
		})
	}
	dirs := map[*inode]bool{}
	for _, p := range c.places {
		dirs[p.d] = true
	}
	for _, n := range c.nodes {
		switch {
		case n.dir != nil:
			dirs[n] = true
		case n.attr.Mode.IsRegular():
			f := t.useFile(n)
			t.open[f] = struct{}{}
			count(&f.behind, f.rest)
		}
	}
	for d := range dirs {
		d.dir.pins++
		count(&d.dir.behind, func() {
			d.dir.pins--
			t.release(d)
		})
	}
	if len(c.places) > 0 || t.writes == WriteAsync {
		count(&t.behind, func() {})
	}
	return owed
}

// doubt has all be asked anew that a refused change was about.
func (c *change) doubt() {
	for _, p := range c.places {
		p.d.dir.listed = never
		if l := p.d.dir.listing; l != nil {
			l.void = true
		}
		c.t.noteEntry(p.d, p.text)
		c.t.noteAttr(p.d)
	}
	for _, n := range c.nodes {
		n.asked = never
		c.t.noteAttr(n)
	}
}

// refused takes note of a foretold change that the server did not carry out.
func (t *Tree) refused(c *change, err error) {
	if len(c.places) == 0 && t.writes != WriteAsync {
		return // reported by the file's next flush, as every write that fails
	}
	t.refusals++
	t.log.Error("a change was not carried out", slog.String("op", c.op), slog.Any("error", err))
}
