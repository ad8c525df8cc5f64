package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// DirHandle is one open directory: its names as they were when it was opened.
type DirHandle struct {
	t *Tree
	n *inode
	// Tree.mu guards the rest.
	order []*name
	read  bool // from the start on
}

// OpenDir opens a directory for reading. 0 round trips where its listing is
// fresh, else those of a listing: 2, and more for thousands of names.
func (t *Tree) OpenDir(ctx context.Context, id NodeID) (*DirHandle, error) {
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(id)
	if err != nil {
		return nil, t.failed("opendir", nil, err)
	}
	if !t.mayOpen() {
		return nil, t.failed("opendir", d, conn.TooManyOpen)
	}
	t.opening++
	defer func() { t.opening-- }()
	d.dir.pins++
	if err := t.fill(ctx, d); err != nil {
		d.dir.pins--
		t.release(d)
		return nil, t.failed("opendir", d, err)
	}
	d.dir.walk.read = t.tick()
	t.handles++
	return &DirHandle{t: t, n: d, order: d.dir.order}, nil
}

// fill waits for a complete fresh listing.
func (t *Tree) fill(ctx context.Context, d *inode) error {
	start := t.tick()
	t.walkReadDir(d, start)
	for !t.fresh(d.dir.listed, start) {
		l := d.dir.listing
		if l == nil {
			l = t.list(d, 0, conn.Foreground)
		}
		if err := t.wait(ctx, l.done, nil); err != nil {
			return err
		}
		if l.err != nil && !l.void && l.class == conn.Foreground && t.fresh(l.asked, start) {
			return l.err
		}
		if d.names == nil && !t.anchor(d) {
			return conn.Stale
		}
	}
	return nil
}

// Cookies: where to go on after ".", "..", and the names.
const (
	afterDot = 1 + iota
	afterDotDot
)

// Read emits entries from a cookie on (0: the start), "." and ".." first, until
// emit says false to one, which then counts as not told. It takes no
// references and leaves DirEntry.Entry empty. Cookies stay valid as long as the
// handle; going back to the start shows the directory as it is then. emit must
// not call the Tree. 0 round trips, but for going back.
func (d *DirHandle) Read(ctx context.Context, cookie uint64, emit func(*DirEntry) bool) error {
	return d.emit(ctx, cookie, emit, false)
}

// ReadPlus is Read with each entry's attributes. Each entry that emit says true
// to carries a reference, except "." and "..". 0 round trips, and 1 for the texts
// of symbolic links that are not known.
func (d *DirHandle) ReadPlus(ctx context.Context, cookie uint64, emit func(*DirEntry) bool) error {
	return d.emit(ctx, cookie, emit, true)
}

func (d *DirHandle) emit(ctx context.Context, cookie uint64, emit func(*DirEntry) bool, plus bool) error {
	t := d.t
	t.mu.Lock()
	defer t.unlock()
	if cookie == 0 && d.read && (d.n.names != nil || t.anchor(d.n)) { // rewinddir(3)
		if err := t.fill(ctx, d.n); err != nil {
			return t.failed("readdir", d.n, err)
		}
		d.order = d.n.dir.order
	}
	d.read = d.read || cookie > 0
	if !d.dots(cookie, emit) {
		return nil
	}
	start := t.tick()
	for i := max(cookie, afterDotDot) - afterDotDot; i < uint64(len(d.order)); i++ {
		nm := d.order[i]
		if plus {
			if err := t.knowText(ctx, nm.node, start, aheadAll); err != nil {
				return t.failed("readdir", d.n, err)
			}
		}
		if nm.in != d.n {
			continue // gone since
		}
		e := DirEntry{Name: nm.text, Mode: nm.node.attr.Mode.Type(), Ino: nm.node.ino, Cookie: i + afterDotDot + 1}
		if plus {
			e.Entry = t.entry(nm)
		}
		if !emit(&e) {
			return nil
		}
		if plus {
			nm.node.lookups++
		}
	}
	return nil
}

// dots emits "." and "..".
func (d *DirHandle) dots(cookie uint64, emit func(*DirEntry) bool) bool {
	up := d.n
	switch {
	case d.n == d.t.outside:
		up = d.t.root
	case d.n.names != nil:
		up = d.n.names.in
	}
	if cookie < afterDot && !emit(&DirEntry{Name: ".", Mode: conn.TypeDir, Ino: d.n.ino, Cookie: afterDot}) {
		return false
	}
	return cookie >= afterDotDot || emit(&DirEntry{Name: "..", Mode: conn.TypeDir, Ino: up.ino, Cookie: afterDotDot})
}

// Sync is an fsync(2) of the directory: its names are on the server already. 0
// round trips.
func (d *DirHandle) Sync(ctx context.Context) error { return nil }

// Release ends the handle.
func (d *DirHandle) Release() {
	d.t.mu.Lock()
	defer d.t.unlock()
	d.t.handles--
	d.n.dir.pins--
	d.t.release(d.n)
}
