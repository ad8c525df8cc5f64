package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs/content"
)

// Create makes a regular file and opens it; without OpenExcl it opens what is
// there already. It takes a reference. 1 round trip.
func (t *Tree) Create(ctx context.Context, parent NodeID, text string, flags conn.OpenFlags, perm conn.Mode) (e Entry, h *Handle, err error) {
	if err := checkName(text); err != nil {
		return e, nil, t.fail("create", nil, text, err)
	}
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil {
		return e, nil, t.fail("create", nil, text, err)
	}
	if err := t.vacant(ctx, place{d, text}); err != nil {
		return e, nil, err
	}
	switch {
	case t.fixed(d, text):
		return e, nil, t.fail("create", d, text, conn.Exist)
	case t.full() && d.dir.children[text] == nil:
		return e, nil, t.fail("create", d, text, conn.NoMemory)
	case !t.mayOpen():
		return e, nil, t.fail("create", d, text, conn.TooManyOpen)
	}
	t.opening++
	defer func() { t.opening-- }()
	flags |= conn.OpenCreate
	foreseen := t.foresees(d) && t.lacks(d, text) && flags&conn.OpenAppend == 0
	c := t.begin("create", []place{{d, text}})
	path := t.pathOf(d, text)
	var remote conn.File
	var nm *name
	// A create that nobody waits for excludes others here alone: an answer that is
	// lost with a connection must not take what was written with it.
	sent := flags
	if foreseen {
		sent &^= conn.OpenExcl
	}
	start := func() *conn.Call[conn.Attr] {
		f, opened := t.remote.Open(path, sent, perm.Perm())
		remote = f
		return opened
	}
	take := func(a conn.Attr) {
		nm = t.created(c, a, flags)
		nm.node.lookups++
		h = t.newHandle(nm.node, flags, func(f *content.File) bool { return f.Attach(remote, flags, a, t.at(c.began)) })
	}
	if foreseen {
		foretell(c, start, func() {
			take(t.newAttr(d, conn.TypeRegular|perm.Perm()))
			c.made = nm
		},
			t.asForetold(c, &nm), func() { t.unmade(nm) })
		return t.entry(nm), h, nil
	}
	err = carry(ctx, c, start, func(a conn.Attr) {
		if t.has(d, text) == nil {
			t.clock.sample(c.sent, t.now(), a.Mtime)
		}
		take(a)
	}, func() {
		t.later = append(t.later, h.Release)
		t.drop(nm.node)
	})
	if err != nil {
		return e, nil, err
	}
	return t.entry(nm), h, nil
}

// created takes the answer to an open with OpenCreate into the tree.
func (t *Tree) created(c *change, a conn.Attr, flags conn.OpenFlags) *name {
	p := c.places[0]
	nm := p.d.dir.children[p.text]
	if nm == nil || flags&conn.OpenExcl != 0 || nm.node.attr.Mode.Type() != a.Mode.Type() {
		// Where the server had it and we did not know, the directory's time and
		// the clock's sample are a little off.
		return t.made(c, a)
	}
	nm.asked = c.began
	t.learn(nm.node, a, c.began, true)
	return nm
}

// Open opens a regular file. 0 round trips for reading where the whole content
// is cached, the attributes are fresh and the server has let us read it before;
// else 1, in which an O_TRUNC goes along.
func (t *Tree) Open(ctx context.Context, id NodeID, flags conn.OpenFlags) (*Handle, error) {
	flags &^= conn.OpenCreate | conn.OpenExcl
	t.mu.Lock()
	defer t.unlock()
	n, err := t.node(id)
	if err != nil {
		return nil, t.failed("open", nil, err)
	}
	switch n.attr.Mode.Type() {
	case conn.TypeRegular:
	case conn.TypeDir:
		return nil, t.failed("open", n, conn.IsDir)
	case conn.TypeSymlink:
		return nil, t.failed("open", n, conn.LinkLoop)
	default:
		return nil, t.failed("open", n, conn.Unsupported)
	}
	if !t.mayOpen() {
		return nil, t.failed("open", n, conn.TooManyOpen)
	}
	t.opening++
	defer func() { t.opening-- }()
	start := t.tick()
	t.walkOpen(n, flags)
	f := t.fileOf(n)
	if err := t.awaitAhead(ctx, f, flags); err != nil {
		return nil, err
	}
	if f.serves(flags, start) {
		return t.newHandle(n, flags, nil), nil
	}
	path := t.path(n)
	if path == "" {
		return t.openUnnamed(n, flags)
	}
	if flags&conn.OpenTrunc != 0 && f.dirty() {
		t.unlock()
		err := f.content.Flush(ctx) // what is in flight must not land behind the truncation
		t.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
	return t.openRemote(ctx, n, path, flags)
}

// mayOpen reports whether one more file or directory may be open.
func (t *Tree) mayOpen() bool { return t.handles+t.opening < t.maxOpen }

// serves reports whether an open needs nothing of the server.
func (f *file) serves(flags conn.OpenFlags, start instant) bool {
	return flags&^conn.OpenBackground == conn.OpenRead && f.mayRead() && f.t.fresh(f.n.asked, start) &&
		f.here()
}

// openUnnamed opens a file that has no name any more but is open, as through
// /proc/self/fd.
func (t *Tree) openUnnamed(n *inode, flags conn.OpenFlags) (*Handle, error) {
	if n.file.handles == 0 || flags != conn.OpenRead {
		return nil, t.failed("open", n, conn.Stale)
	}
	return t.newHandle(n, flags, nil), nil
}

func (t *Tree) openRemote(ctx context.Context, n *inode, path string, flags conn.OpenFlags) (h *Handle, err error) {
	var nodes []*inode
	if flags&conn.OpenTrunc != 0 {
		nodes = append(nodes, n)
	}
	c := t.begin("open", nil, nodes...)
	var remote conn.File
	err = carry(ctx, c, func() *conn.Call[conn.Attr] {
		f, opened := t.remote.Open(path, flags, 0)
		remote = f
		return opened
	}, func(a conn.Attr) {
		t.opened(n, a, c, flags)
		h = t.newHandle(n, flags, func(f *content.File) bool { return f.Attach(remote, flags, a, t.at(c.began)) })
	}, func() { t.later = append(t.later, h.Release) })
	if conn.KindOf(err) == conn.NotExist && err != nil && n.names != nil {
		t.vanish(n.names)
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// opened takes the answer to an open into the tree.
func (t *Tree) opened(n *inode, a conn.Attr, c *change, flags conn.OpenFlags) {
	asked := c.began
	if flags&conn.OpenTrunc != 0 {
		asked = n.settled // the change is ours: these attributes are what it made
		n.file.wrote = false
	}
	t.learn(n, a, asked, true)
	if n.names != nil {
		n.names.asked = max(n.names.asked, c.began)
	}
	if flags&conn.OpenRead != 0 {
		n.file.readAllowed(a)
	}
}
