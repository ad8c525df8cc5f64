package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// question is one LSTAT in flight. Tree.mu guards it; err and void may be read
// once done is closed.
type question struct {
	asked instant
	void  bool // a local change began meanwhile: the answer proves nothing
	err   error
	done  chan struct{}
}

// ask asks the server for a name's attributes, once for all who wait for them.
// The answer is taken into the tree before done is closed.
func (t *Tree) ask(d *inode, text string, start instant) *question {
	if q := d.dir.asking[text]; q != nil && !q.void && t.fresh(q.asked, start) {
		return q
	}
	q := &question{asked: t.tick(), done: make(chan struct{})}
	if d.dir.asking == nil {
		d.dir.asking = map[string]*question{}
	}
	d.dir.asking[text] = q
	t.questions[q] = d
	path := t.pathOf(d, text)
	t.later = append(t.later, func() {
		t.remote.Lstat(path).Then(func(a conn.Attr, err error) {
			t.mu.Lock()
			defer t.unlock()
			if d.dir.asking[text] == q {
				delete(d.dir.asking, text)
			}
			delete(t.questions, q)
			q.err = err
			t.walk.heard = t.tick()
			t.overtaken(d, q.asked)
			if !q.void {
				q.err = t.answered(d, text, t.shownAs(d, text, a), err, q.asked)
			}
			close(q.done)
		})
	})
	return q
}

// answered takes the answer to an LSTAT into the tree, and returns its error or
// that there is no room for it.
func (t *Tree) answered(d *inode, text string, a conn.Attr, err error, asked instant) error {
	switch conn.KindOf(err) {
	case conn.NotExist, conn.NotDir:
		if nm := d.dir.children[text]; nm != nil && nm.asked < asked {
			t.vanish(nm)
		}
	default:
		if err == nil {
			return t.confirm(d, text, a, asked)
		}
	}
	return err
}

// confirm takes it that the server has a name with these attributes.
func (t *Tree) confirm(d *inode, text string, a conn.Attr, asked instant) error {
	nm := d.dir.children[text]
	if nm != nil && nm.asked < asked && nm.node.attr.Mode.Type() != a.Mode.Type() {
		t.vanish(nm)
		nm = nil
	}
	if nm == nil {
		if t.full() {
			return &conn.Error{Op: "lookup", Path: t.pathOf(d, text), Kind: conn.NoMemory}
		}
		t.add(d, text, t.newInode(t.pathOf(d, text), a, asked), asked)
		return nil
	}
	nm.asked = max(nm.asked, asked)
	t.learn(nm.node, a, asked, true)
	return nil
}

// vanish takes away a name that the server does not have any more, or has for
// something else.
func (t *Tree) vanish(nm *name) {
	if nm.node.lookups > 0 {
		t.noteEntry(nm.in, nm.text)
	}
	t.detach(nm)
}

// askAnchor asks for an anchor's attributes.
func (t *Tree) askAnchor(n *inode, start instant) *question {
	if q := t.asking[n]; q != nil && t.fresh(q.asked, start) {
		return q
	}
	q := &question{asked: t.tick(), done: make(chan struct{})}
	t.asking[n] = q
	path := t.path(n)
	t.later = append(t.later, func() {
		t.remote.Lstat(path).Then(func(a conn.Attr, err error) {
			t.mu.Lock()
			defer t.unlock()
			if t.asking[n] == q {
				delete(t.asking, n)
			}
			if err == nil && !a.Mode.IsDir() {
				err = &conn.Error{Op: "lstat", Path: path, Kind: conn.NotDir}
			}
			if q.err = err; err == nil {
				t.learn(n, a, q.asked, true)
			}
			close(q.done)
		})
	})
	return q
}

// tries bounds how often an operation asks again because local changes made
// the answers worthless. What those changes left is then good enough.
const tries = 4

// revalidate waits until n's attributes are fresh for an operation that began
// at start. 0 round trips where they are, else 1.
func (t *Tree) revalidate(ctx context.Context, n *inode, start instant) error {
	for range tries {
		if n.names == nil && !t.anchor(n) {
			if n.removed {
				return nil // here: its last attributes are what there is
			}
			return conn.Stale
		}
		known := func() bool {
			return t.fresh(n.asked, start) || n == t.root && t.kept() > 0 // ls of the directory beside looks at the mount point
		}
		if known() {
			return nil
		}
		var q *question
		var beside <-chan struct{}
		if t.anchor(n) {
			q = t.askAnchor(n, start)
		} else {
			d, text := n.names.in, n.names.text
			q = t.ask(d, text, start)
			t.askAhead(n.names, start)
			if n.dir != nil {
				t.attend(n, start)
			}
			beside = t.besideLookup(d, start)
		}
		if err := t.waitKnown(ctx, q.done, beside, known); err != nil || known() {
			return err
		}
		if q.isDone() && !q.void && q.err != nil {
			if conn.KindOf(q.err) == conn.NotExist {
				return conn.Stale // as a reference to it: looked up again, the name is missing
			}
			return q.err
		}
	}
	return nil
}

func (q *question) isDone() bool {
	select {
	case <-q.done:
		return true
	default:
		return false
	}
}
