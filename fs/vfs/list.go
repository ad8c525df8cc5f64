package vfs

import (
	"slices"
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
	late     bool                // in the background, and behind much else
	order    []*name             // the directory's next order, as far as it was told
	more     chan struct{}       // closed, and made anew, when there is more of it
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
// one listing of a directory at a time. What it tells is taken into the tree as
// it comes, and all of it before done is closed.
func (t *Tree) list(d *inode, max int, class conn.Class) *listing {
	l := &listing{asked: t.tick(), max: max, class: class, excluded: map[string]struct{}{}, more: make(chan struct{}), done: make(chan struct{})}
	for text := range d.dir.changing {
		l.excluded[text] = struct{}{}
	}
	if old := d.dir.listing; old != nil {
		old.void = true // it is told no changes any more
	}
	d.dir.listing = l
	t.listings[l] = d
	path := t.path(d)
	some := func(ls conn.Listing) { t.listedSome(d, l, ls) }
	t.later = append(t.later, func() {
		t.remote.List(path, max, class, some).Then(func(ls conn.Listing, err error) {
			if len(ls.Entries) <= chunk || !t.goes(func() { t.listed(d, l, ls, err) }) {
				t.listed(d, l, ls, err)
			}
		})
	})
	return l
}

// proves reports whether names may be read from a listing that is under way by
// an operation that began at start.
func (l *listing) proves(t *Tree, start instant) bool {
	return l != nil && l.max == 0 && !l.void && len(l.order) > 0 && t.fresh(l.asked, start)
}

// besideLookup starts the listing that goes with a lookup which had to ask:
// whoever looks up one name looks up others. It returns what tells its end.
func (t *Tree) besideLookup(d *inode, start instant) <-chan struct{} {
	dir := d.dir
	switch {
	case dir.listing != nil && !dir.listing.late:
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

// overtaken is told that an LSTAT of a name in d, asked for at asked, was answered
// before the listing of d that was on its way already: one of the background class
// that is not here after three times as long stands behind much else, and whoever
// has to wait in d once more has it listed in front of that.
func (t *Tree) overtaken(d *inode, asked instant) {
	if l, now := d.dir.listing, t.tick(); l != nil && l.class == conn.Background && now-l.asked > 3*(now-asked) {
		l.late = true
	}
}

// listedSome takes a part of a long listing into the tree.
func (t *Tree) listedSome(d *inode, l *listing, ls conn.Listing) {
	t.mu.Lock()
	defer t.unlock()
	if d.dir.listing != l || l.void {
		return
	}
	if l.err == nil {
		l.err = t.take(d, l, &ls) // which listed tells
	}
	close(l.more)
	l.more = make(chan struct{})
}

// listed takes the rest of a listing into the tree, or what became of it.
func (t *Tree) listed(d *inode, l *listing, ls conn.Listing, err error) {
	t.mu.Lock()
	defer t.unlock()
	if err == nil && l.max == 0 && !ls.Complete {
		err = &conn.Error{Op: "readdir", Path: t.path(d), Kind: conn.NoMemory}
	}
	if err == nil && !l.void {
		if err = l.err; err == nil {
			err = t.take(d, l, &ls)
		}
	}
	if err == nil && !l.void {
		t.whole(d, l, ls.Complete)
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

// take makes of the directory what a part of a listing says of names, except
// for those of which something newer is known. Where there is no room for all,
// what was taken stays.
func (t *Tree) take(d *inode, l *listing, ls *conn.Listing) error {
	dir, asked := d.dir, l.asked
	if !ls.Asked.IsZero() {
		asked = max(asked, min(t.since(ls.Asked), t.tick()))
	}
	base := t.path(d)
	if base == "" {
		l.void = true
		return nil
	}
	if dir.children == nil && len(ls.Entries) > 0 {
		dir.children = make(map[string]*name, len(ls.Entries))
	}
	l.order = slices.Grow(l.order, len(ls.Entries))
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
		nm, err := t.takeEntry(d, l, base, e, asked)
		if err != nil {
			t.lru.touch(&dir.lru)
			return err
		}
		if nm != nil && nm.told != l.asked {
			nm.told = l.asked
			l.order = append(l.order, nm)
		}
	}
	if ls.Unusable > 0 {
		t.unusable += int64(ls.Unusable)
		t.log.Warn("names on the sandbox that can't be shown were left out", "count", ls.Unusable)
	}
	return nil
}

// takeEntry takes one entry of a listing, asked for at asked, into the tree and
// returns its name; nil where there is none any more.
func (t *Tree) takeEntry(d *inode, l *listing, base string, e *conn.Entry, asked instant) (*name, error) {
	nm := d.dir.children[e.Name]
	if _, excluded := l.excluded[e.Name]; excluded || nm != nil && nm.asked > asked {
		return nm, nil
	}
	if nm != nil && nm.node.attr.Mode.Type() != e.Attr.Mode.Type() {
		t.vanish(nm)
		nm = nil
	}
	if nm == nil {
		if t.full() {
			return nil, &conn.Error{Op: "readdir", Path: base, Kind: conn.NoMemory}
		}
		d.dir.shared++
		return t.attach(d, e.Name, t.newInode(join(base, e.Name), e.Attr, asked), asked), nil
	}
	nm.asked = asked
	t.learn(nm.node, e.Attr, asked, false)
	return nm, nil
}

// whole makes a listing that has ended the directory's: what it did not tell is
// gone, unless something newer is known.
func (t *Tree) whole(d *inode, l *listing, complete bool) {
	dir := d.dir
	told := len(l.order)
	for text, nm := range dir.children {
		if nm.told == l.asked {
			continue
		}
		if _, excluded := l.excluded[text]; excluded || nm.asked > l.asked || !complete {
			l.order = append(l.order, nm)
		} else {
			t.vanish(nm)
		}
	}
	dir.order, dir.gone, dir.uses = l.order, 0, 0
	for _, nm := range l.order {
		dir.gone += boolInt(nm.in == nil)
	}
	dir.huge = !complete || told > besideMax
	dir.refused = never
	if complete {
		dir.listed = l.asked
	}
	t.lru.touch(&dir.lru)
	dir.own()
}

// join appends a name to a directory's path.
func join(dir, text string) string {
	if dir == "/" {
		return dir + text
	}
	return dir + "/" + text
}
