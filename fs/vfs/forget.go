package vfs

import "strings"

// lruEntry is the place of a directory, or of a file's content, in the order of
// use. Tree.mu guards it.
type lruEntry struct {
	node       *inode
	prev, next *lruEntry // nil: not in the list
}

// lruList has the directories that have names in memory, or the files that have
// a content, the latest used first. Tree.mu guards it.
type lruList struct {
	head lruEntry
	len  int
}

func (l *lruList) touch(e *lruEntry) {
	if l.head.next == nil {
		l.head.next, l.head.prev = &l.head, &l.head
	}
	if l.head.next == e {
		return
	}
	l.remove(e)
	e.prev, e.next = &l.head, l.head.next
	e.prev.next, e.next.prev = e, e
	l.len++
}

func (l *lruList) remove(e *lruEntry) {
	if e.next == nil {
		return
	}
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
	l.len--
}

const (
	// slack is the share of MaxInodes, as a power of two, by which forgetting
	// goes below it and by which it waits for more to have changed: so that it
	// does not run for each new name.
	slack = 6
	// askedBack is the least number of names that the kernel is asked at a time
	// to let go; of a large table it is a share, so that a program that goes
	// through a larger tree does not outrun it.
	askedBack  = 4096
	askedShare = 4
	// maxContents bounds the files whose content is kept while nobody has them
	// open: each takes a kilobyte beside its bytes.
	maxContents = 65536
)

// weight is what counts against MaxInodes.
func (t *Tree) weight() int { return len(t.nodes) + t.texts }

// full reports whether no more inodes may be made.
func (t *Tree) full() bool { return t.weight() >= t.max }

// shrink forgets directories' names, those used longest ago first, while there
// are more than KeepInodes inodes. What the kernel refers to it is asked to let
// go; a later shrink then takes it. Directories are asked for only where half of
// the way to MaxInodes is gone: one that is somebody's working directory stays,
// but has no path until somebody looks it up again.
func (t *Tree) shrink() {
	t.pressure++
	if t.pressure > 1 && t.pressure <= t.keep>>slack && t.weight() <= t.shrunk+t.keep>>slack {
		return
	}
	t.pressure = 1
	asked := asking{left: max(askedBack, t.keep>>askedShare), dirs: t.weight() > (t.keep+t.max)/2}
	for e := t.lru.head.prev; e != nil && e != &t.lru.head && t.weight() > t.keep-t.keep>>slack; {
		d := e.node
		e = e.prev
		t.evict(d, &asked)
	}
	if t.shrunk = t.weight(); t.shrunk <= t.keep {
		t.pressure = 0
	}
}

// asking is what the kernel may still be asked to let go.
type asking struct {
	left int
	dirs bool // directories, too
}

// evict forgets the names in d that nobody refers to.
func (t *Tree) evict(d *inode, asked *asking) {
	dir := d.dir
	if dir.pins > 0 || dir.listing != nil || len(dir.changing) > 0 || len(dir.asking) > 0 {
		return
	}
	before := len(dir.children)
	for _, nm := range dir.children {
		n := nm.node
		if n.text.known() && n.text.weight > 0 {
			t.setText(n, nil)
		}
		switch {
		case n.file != nil && n.file.busy(), len(n.more) > 0, n.changes > 0:
		case n.dir != nil && (len(n.dir.children) > 0 || n.dir.pins > 0 || n.dir.listing != nil):
		case n.lookups == 0:
			t.detach(nm)
		case (n.dir == nil || asked.dirs) && asked.left > 0:
			asked.left--
			t.noteEntry(d, nm.text)
		}
	}
	if len(dir.children) < before {
		dir.listed = never
		dir.walk = dirWalk{turn: dir.walk.turn, seen: dir.walk.seen, ahead: dir.walk.ahead}
		dir.compact()
		dir.own()
	}
	if len(dir.children) == 0 {
		dir.children, dir.order = nil, nil
		t.lru.remove(&dir.lru)
	}
}

// own gives the names of a directory memory of their own, where few are left
// of those that came together: all names of an answer share one string.
func (d *dir) own() {
	if d.shared <= 2*len(d.children)+2 {
		return
	}
	children := make(map[string]*name, len(d.children))
	for _, nm := range d.children {
		nm.text = strings.Clone(nm.text)
		children[nm.text] = nm
	}
	d.children, d.shared = children, 0
}

// trim forgets the contents that were used longest ago, while there are more
// than maxContents.
func (t *Tree) trim() {
	e := t.contents.head.prev
	for range 16 { // those that are busy are passed by, not waited for
		if t.contents.len <= maxContents || e == nil || e == &t.contents.head {
			return
		}
		n := e.node
		e = e.prev
		if !n.file.busy() {
			t.dropContent(n)
		}
	}
}
