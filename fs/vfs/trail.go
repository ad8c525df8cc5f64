package vfs

// The trail is the order in which programs came to directories, each told once
// in a TTL: every directory knows which one came after it. It serves those who
// come again but go no way that a tree tells: git looks into .git, refs, a few
// objects and then its files; a compiler, an editor and a test runner have such
// rounds of their own. When a program comes to two directories in the order of
// the last time, those that followed then are listed ahead, many at once, within
// the walker's window and budget.

// arrive takes note that a program came to d, and lists ahead where it went
// from here the last time. Tree.mu is held.
func (t *Tree) arrive(d *inode, start instant) {
	w := &d.dir.walk
	if t.fresh(w.arrived, start) {
		return
	}
	last := t.walk.trail
	t.walk.trail, w.arrived = d, start
	if last == nil || last == d {
		return
	}
	again := last.dir.walk.next == d
	last.dir.walk.next = d
	if again {
		t.followTrail(d, start)
	}
}

// followTrail lists ahead what comes after d on the trail.
func (t *Tree) followTrail(d *inode, start instant) {
	w, near := &t.walk.dirs, 0
	for n := d.dir.walk.next; n != nil && n != d && t.nodes[n.id] == n && !t.fresh(n.dir.walk.arrived, start); n = n.dir.walk.next {
		if near >= w.size || w.unused >= maxBudget || w.budget <= 0 {
			return
		}
		if n.names == nil && n != t.root {
			return // it was removed
		}
		if t.listAhead(n, start, true); n.dir.walk.ahead {
			near++
		}
	}
}
