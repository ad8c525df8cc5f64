package vfs

import (
	"math"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// instant is a point in a Tree's own time: nanoseconds since it was made, by
// the monotonic clock, never twice the same. What was asked is compared with
// what was changed by it.
type instant int64

const (
	never    instant = 0             // before everything
	starting instant = math.MaxInt64 // a change that is being started: after everything
)

// inode is one file, directory or link. Tree.mu guards all of it.
//
// There may be a million of them: count the bytes.
type inode struct {
	id      NodeID
	ino     uint64
	attr    conn.Attr // as the server has it, once what was sent is carried out
	ctime   int64     // nanoseconds since 1970 of a later change of attributes, or 0
	asked   instant   // when attr was asked for; never: ask again
	since   instant   // when attr's mtime and size were first seen
	changed instant   // when the last local change was started
	settled instant   // when the last local change was answered
	lookups uint64    // references that the kernel holds
	changes int32     // local changes in flight
	removed bool      // its last name was taken away here
	unmoved bool      // its content was not told its path yet: see Tree.moved
	names   *name     // the first of its names; nil: it has none any more
	more    []*name   // hard links made here
	dir     *dir      // a directory's entries
	file    *file     // a regular file's content, once somebody asked for it
	text    *linkText // a symbolic link's
}

// name is one name of an inode in a directory. Tree.mu guards all of it.
type name struct {
	text  string
	in    *inode // the directory; nil once the name is gone
	node  *inode
	asked instant // when it was last confirmed
	told  instant // when the listing was begun that told it last
}

// dir is what is known of a directory's entries. Tree.mu guards all of it.
type dir struct {
	children map[string]*name
	// order has the names in the server's order, then those made here since.
	// Those that are gone stay as names with no directory. It is only ever
	// appended to or replaced, so that a DirHandle may read on in an old one.
	order []*name
	gone  int // how many of order are gone

	listed   instant  // when the last complete listing was asked for
	refused  instant  // when the last listing failed
	huge     bool     // too many names to be listed beside a lookup
	uses     int      // lookups answered since the last listing
	listing  *listing // in flight
	asking   map[string]*question
	changing map[string]int // local changes of names in flight
	leaving  map[string]int // those of them, not waited for, that take a name away
	behind   behind
	pins     int // DirHandles, operations that wait, changes behind: its names are not forgotten

	walk dirWalk
	lru  lruEntry

	shared int // names that may keep more of an answer in memory than themselves
}

// newInode makes an inode without a name and puts it into the table.
func (t *Tree) newInode(at string, a conn.Attr, asked instant) *inode {
	t.lastID++
	n := &inode{id: t.lastID, ino: t.inos.take(at), attr: a, asked: asked, since: asked}
	if a.Mode.IsDir() {
		n.dir = &dir{}
		n.dir.lru.node = n
	}
	t.nodes[n.id] = n
	return n
}

// node finds an inode by the kernel's name for it.
func (t *Tree) node(id NodeID) (*inode, error) {
	n := t.nodes[id]
	if n == nil {
		return nil, conn.Stale
	}
	return n, nil
}

// dirNode finds a directory.
func (t *Tree) dirNode(id NodeID) (*inode, error) {
	n, err := t.node(id)
	switch {
	case err != nil:
		return nil, err
	case n.dir == nil:
		return nil, conn.NotDir
	case n.names == nil && !t.anchor(n):
		return nil, conn.NotExist // removed while it was in use
	}
	return n, nil
}

// path returns where n is on the server, "" where it has no name any more.
func (t *Tree) path(n *inode) string {
	if t.anchor(n) {
		return t.anchorPath(n)
	}
	if n.names == nil {
		return ""
	}
	return t.pathOf(n.names.in, n.names.text)
}

// pathOf returns the path of a name in a directory.
func (t *Tree) pathOf(d *inode, text string) string {
	size, depth, top := len(text), 0, d
	for ; !t.anchor(top); top = top.names.in {
		up := top
		if up.names == nil {
			return ""
		}
		size += len(up.names.text) + 1
		depth++
	}
	var b strings.Builder
	base := strings.TrimSuffix(t.anchorPath(top), "/")
	b.Grow(len(base) + 1 + size)
	b.WriteString(base)
	parts := make([]string, depth, max(depth, 16))
	for up := d; up != top; up = up.names.in {
		depth--
		parts[depth] = up.names.text
	}
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(part)
	}
	b.WriteByte('/')
	b.WriteString(text)
	return b.String()
}

// within reports whether n is d or somewhere below it.
func (t *Tree) within(n, d *inode) bool {
	for {
		if n == d {
			return true
		}
		if n.names == nil {
			return false
		}
		n = n.names.in
	}
}

// attach gives n a name.
func (t *Tree) attach(d *inode, text string, n *inode, asked instant) *name {
	nm := &name{text: text, in: d, node: n, asked: asked}
	if n.names == nil {
		n.names = nm
	} else {
		n.more = append(n.more, nm)
	}
	if d.dir.children == nil {
		d.dir.children = map[string]*name{}
	}
	d.dir.children[text] = nm
	return nm
}

// add is attach, and shows the name to those who read the directory from now
// on.
func (t *Tree) add(d *inode, text string, n *inode, asked instant) *name {
	nm := t.attach(d, text, n, asked)
	d.dir.order = append(d.dir.order, nm)
	return nm
}

// detach takes a name away. An inode that nobody refers to then goes too.
func (t *Tree) detach(nm *name) {
	d, n := nm.in, nm.node
	if d == nil {
		return
	}
	nm.in = nil
	if d.dir.children[nm.text] == nm {
		delete(d.dir.children, nm.text)
	}
	d.dir.gone++
	if d.dir.gone > 32 && d.dir.gone > len(d.dir.order)/2 {
		d.dir.compact()
	}
	if n.names == nm {
		n.names = nil
		if len(n.more) > 0 {
			n.names, n.more = n.more[0], n.more[1:]
		}
	} else {
		for i := range n.more {
			if n.more[i] == nm {
				n.more = append(n.more[:i:i], n.more[i+1:]...)
				break
			}
		}
	}
	if n.names == nil && n.dir != nil {
		t.empty(n)
	}
	t.release(n)
}

// latest returns the names that were told last in the server's order: what came
// so far of a long listing.
func (d *dir) latest() []*name {
	if l := d.listing; l != nil && len(l.order) > 0 {
		return l.order
	}
	return d.order
}

// compact leaves out of order what is gone.
func (d *dir) compact() {
	kept := make([]*name, 0, len(d.children))
	for _, nm := range d.order {
		if nm.in != nil {
			kept = append(kept, nm)
		}
	}
	d.order, d.gone = kept, 0
}

// empty takes all names out of a directory.
func (t *Tree) empty(d *inode) {
	for _, nm := range d.dir.children {
		t.detach(nm)
	}
	d.dir.order, d.dir.gone, d.dir.listed = nil, 0, never
	t.lru.remove(&d.dir.lru)
}

// release drops an inode that has no name, no reference and nothing open.
func (t *Tree) release(n *inode) {
	if n.names != nil || n.lookups > 0 || t.anchor(n) || n.file != nil && n.file.busy() || n.dir != nil && n.dir.pins > 0 {
		return
	}
	if t.nodes[n.id] != n {
		return
	}
	delete(t.nodes, n.id)
	t.inos.give(n.ino)
	t.setText(n, nil)
	if n.file != nil {
		t.dropContent(n)
	}
	if n.dir != nil && len(n.dir.children) > 0 {
		t.empty(n)
	}
}

// Forget gives back n references that entries carried. It never waits.
func (t *Tree) Forget(id NodeID, n uint64) {
	t.mu.Lock()
	defer t.unlock()
	node := t.nodes[id]
	if node == nil {
		return
	}
	node.lookups -= min(n, node.lookups)
	if node.lookups == 0 {
		t.release(node)
	}
}

// learn takes the server's word on n, asked for at asked, unless something
// newer is known. ordered says that the question stood in the order of
// foreground operations, so that it saw every change started before it.
func (t *Tree) learn(n *inode, a conn.Attr, asked instant, ordered bool) {
	if asked < n.asked || asked < n.changed || !ordered && (n.changes > 0 || asked < n.settled) {
		return
	}
	old := n.attr
	if a.Nlink == 0 {
		a.Nlink = old.Nlink
	}
	if n.file != nil && n.file.wrote {
		a.Mtime = old.Mtime // ours, until the server has all that was written
	}
	if a.Mtime == old.Mtime && (a.Mode != old.Mode || a.UID != old.UID || a.GID != old.GID) {
		t.bump(n)
	}
	if a.Mtime != old.Mtime || a.Size != old.Size {
		t.setText(n, nil)
		n.since = asked
	}
	if n.dir != nil && (a.Mode != old.Mode || a.UID != old.UID) {
		n.dir.refused = never
	}
	n.attr, n.asked = a, asked
	if n.file != nil {
		t.learnContent(n.file, a, asked)
	}
}

// bump makes n's ctime newer than it was.
func (t *Tree) bump(n *inode) {
	n.ctime = max(t.clock.now(t.now()).UnixNano(), n.ctime+1, n.attr.Mtime*int64(time.Second)+1)
}

// checkName refuses what can't be a name.
func checkName(text string) error {
	switch {
	case text == "" || text == "." || text == ".." || strings.ContainsAny(text, "/\x00"):
		return conn.Invalid
	case len(text) > maxName:
		return conn.NameTooLong
	}
	return nil
}

// maxName is Linux's NAME_MAX, in bytes.
const maxName = 255
