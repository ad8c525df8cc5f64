package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// Rename moves a name, over what has the new one if replace is set. 1 round
// trip, and another one before it where a file's data is not on the server
// yet: what has the new name then has the data. The inode stays the same; a
// replaced file that is open stays usable, as for Unlink. What was lost of the
// file's changes that nobody waited for is reported.
func (t *Tree) Rename(ctx context.Context, parent NodeID, text string, newParent NodeID, newText string, replace bool) error {
	for _, s := range []string{text, newText} {
		if err := checkName(s); err != nil {
			return t.fail("rename", nil, s, err)
		}
	}
	t.mu.Lock()
	defer t.unlock()
	from, err := t.dirNode(parent)
	if err != nil {
		return t.fail("rename", nil, text, err)
	}
	to, err := t.dirNode(newParent)
	if err != nil {
		return t.fail("rename", nil, newText, err)
	}
	for _, p := range []place{{from, text}, {to, newText}} {
		if t.fixed(p.d, p.text) {
			return t.fail("rename", p.d, p.text, conn.Busy)
		}
	}
	if err := t.delivered(ctx, from, text); err != nil {
		return err
	}

	if err := t.vacant(ctx, place{from, text}, place{to, newText}); err != nil {
		return err
	}
	foreseen := t.foresees(from) && t.foresees(to) && t.movable(t.has(from, text), to, newText, replace)
	var nodes []*inode
	if foreseen {
		nodes = append(nodes, from.dir.children[text].node)
		if nm := to.dir.children[newText]; nm != nil {
			nodes = append(nodes, nm.node) // keeps its path until the answer: see Tree.moved
		}
	}
	c := t.begin("rename", []place{{from, text}, {to, newText}}, nodes...)
	var f, replaced *file
	if nm := from.dir.children[text]; nm != nil {
		f = nm.node.file
		if nm.node.dir != nil {
			c.moved = nm.node
			c.void()
		}
	}
	if nm := to.dir.children[newText]; nm != nil {
		replaced = nm.node.file
	}
	oldPath, newPath := t.pathOf(from, text), t.pathOf(to, newText)
	start := func() *conn.Call[struct{}] {
		replaced.hold()
		return t.remote.Rename(oldPath, newPath, replace)
	}
	if foreseen {
		c.leaves(place{from, text})
		n := nodes[0]
		foretell(c, start, func() { t.renamed(c, from, text, to, newText) }, func(struct{}, instant) {}, func() { t.renamedBack(n, from, text, to, newText) })
		return nil
	}
	err = carry(ctx, c, start, func(struct{}) { t.renamed(c, from, text, to, newText) }, nil)
	if err != nil {
		return err
	}
	return t.settle(ctx, f)
}

// movable reports whether the server is known to rename a name, which is no
// directory's, in directories that the login user may change.
func (t *Tree) movable(nm *name, to *inode, newText string, replace bool) bool {
	if nm == nil || nm.node.dir != nil || len(nm.node.more) > 0 ||
		nm.in.attr.Mode&sticky != 0 && !t.ours(nm.node) && !t.ours(nm.in) {
		return false
	}
	if t.lacks(to, newText) {
		return true
	}
	there := t.has(to, newText)
	return replace && there != nil && there.node.dir == nil && there.node != nm.node &&
		(to.attr.Mode&sticky == 0 || t.ours(there.node) || t.ours(to))
}

// renamedBack undoes a rename that was foretold and refused. What it replaced
// is found again by asking.
func (t *Tree) renamedBack(n *inode, from *inode, text string, to *inode, newText string) {
	nm := to.dir.children[newText]
	if nm == nil || nm.node != n || from.dir.children[text] != nil {
		return
	}
	t.add(from, text, n, never)
	t.vanish(nm)
	t.moves++
	t.moved(n)
}

// RenamedUnheard says that nobody heard that the name at text was put there by a
// Rename, so that the kernel still has what was moved at its old place. A
// directory or link must not be at two places: what the kernel has becomes
// stale, and the new name leads to another inode. 0 round trips.
func (t *Tree) RenamedUnheard(parent NodeID, text string) {
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil {
		return
	}
	if nm := d.dir.children[text]; nm != nil && !nm.node.attr.Mode.IsRegular() {
		t.vanish(nm)
		d.dir.listed = never
	}
}

// delivered waits until the server has the data of a file that is about to get
// another name, or in async mode until all of it is on its way.
func (t *Tree) delivered(ctx context.Context, d *inode, text string) error {
	nm := d.dir.children[text]
	if nm == nil || nm.node.file == nil || !nm.node.file.dirty() {
		return nil
	}
	f := nm.node.file
	t.unlock()
	defer t.mu.Lock()
	if t.writes == WriteAsync {
		return f.content.Start(ctx) // the rename goes behind it
	}
	return f.content.Flush(ctx)
}

// renamed takes a rename into the tree.
func (t *Tree) renamed(c *change, from *inode, text string, to *inode, newText string) {
	nm, there := from.dir.children[text], to.dir.children[newText]
	if nm == nil {
		// Nobody looked it up here. What it is now will be asked.
		if there != nil {
			t.unnamed(there)
		}
		from.dir.listed, to.dir.listed = never, never
		return
	}
	n := nm.node
	if n.dir != nil && t.within(to, n) {
		// What only a server that lies can say.
		from.dir.listed, to.dir.listed = never, never
		return
	}
	links := 0
	if n.dir != nil {
		links = 1
	}
	if there != nil {
		if there.node == n {
			return // two names of one file: rename(2) leaves both
		}
		if n.attr.Nlink > 1 && there.node.attr.Nlink > 1 {
			// Perhaps two names of one file, made elsewhere: likewise.
			from.dir.listed = never
		}
		if there.node.dir != nil {
			links--
		}
		t.unnamed(there)
	}
	t.add(to, newText, n, c.began)
	t.detach(nm)
	t.bump(n)
	if from != to {
		t.touched(from, -boolInt(n.dir != nil))
		t.touched(to, links)
	} else {
		t.touched(to, links-boolInt(n.dir != nil))
	}
	t.moves++
	t.moved(n)
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// moved tells what is open in n, or below it, its present path; where changes
// of n are in flight, when they are answered: the server's path counts.
func (t *Tree) moved(n *inode) {
	if n.dir == nil {
		if n.changes > 0 {
			n.unmoved = true
			return
		}
		if n.file != nil {
			n.file.moved(t.path(n))
		}
		return
	}
	for f := range t.open {
		if t.within(f.n, n) {
			f.moved(t.path(f.n))
		}
	}
}
