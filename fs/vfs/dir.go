package vfs

import (
	"context"
	"slices"

	"github.com/sbxmount/sbxmount/conn"
)

// DirHandle is one open directory: its names as they were when it was opened,
// or as they come where that takes long.
type DirHandle struct {
	t *Tree
	n *inode
	// Tree.mu guards the rest.
	order []*name
	tells *listing // that tells more of them; nil: order has all
	read  bool     // from the start on
}

// OpenDir opens a directory for reading. 0 round trips where its listing is
// fresh, else 2. The names behind the first thousand come while those before
// them are read, so that these need not be waited for, and are no older when
// they are read than it takes to bring them here.
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
	h := &DirHandle{t: t, n: d}
	if err := h.begin(ctx); err != nil {
		d.dir.pins--
		t.release(d)
		return nil, t.failed("opendir", d, err)
	}
	d.dir.walk.read = t.tick()
	t.handles++
	return h, nil
}

// begin waits for the first names of a fresh listing.
func (d *DirHandle) begin(ctx context.Context) (err error) {
	t := d.t
	start := t.tick()
	t.walkReadDir(d.n, start)
	d.tells, err = t.fill(ctx, d.n, start, true)
	if d.order = d.n.dir.order; d.tells != nil {
		d.order = d.tells.order
	}
	return err
}

// fill waits for a complete fresh listing; or for the beginning of a long one,
// which it returns, if part is set.
func (t *Tree) fill(ctx context.Context, d *inode, start instant, part bool) (*listing, error) {
	woken := false
	for !t.fresh(d.dir.listed, start) {
		l := d.dir.listing
		unknown := t.ttl == 0 || d.dir.listed == never
		if unknown {
			t.need()
		}
		if l == nil || l.late {
			l = t.list(d, 0, conn.Foreground)
		}
		var more <-chan struct{}
		if part {
			if l.proves(t, start) {
				return l, nil
			}
			more = l.more
		}
		known := func() bool { return t.fresh(d.dir.listed, start) }
		if err := t.waitKnown(ctx, l.done, more, known); err != nil || known() {
			return nil, err
		}
		if l.err != nil && !l.void && l.class == conn.Foreground && t.fresh(l.asked, start) {
			if unknown && t.wakes(l.err, &woken) {
				continue
			}
			return nil, l.err
		}
		if d.names == nil && !t.anchor(d) {
			return nil, conn.Stale
		}
	}
	return nil, nil
}

// follow looks for names behind the first have, and waits for them if that is
// wanted. It reports whether there are any.
func (d *DirHandle) follow(ctx context.Context, have uint64, wait bool) (bool, error) {
	for uint64(len(d.order)) <= have && d.tells != nil {
		l := d.tells
		select {
		case <-l.done:
			switch {
			case l.void:
				if err := d.restart(ctx); err != nil {
					return false, err
				}
				continue
			case l.err != nil:
				return false, l.err
			}
			d.order, d.tells = l.order, nil
			continue
		default:
			d.order = l.order
		}
		if uint64(len(d.order)) > have {
			break
		}
		if !wait {
			return false, nil
		}
		if err := d.t.wait(ctx, l.done, l.more); err != nil {
			return false, err
		}
	}
	return uint64(len(d.order)) > have, nil
}

// restart goes on with another listing, as the one that was being read proves
// nothing any more: the directory was moved meanwhile.
func (d *DirHandle) restart(ctx context.Context) error {
	t := d.t
	told := make(map[*name]bool, len(d.order))
	for _, nm := range d.order {
		told[nm] = true
	}
	if _, err := t.fill(ctx, d.n, t.tick(), false); err != nil {
		return err
	}
	d.order, d.tells = slices.Clip(d.order), nil
	for _, nm := range d.n.dir.order {
		if !told[nm] {
			d.order = append(d.order, nm)
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
// emit says false to one, which then counts as not told, or there are none yet:
// it waits for the first one alone. It takes no
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
		if err := d.begin(ctx); err != nil {
			return t.failed("readdir", d.n, err)
		}
	}
	d.read = d.read || cookie > 0
	if !d.dots(cookie, emit) {
		return nil
	}
	start, some := t.tick(), cookie < afterDotDot
	for i := max(cookie, afterDotDot) - afterDotDot; ; i++ {
		if there, err := d.follow(ctx, i, !some); err != nil {
			return t.failed("readdir", d.n, err)
		} else if !there {
			return nil
		}
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
		if some = true; plus {
			nm.node.lookups++
		}
	}
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

// Sync is an fsync(2) of the directory: it waits for the changes of its names
// that nobody waited for, and reports the first that was refused. 0 round trips
// where there are none, as in all modes but async; else 1.
func (d *DirHandle) Sync(ctx context.Context) error {
	t := d.t
	t.mu.Lock()
	defer t.unlock()
	b := &d.n.dir.behind
	if err := t.quiet(ctx, b); err != nil {
		return err
	}
	return b.report()
}

// Release ends the handle.
func (d *DirHandle) Release() {
	d.t.mu.Lock()
	defer d.t.unlock()
	d.t.handles--
	d.n.dir.pins--
	d.t.release(d.n)
}
