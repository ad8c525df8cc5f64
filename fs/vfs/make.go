package vfs

import (
	"context"
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

// Mkdir makes a directory and takes a reference to it. 1 round trip.
func (t *Tree) Mkdir(ctx context.Context, parent NodeID, text string, perm conn.Mode) (Entry, error) {
	return t.make(ctx, "mkdir", parent, text, func(path string) *conn.Call[conn.Attr] {
		return t.remote.Mkdir(path, perm.Perm())
	}, nil)
}

// Symlink makes a symbolic link with this text, as programs here see it, and
// takes a reference to it. 1 round trip.
func (t *Tree) Symlink(ctx context.Context, parent NodeID, text, to string) (Entry, error) {
	if to == "" || len(to) > maxText || strings.IndexByte(to, 0) >= 0 {
		return Entry{}, t.fail("symlink", nil, text, conn.Invalid)
	}
	to = t.storedText(parent, to)
	return t.make(ctx, "symlink", parent, text, func(path string) *conn.Call[conn.Attr] {
		return t.remote.Symlink(to, path)
	}, func(n *inode) {
		t.setText(n, &linkText{asked: t.tick(), done: make(chan struct{})})
		t.told(n, n.text, to, nil)
	})
}

// make makes a new inode with a new name. start sends the request, and made,
// where not nil, is told the inode.
func (t *Tree) make(ctx context.Context, op string, parent NodeID, text string, start func(path string) *conn.Call[conn.Attr], made func(*inode)) (e Entry, err error) {
	if err := checkName(text); err != nil {
		return e, t.fail(op, nil, text, err)
	}
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil {
		return e, t.fail(op, nil, text, err)
	}
	switch {
	case t.fixed(d, text):
		return e, t.fail(op, d, text, conn.Exist)
	case t.full():
		return e, t.fail(op, d, text, conn.NoMemory)
	}
	c := t.begin(op, []place{{d, text}})
	path := t.pathOf(d, text)
	var nm *name
	err = carry(ctx, c, func() *conn.Call[conn.Attr] { return start(path) }, func(a conn.Attr) {
		nm = t.made(c, a)
		if made != nil {
			made(nm.node)
		}
		nm.node.lookups++
	}, func() { t.drop(nm.node) })
	if err != nil {
		return e, err
	}
	if err := t.knowText(ctx, nm.node, c.began, 0); err != nil {
		t.drop(nm.node)
		return e, err
	}
	return t.entry(nm), nil
}

// made takes a new inode of a change's only place into the tree.
func (t *Tree) made(c *change, a conn.Attr) *name {
	p := c.places[0]
	links := 0
	switch {
	case a.Mode.IsDir():
		links = 1
	case a.Mode.IsSymlink() || a.Mode.IsRegular():
		a.Nlink = max(a.Nlink, 1)
	}
	if old := p.d.dir.children[p.text]; old != nil {
		t.vanish(old) // the server had lost it
	}
	t.clock.sample(c.sent, t.now(), a.Mtime)
	n := t.newInode(t.pathOf(p.d, p.text), a, c.began)
	if n.dir != nil {
		n.dir.listed = c.began // empty
		if a.Nlink == 0 {
			n.attr.Nlink = 2
		}
	}
	t.touched(p.d, links)
	nm := t.add(p.d, p.text, n, c.began)
	return nm
}

// drop gives one reference back.
func (t *Tree) drop(n *inode) {
	n.lookups--
	t.release(n)
}

// Link gives a file another name and takes a reference to it. The names share
// the inode, except those of a symbolic link: what it shows depends on where it
// stands. 1 round trip.
func (t *Tree) Link(ctx context.Context, id, parent NodeID, text string) (e Entry, err error) {
	if err := checkName(text); err != nil {
		return e, t.fail("link", nil, text, err)
	}
	t.mu.Lock()
	defer t.unlock()
	n, err := t.node(id)
	if err != nil {
		return e, t.failed("link", nil, err)
	}
	d, err := t.dirNode(parent)
	if err != nil {
		return e, t.fail("link", nil, text, err)
	}
	old, path := t.path(n), t.pathOf(d, text)
	switch {
	case n.dir != nil || t.wayBack(n):
		return e, t.failed("link", n, conn.NotPermitted)
	case t.fixed(d, text):
		return e, t.fail("link", d, text, conn.Exist)
	case old == "":
		return e, t.fail("link", d, text, conn.NotExist)
	case t.full():
		return e, t.fail("link", d, text, conn.NoMemory)
	}
	c := t.begin("link", []place{{d, text}}, n)
	var nm *name
	err = carry(ctx, c, func() *conn.Call[conn.Attr] { return t.remote.Link(old, path) }, func(conn.Attr) {
		if there := d.dir.children[text]; there != nil {
			t.vanish(there)
		}
		n.attr.Nlink = max(n.attr.Nlink, 1) + 1
		t.bump(n)
		t.touched(d, 0)
		if t.contain && n.attr.Mode.IsSymlink() {
			n = t.newInode(path, n.attr, c.began)
		}
		nm = t.add(d, text, n, c.began)
		n.lookups++
	}, func() { t.drop(n) })
	if err != nil {
		return e, err
	}
	if err := t.knowText(ctx, n, c.began, 0); err != nil {
		t.drop(n)
		return e, err
	}
	return t.entry(nm), nil
}
