package vfs

// The trail is the order in which programs came to directories, each told once
// in a TTL: every directory knows which one came after it. It serves those who
// come again but go no way that a tree tells: git looks into .git, refs, a few
// objects and then its files; a compiler, an editor and a test runner have such
// rounds of their own. When a program comes to two directories in the order of
// the last time, those that followed then are listed ahead, many at once, within
// the walker's window and budget. Where a program comes first, after a time in
// which none came anywhere, the same is done on the strength of that alone; if
// it then goes another way, not again from there until the trail was right.

// arrive takes note that a program came to d, and lists ahead where it went
// from here the last time. Tree.mu is held.
func (t *Tree) arrive(d *inode, start instant) {
	w := &d.dir.walk
	if t.fresh(w.arrived, start) {
		return
	}
	last, first := t.walk.trail, !t.fresh(t.walk.arrived, start)
	t.walk.trail, t.walk.arrived, w.arrived = d, start, start
	again := false
	if last != nil && last != d {
		again = last.dir.walk.next == d
		last.dir.walk.next = d
		last.dir.walk.guessed = last.dir.walk.guessed && !again
	}
	if again || first && t.guesses(d, start) {
		t.followTrail(d, start)
	}
}

// attend is told that a program has to wait for a directory's attributes, which
// is what many do before they go there. Tree.mu is held.
func (t *Tree) attend(d *inode, start instant) {
	if t.ttl == 0 || t.fresh(t.walk.arrived, start) || t.fresh(d.dir.walk.arrived, start) || !t.guesses(d, start) {
		return
	}
	t.walk.restart(start, instant(t.ttl))
	t.expire(start)
	t.listAhead(d, start, true)
	t.followTrail(d, start)
}

// guesses reports whether it is worth a guess that a program goes from d where
// the last one went. Who comes back after a while looks at the root, too.
func (t *Tree) guesses(d *inode, start instant) bool {
	w := &d.dir.walk
	if w.guessed || w.next == nil {
		return false
	}
	w.guessed = true
	if !t.fresh(t.root.asked, start) {
		t.askAnchor(t.root, start)
	}
	return true
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
