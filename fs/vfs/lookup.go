package vfs

import (
	"context"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Lookup finds a name and takes a reference to its inode. A missing name is an
// Entry without Node where that may be cached, and the error NotExist where it
// may not.
//
// 0 round trips for names that are fresh, and for missing ones in a directory
// whose listing is; else 1: an LSTAT, with the directory's listing beside it
// that answers the next lookups. A symbolic link whose text is not known is 1
// more, with the texts of its neighbours.
func (t *Tree) Lookup(ctx context.Context, parent NodeID, text string) (Entry, error) {
	if err := checkName(text); err != nil {
		return Entry{}, t.fail("lookup", nil, text, err)
	}
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil {
		return Entry{}, t.fail("lookup", nil, text, err)
	}
	if t.hidden(d, text) {
		return t.lookOutside(ctx)
	}
	nm, asked, err := t.find(ctx, d, text)
	switch {
	case err != nil:
		return Entry{}, t.fail("lookup", d, text, err)
	case nm != nil:
		return t.reference(nm), nil
	}
	if valid := t.valid(asked); valid > 0 {
		return Entry{Valid: valid}, nil
	}
	return Entry{}, t.fail("lookup", d, text, conn.NotExist)
}

// find returns a fresh name, or nil and when it was found missing.
func (t *Tree) find(ctx context.Context, d *inode, text string) (*name, instant, error) {
	start := t.tick()
	t.walkLookup(d, start)
	d.dir.pins++
	defer func() { d.dir.pins-- }()
	woken := false
	for try := 0; ; try++ {
		nm := d.dir.children[text]
		switch {
		case nm != nil && t.fresh(nm.asked, start) && t.fresh(nm.node.asked, start), nm != nil && try == tries:
			if err := t.knowText(ctx, nm.node, start, aheadSome); err != nil {
				return nil, never, err
			}
			if nm.in != d && try < tries {
				continue // taken away meanwhile
			}
			d.dir.uses++
			return nm, nm.asked, nil
		case nm == nil && (t.fresh(d.dir.listed, start) || try == tries):
			d.dir.uses++
			return nil, d.dir.listed, nil
		}
		unknown := t.ttl == 0 || nm == nil || nm.asked == never || nm.node.asked == never
		if unknown {
			t.need()
		}
		q := t.ask(d, text, start)
		t.askAhead(nm, start)
		known := func() bool {
			nm := d.dir.children[text]
			return nm != nil && t.fresh(nm.asked, start) && t.fresh(nm.node.asked, start) || nm == nil && t.fresh(d.dir.listed, start)
		}
		if err := t.waitKnown(ctx, q.done, t.besideLookup(d, start), known); err != nil {
			return nil, never, err
		}
		if !q.isDone() || known() || q.void || q.err == nil {
			continue
		}
		if k := conn.KindOf(q.err); k != conn.NotExist {
			if unknown && t.wakes(q.err, &woken) {
				continue
			}
			return nil, never, q.err
		}
		if d.dir.children[text] == nil {
			return nil, q.asked, nil
		}
	}
}

// reference makes the entry of a name, with a reference to its inode.
func (t *Tree) reference(nm *name) Entry {
	nm.node.lookups++
	return t.entry(nm)
}

func (t *Tree) entry(nm *name) Entry {
	return Entry{Node: nm.node.id, Attr: t.show(nm.node), Valid: t.valid(min(nm.asked, nm.node.asked))}
}

// GetAttr returns attributes. 0 round trips where they are fresh, else 1, as
// for Lookup. A file that was removed while it is open shows what was last
// known of it. h may be nil.
func (t *Tree) GetAttr(ctx context.Context, id NodeID, h *Handle) (Attr, error) {
	t.mu.Lock()
	defer t.unlock()
	n, err := t.node(id)
	if err == nil {
		start := t.tick()
		if err = t.revalidate(ctx, n, start); err == nil {
			err = t.knowText(ctx, n, start, aheadSome)
		}
	}
	if err != nil {
		return Attr{}, t.failed("getattr", n, err)
	}
	return t.show(n), nil
}

// show returns n's attributes as programs see them.
func (t *Tree) show(n *inode) Attr {
	a := Attr{
		Ino: n.ino, Size: n.attr.Size, Mode: n.attr.Mode, Nlink: n.attr.Nlink,
		UID: n.attr.UID, GID: n.attr.GID,
		Atime: time.Unix(n.attr.Atime, 0), Mtime: time.Unix(n.attr.Mtime, 0),
		Valid: t.valid(n.asked),
	}
	if l := n.text; t.contain && l.known() && l.err == nil {
		a.Size = int64(len(l.shown))
		if l.looked {
			a.Valid = min(a.Valid, t.valid(l.asked))
		}
	}
	if f := n.file; f != nil && f.content != nil {
		a.Size = f.content.Size()
		if f.wrote {
			a.Valid = 0 // the next write, or the server, makes it another
		}
	}
	a.Blocks = a.Size/512 + (a.Size%512+511)/512 // whose sum may be beyond int64
	a.Ctime = a.Mtime
	if c := time.Unix(0, n.ctime); n.ctime != 0 && c.After(a.Mtime) {
		a.Ctime = c
	}
	if n.removed {
		a.Valid = 0
	} else if a.Nlink == 0 {
		a.Nlink = 1 // nobody told: 1 is also what says "not counted" of a directory
	}
	return a
}

// fail gives an error of a name its operation and path, unless it has them.
func (t *Tree) fail(op string, d *inode, text string, err error) error {
	if _, ok := err.(conn.Kind); !ok || err == nil {
		return err
	}
	path := text
	if d != nil {
		path = t.pathOf(d, text)
	}
	return &conn.Error{Op: op, Path: path, Kind: err.(conn.Kind)}
}

// failed is fail for an inode, which may be nil.
func (t *Tree) failed(op string, n *inode, err error) error {
	if _, ok := err.(conn.Kind); !ok || err == nil {
		return err
	}
	path := ""
	if n != nil {
		path = t.path(n)
	}
	return &conn.Error{Op: op, Path: path, Kind: err.(conn.Kind)}
}
