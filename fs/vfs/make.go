package vfs

import (
	"context"
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

// Mkdir makes a directory and takes a reference to it. 1 round trip.
func (t *Tree) Mkdir(ctx context.Context, parent NodeID, text string, perm conn.Mode) (Entry, error) {
	return t.make(ctx, "mkdir", parent, text, conn.TypeDir|perm.Perm(), func(path string) *conn.Call[conn.Attr] {
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
	return t.make(ctx, "symlink", parent, text, conn.TypeSymlink|0o777, func(path string) *conn.Call[conn.Attr] {
		return t.remote.Symlink(to, path)
	}, func(n *inode) {
		t.setText(n, &linkText{asked: t.tick(), done: make(chan struct{})})
		t.told(n, n.text, to, nil)
	})
}

// make makes a new inode of this mode with a new name. start sends the request,
// and made, where not nil, is told the inode.
func (t *Tree) make(ctx context.Context, op string, parent NodeID, text string, mode conn.Mode, start func(path string) *conn.Call[conn.Attr], made func(*inode)) (e Entry, err error) {
	if err := checkName(text); err != nil {
		return e, t.fail(op, nil, text, err)
	}
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil {
		return e, t.fail(op, nil, text, err)
	}
	if err := t.vacant(ctx, place{d, text}); err != nil {
		return e, err
	}
	switch {
	case t.fixed(d, text):
		return e, t.fail(op, d, text, conn.Exist)
	case t.full():
		return e, t.fail(op, d, text, conn.NoMemory)
	}
	foreseen := t.foresees(d) && t.lacks(d, text)
	c := t.begin(op, []place{{d, text}})
	path := t.pathOf(d, text)
	var nm *name
	if foreseen {
		c.makes = path
		foretell(c, func() *conn.Call[conn.Attr] { return start(path) }, func() {
			nm = t.made(c, t.newAttr(d, mode))
			if made != nil {
				made(nm.node)
			}
			nm.node.lookups++
			c.made = nm
		}, t.asForetold(c, &nm), func() { t.unmade(nm) })
		if err := t.knowText(ctx, nm.node, c.began, 0); err != nil {
			t.drop(nm.node)
			return e, err
		}
		return t.entry(nm), nil
	}
	err = carry(ctx, c, func() *conn.Call[conn.Attr] { return start(path) }, func(a conn.Attr) {
		t.clock.sample(c.sent, t.now(), a.Mtime)
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

// newAttr is what a new file, directory or link in d will be like.
func (t *Tree) newAttr(d *inode, mode conn.Mode) conn.Attr {
	now := t.clock.now(t.now()).Unix()
	a := conn.Attr{Mode: mode, UID: t.info.UID, GID: t.info.GID, Mtime: now, Atime: now, Nlink: 1}
	if d.attr.Mode&setGID != 0 {
		a.GID = d.attr.GID
		if a.Mode.IsDir() {
			a.Mode |= setGID
		}
	}
	if a.Mode.IsDir() {
		a.Nlink, a.Size = 2, 4096
	}
	return a
}

// setGID on a directory gives what is made in it the directory's group.
const setGID conn.Mode = 0o2000

// asForetold takes the answer to a making that was foretold.
func (t *Tree) asForetold(c *change, nm **name) func(conn.Attr, instant) {
	return func(a conn.Attr, asked instant) {
		t.clock.sample(c.sent, t.now(), a.Mtime)
		t.learn((*nm).node, a, asked, true)
	}
}

// unmade takes back a name that the server refused to make.
func (t *Tree) unmade(nm *name) {
	if nm.in != nil {
		t.vanish(nm)
	}
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
	if err := t.vacant(ctx, place{d, text}); err != nil {
		return e, err
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
	foreseen := t.foresees(d) && t.lacks(d, text) && t.info.Links && t.ours(n) && !n.attr.Mode.IsSymlink()
	c := t.begin("link", []place{{d, text}}, n)
	var nm *name
	start := func() *conn.Call[conn.Attr] { return t.remote.Link(old, path) }
	linked := func(conn.Attr) {
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
	}
	if foreseen {
		c.makes = path
		foretell(c, start, func() {
			linked(conn.Attr{})
			c.made = nm
		}, func(conn.Attr, instant) {}, func() { t.unmade(nm) })
		return t.entry(nm), nil
	}
	if err := carry(ctx, c, start, linked, func() { t.drop(n) }); err != nil {
		return e, err
	}
	if err := t.knowText(ctx, n, c.began, 0); err != nil {
		t.drop(n)
		return e, err
	}
	return t.entry(nm), nil
}
