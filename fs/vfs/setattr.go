package vfs

import (
	"context"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs/content"
)

// SetAttr changes attributes and returns what they are then; h may be nil.
//
// What the server would not change is not asked. In close mode the times and
// the mode of a regular file that the login user owns are sent and not waited
// for: 0 round trips, and the file's next flush, fsync, rename or unlink
// reports if that failed. In async mode so are those of a directory, and the
// next fsync reports. Everything else is 1 round trip; one more goes
// before it where one of a pair (owner and group, both times) is changed and
// the other is not known.
func (t *Tree) SetAttr(ctx context.Context, id NodeID, h *Handle, set SetAttr) (Attr, error) {
	t.mu.Lock()
	defer t.unlock()
	n, err := t.node(id)
	if err != nil {
		return Attr{}, t.failed("setattr", nil, err)
	}
	if t.wayBack(n) {
		return Attr{}, t.failed("setattr", n, conn.NotPermitted)
	}
	start := t.tick()
	if set.half() {
		if err := t.revalidate(ctx, n, start); err != nil {
			return Attr{}, t.failed("setattr", n, err)
		}
	}
	if set.Valid&SetSize != 0 {
		if err := t.resize(ctx, n, set.Size); err != nil {
			return Attr{}, t.failed("setattr", n, err)
		}
	}
	if want := t.wanted(n, set); want.Valid != 0 {
		if err := t.apply(ctx, n, want); err != nil {
			return Attr{}, t.failed("setattr", n, err)
		}
	} else if set.Valid&^SetSize != 0 {
		t.bump(n)
	}
	if err := t.knowText(ctx, n, start, aheadSome); err != nil {
		return Attr{}, t.failed("setattr", n, err)
	}
	return t.show(n), nil
}

// half reports whether one of a pair is set without the other.
func (s *SetAttr) half() bool {
	owner, times := s.Valid&(SetUID|SetGID), s.Valid&(SetAtime|SetMtime)
	return owner == SetUID || owner == SetGID || times == SetAtime || times == SetMtime
}

// wanted returns set as the protocol has it, without the size and without what
// is so already.
func (t *Tree) wanted(n *inode, set SetAttr) conn.SetAttr {
	w := conn.SetAttr{Attr: n.attr}
	if set.Valid&SetMode != 0 {
		w.Valid |= conn.SetMode
		w.Mode = n.attr.Mode.Type() | set.Mode.Perm()
	}
	if set.Valid&(SetUID|SetGID) != 0 {
		w.Valid |= conn.SetOwner
		if set.Valid&SetUID != 0 {
			w.UID = set.UID
		}
		if set.Valid&SetGID != 0 {
			w.GID = set.GID
		}
	}
	now := t.clock.now(t.now())
	if set.Valid&SetAtime != 0 {
		w.Valid |= conn.SetTimes
		w.Atime = seconds(set.Atime, set.Valid&SetAtimeNow != 0, now)
	}
	if set.Valid&SetMtime != 0 {
		w.Valid |= conn.SetTimes
		w.Mtime = seconds(set.Mtime, set.Valid&SetMtimeNow != 0, now)
	}
	if t.ours(n) && t.fresh(n.asked, t.last) {
		w.Valid &^= t.already(n, &w)
	}
	return w
}

func seconds(v time.Time, takeNow bool, now time.Time) int64 {
	if takeNow {
		v = now
	}
	return v.Unix()
}

// already returns the parts of a change by the owner that would change
// nothing.
func (t *Tree) already(n *inode, w *conn.SetAttr) (same conn.SetMask) {
	if w.Mode == n.attr.Mode {
		same |= conn.SetMode
	}
	if w.UID == n.attr.UID && w.GID == n.attr.GID && n.attr.Mode&setIDs == 0 {
		same |= conn.SetOwner // with these bits a chown takes them away
	}
	if w.Atime == n.attr.Atime && w.Mtime == n.attr.Mtime && (n.file == nil || !n.file.wrote) {
		same |= conn.SetTimes
	}
	return same
}

// setIDs are the bits that a server may take away on its own.
const setIDs conn.Mode = 0o6000

// ours reports whether the login user may change n's mode and times.
func (t *Tree) ours(n *inode) bool {
	return t.info.OwnerKnown && (t.info.UID == 0 || t.info.UID == n.attr.UID)
}

// apply sends a change of attributes other than the size.
func (t *Tree) apply(ctx context.Context, n *inode, w conn.SetAttr) error {
	path := t.path(n)
	var c *content.File
	if n.file != nil {
		c = n.file.content
	}
	start := func() *conn.Call[struct{}] { return t.sendAttr(c, path, w) }
	ch := t.begin("setattr", nil, n)
	if t.predictable(n, &w) {
		foretell(ch, start, func() { t.predict(n, &w) }, func(struct{}, instant) {}, func() { ch.doubt() })
		return nil
	}
	return carry(ctx, ch, start, func(struct{}) {
		t.predict(n, &w)
		if w.Valid&conn.SetMode != 0 && n.attr.Mode&setIDs != 0 || w.Valid&conn.SetOwner != 0 {
			n.attr.Mode &^= setIDs & ^w.Mode
			n.asked = never // the server may have taken bits away
		}
	}, nil)
}

// sendAttr sends a change by the open file where there is one, behind what was
// written, else by its path.
func (t *Tree) sendAttr(c *content.File, path string, w conn.SetAttr) *conn.Call[struct{}] {
	if c != nil {
		if call := c.SetAttr(w); call != nil {
			return call
		}
	}
	if path == "" {
		return conn.Answered(struct{}{}, error(&conn.Error{Op: "setattr", Kind: conn.Stale}))
	}
	call := t.remote.SetAttr(path, w)
	if c != nil && w.Valid&conn.SetTimes != 0 {
		call.Then(func(_ struct{}, err error) {
			if err == nil {
				c.Retimed(w.Mtime)
			}
		})
	}
	return call
}

// predictable reports whether a change can't fail for lack of permission, so
// that nobody needs to wait for it.
func (t *Tree) predictable(n *inode, w *conn.SetAttr) bool {
	return (t.writes == WriteClose && n.attr.Mode.IsRegular() || t.async() && !n.attr.Mode.IsSymlink()) && t.ours(n) &&
		w.Valid&conn.SetOwner == 0 && (w.Valid&conn.SetMode == 0 || w.Mode&setIDs == 0)
}

// predict takes a change into the attributes.
func (t *Tree) predict(n *inode, w *conn.SetAttr) {
	if w.Valid&conn.SetMode != 0 {
		n.attr.Mode = w.Mode
	}
	if w.Valid&conn.SetOwner != 0 {
		n.attr.UID, n.attr.GID = w.UID, w.GID
	}
	if w.Valid&conn.SetTimes != 0 {
		n.attr.Atime, n.attr.Mtime = w.Atime, w.Mtime
		n.since = t.tick()
		if n.file != nil {
			n.file.wrote = false
		}
	}
	t.bump(n)
}

// resize sets a regular file's size, in order with what was written.
func (t *Tree) resize(ctx context.Context, n *inode, size int64) error {
	switch {
	case n.dir != nil:
		return conn.IsDir
	case !n.attr.Mode.IsRegular() || size < 0:
		return conn.Invalid
	}
	f := t.fileOf(n)
	f.resized = conn.Attr{}
	c := t.begin("truncate", nil, n)
	c.started() // what the content asks for from here on stands behind its change
	t.unlock()
	err := f.content.Truncate(ctx, size)
	t.mu.Lock()
	c.end()
	if err != nil {
		c.failed(err)
		return err
	}
	f.pages = f.version // the kernel cuts its pages itself
	n.attr.Size = size
	switch {
	case f.resized.Mode != 0: // by path
		t.learn(n, f.resized, n.settled, true)
	case n.asked < c.began: // the content did not ask for more
		n.attr.Mtime = max(n.attr.Mtime, t.clock.now(t.now()).Unix())
	}
	return nil
}
