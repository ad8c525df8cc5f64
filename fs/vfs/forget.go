package vfs

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
	// askedBack bounds how many names the kernel is asked at a time to let go.
	askedBack = 4096
	// maxContents bounds the files whose content is kept while nobody has them
	// open: each takes a kilobyte beside its bytes.
	maxContents = 65536
)

// shrink forgets directories' names, those used longest ago first, while there
// are more than MaxInodes inodes. What the kernel refers to it is asked to let
// go, except directories, which may be somebody's working directory; a later
// shrink then takes it.
func (t *Tree) shrink() {
	if t.pressure++; t.pressure <= t.max>>slack && t.pressure > 1 {
		return
	}
	t.pressure = 1
	notes := 0
	for e := t.lru.head.prev; e != nil && e != &t.lru.head && len(t.nodes) > t.max-t.max>>slack; {
		d := e.node
		e = e.prev
		t.evict(d, &notes)
	}
	if len(t.nodes) <= t.max {
		t.pressure = 0
	}
}

// evict forgets the names in d that nobody refers to.
func (t *Tree) evict(d *inode, notes *int) {
	dir := d.dir
	if dir.pins > 0 || dir.listing != nil || len(dir.changing) > 0 || len(dir.asking) > 0 {
		return
	}
	before := len(dir.children)
	for _, nm := range dir.children {
		n := nm.node
		switch {
		case n.file != nil && n.file.busy(), len(n.more) > 0, n.changes > 0:
		case n.dir != nil && (len(n.dir.children) > 0 || n.dir.pins > 0 || n.dir.listing != nil):
		case n.lookups == 0:
			t.detach(nm)
		case n.dir == nil && *notes < askedBack:
			*notes++
			t.noteEntry(d, nm.text)
		}
	}
	if len(dir.children) < before {
		dir.listed = never
		dir.walk = dirWalk{turn: dir.walk.turn, seen: dir.walk.seen, ahead: dir.walk.ahead}
		dir.compact()
	}
	if len(dir.children) == 0 {
		dir.children, dir.order = nil, nil
		t.lru.remove(&dir.lru)
	}
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
