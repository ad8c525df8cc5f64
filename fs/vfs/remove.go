package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// Unlink removes a name that is no directory. 1 round trip. A file that is open
// stays usable: where the server has not been asked for a handle yet, the
// asking goes out before. What was lost of the file's changes that nobody
// waited for is reported.
func (t *Tree) Unlink(ctx context.Context, parent NodeID, text string) error {
	return t.remove(ctx, "unlink", parent, text, t.remote.Unlink)
}

// Rmdir removes an empty directory. 1 round trip.
func (t *Tree) Rmdir(ctx context.Context, parent NodeID, text string) error {
	return t.remove(ctx, "rmdir", parent, text, t.remote.Rmdir)
}

func (t *Tree) remove(ctx context.Context, op string, parent NodeID, text string, start func(path string) *conn.Call[struct{}]) error {
	if err := checkName(text); err != nil {
		return t.fail(op, nil, text, err)
	}
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil {
		return t.fail(op, nil, text, err)
	}
	if t.fixed(d, text) {
		return t.fail(op, d, text, conn.Busy)
	}
	if err := t.vacant(ctx, place{d, text}); err != nil {
		return err
	}
	places, nodes := []place{{d, text}}, []*inode(nil)
	var f *file
	if nm := d.dir.children[text]; nm != nil {
		f = nm.node.file
		nodes = append(nodes, nm.node)
	}
	foreseen := t.foresees(d) && t.removable(op, t.has(d, text))
	c := t.begin(op, places, nodes...)
	path := t.pathOf(d, text)
	send := func() *conn.Call[struct{}] {
		f.hold()
		return start(path)
	}
	if foreseen {
		c.leaves(places[0])
		foretell(c, send, func() { t.removed(d, text) }, func(struct{}, instant) {}, func() {})
		return nil
	}
	err = carry(ctx, c, send, func(struct{}) { t.removed(d, text) }, nil)
	if k := conn.KindOf(err); k == conn.NotExist && err != nil {
		if nm := d.dir.children[text]; nm != nil {
			t.vanish(nm)
		}
	}
	if err != nil {
		return err
	}
	return t.settle(ctx, f)
}

// removable reports whether the server is known to remove a name in a directory
// that the login user may change.
func (t *Tree) removable(op string, nm *name) bool {
	if nm == nil {
		return false
	}
	d := nm.node.dir
	if op == "unlink" {
		return d == nil && (nm.in.attr.Mode&sticky == 0 || t.ours(nm.node) || t.ours(nm.in))
	}
	return d != nil && len(d.children) == 0 && t.fresh(d.listed, t.tick()) && d.behind.lost == nil
}

// sticky on a directory lets only owners remove what is in it.
const sticky conn.Mode = 0o1000

// removed takes a name away that was removed here.
func (t *Tree) removed(d *inode, text string) {
	links := 0
	if nm := d.dir.children[text]; nm != nil {
		n := nm.node
		if n.dir != nil {
			links = -1
		}
		t.unnamed(nm)
	}
	t.touched(d, links)
}

// unnamed takes a name from an inode that may live on without it.
func (t *Tree) unnamed(nm *name) {
	n := nm.node
	switch {
	case n.dir != nil:
		n.attr.Nlink = 0
	case n.attr.Nlink > 0:
		n.attr.Nlink--
	}
	t.bump(n)
	if n.names == nm && len(n.more) == 0 {
		n.removed = true
	}
	t.detach(nm)
	t.moved(n)
}
