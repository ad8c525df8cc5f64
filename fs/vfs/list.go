package vfs

import (
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// listing is one List in flight. Tree.mu guards it; err may be read once done
// is closed.
type listing struct {
	asked    instant
	max      int // 0: all
	class    conn.Class
	excluded map[string]struct{} // names of which it proves nothing: changed here meanwhile
	void     bool                // proves nothing at all: the directory was moved here meanwhile
	err      error
	done     chan struct{}
}

const (
	// besideMax bounds a listing that nobody asked for in full: twenty packets
	// or so, a few hundred kilobytes.
	besideMax = 2000
	// smallDir is what one packet of a listing holds: it costs no more than the
	// LSTATs of two names.
	smallDir = 100
	// chunk is how many entries are taken in before others get their turn.
	chunk = 4096
	// refusedFor is how long a directory that could not be listed is left
	// alone by listings that nobody waits for.
	refusedFor = instant(30 * time.Second)
)

// list asks the server for a directory's entries, up to max (0: all). There is
// one listing of a directory at a time. The answer is taken into the tree
// before done is closed.
func (t *Tree) list(d *inode, max int, class conn.Class) *listing {
	l := &listing{asked: t.tick(), max: max, class: class, excluded: map[string]struct{}{}, done: make(chan struct{})}
	for text := range d.dir.changing {
		l.excluded[text] = struct{}{}
	}
	d.dir.listing = l
	t.listings[l] = d
	path := t.path(d)
	t.later = append(t.later, func() {
		t.remote.List(path, max, class).Then(func(ls conn.Listing, err error) {
			if len(ls.Entries) <= chunk || !t.goes(func() { t.listed(d, l, ls, err) }) {
				t.listed(d, l, ls, err)
			}
		})
	})
	return l
}

// besideLookup starts the listing that goes with a lookup which had to ask:
// whoever looks up one name looks up others. It returns what tells its end.
func (t *Tree) besideLookup(d *inode, start instant) <-chan struct{} {
	dir := d.dir
	switch {
	case dir.listing != nil:
		return dir.listing.done
	case t.ttl == 0 || dir.huge || t.fresh(dir.listed, start):
		return nil
	case dir.refused != never && start-dir.refused < refusedFor:
		return nil
	case dir.listed != never && len(dir.children) > smallDir && dir.uses < 2:
		return nil // the last one was hardly used
	}
	return t.list(d, besideMax, conn.Foreground).done
}

// listed takes a listing into the tree.
func (t *Tree) listed(d *inode, l *listing, ls conn.Listing, err error) {
	t.mu.Lock()
	defer t.unlock()
	if err == nil && l.max == 0 && !ls.Complete {
		err = &conn.Error{Op: "readdir", Path: t.path(d), Kind: conn.NoMemory}
	}
	if err == nil && !l.void {
		err = t.takeListing(d, l, &ls)
	}
	if d.dir.listing == l {
		d.dir.listing = nil
	}
	delete(t.listings, l)
	l.err = err
	if err != nil && !l.void {
		d.dir.refused = l.asked
		if k := conn.KindOf(err); (k == conn.NotExist || k == conn.NotDir) && d.names != nil {
			d.asked, d.names.asked, d.dir.listed = never, never, never
		}
	}
	close(l.done)
	if err == nil && l.class == conn.Background {
		t.textsAhead(d)
	}
	t.walk.heard = t.tick()
	t.walkListed(d, l)
}

// takeListing makes the directory what the listing says it is, except for
// names of which something newer is known. Where there is no room for all, what
// was taken stays.
func (t *Tree) takeListing(d *inode, l *listing, ls *conn.Listing) error {
	dir := d.dir
	base := t.path(d)
	if base == "" {
		return nil
	}
	order := make([]*name, 0, len(ls.Entries)+len(dir.changing))
	kept := map[*name]struct{}{} // in order, but not confirmed by this listing
	if dir.children == nil && len(ls.Entries) > 0 {
		dir.children = make(map[string]*name, len(ls.Entries))
	}
	for i := range ls.Entries {
		if i%chunk == chunk-1 || t.full() && dir.children[ls.Entries[i].Name] == nil {
			t.unlock() // which makes room, too
			t.mu.Lock()
			if l.void {
				return nil
			}
		}
		e := &ls.Entries[i]
		if t.hidden(d, e.Name) {
			ls.Unusable++
			continue
		}
		e.Attr = t.shownAs(d, e.Name, e.Attr)
		nm := dir.children[e.Name]
		_, excluded := l.excluded[e.Name]
		switch {
		case nm != nil && nm.asked == l.asked:
			continue // the server told the name twice
		case excluded || nm != nil && nm.asked > l.asked:
			if nm != nil {
				order, kept[nm] = append(order, nm), struct{}{}
			}
			continue
		case nm != nil && nm.node.attr.Mode.Type() != e.Attr.Mode.Type():
			t.vanish(nm)
			nm = nil
		}
		if nm == nil {
			if t.full() {
				t.lru.touch(&dir.lru)
				return &conn.Error{Op: "readdir", Path: base, Kind: conn.NoMemory}
			}
			dir.shared++
			nm = t.attach(d, e.Name, t.newInode(join(base, e.Name), e.Attr, l.asked), l.asked)
		} else {
			nm.asked = l.asked
			t.learn(nm.node, e.Attr, l.asked, false)
		}
		order = append(order, nm)
	}
	for text, nm := range dir.children {
		if _, in := kept[nm]; in || nm.asked == l.asked {
			continue
		}
		if _, excluded := l.excluded[text]; excluded || nm.asked > l.asked || !ls.Complete {
			order = append(order, nm)
		} else {
			t.vanish(nm)
		}
	}
	dir.order, dir.gone, dir.uses = order, 0, 0
	dir.huge = !ls.Complete || len(ls.Entries) > besideMax
	dir.refused = never
	if ls.Complete {
		dir.listed = l.asked
	}
	if ls.Unusable > 0 {
		t.unusable += int64(ls.Unusable)
		t.log.Warn("names on the sandbox that can't be shown were left out", "count", ls.Unusable)
	}
	t.lru.touch(&dir.lru)
	dir.own()
	return nil
}

// join appends a name to a directory's path.
func join(dir, text string) string {
	if dir == "/" {
		return dir + text
	}
	return dir + "/" + text
}
