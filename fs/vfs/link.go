package vfs

import (
	"context"
	"errors"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// linkText is what is known of a symbolic link's text. Tree.mu guards it.
type linkText struct {
	text   string   // the server's
	shown  string   // the mount's
	at     standing // where text is shown so
	moves  uint64   // Tree.moves when that was last known to be where the link stands
	looked bool     // what is shown depends on other names than the link's
	weight int      // what it counts for, in inodes
	err    error
	asked  instant
	done   chan struct{} // closed when all that is there
}

// known reports whether all of l is there; l may be nil.
func (l *linkText) known() bool {
	if l == nil {
		return false
	}
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// trusted is how long after a change's second a file of the same size and
// time is still not taken for unchanged: the server's times have whole seconds.
const trusted = instant(2 * time.Second)

const (
	// aheadSome is how many links' texts are asked for with the first: what
	// fits into a packet or two.
	aheadSome = 32
	// aheadAll is how many where a program is going through the directory:
	// what a round trip carries on a line of a megabyte a second.
	aheadAll = 1024
)

// Readlink returns a symbolic link's text, as the mount shows it. 0 round trips
// where it is known and the link unchanged, else 1, in which the texts of the
// next links of the directory are asked for, too; and more where a ".." stands
// behind other names in the text.
func (t *Tree) Readlink(ctx context.Context, id NodeID) (string, error) {
	t.mu.Lock()
	defer t.unlock()
	n, err := t.node(id)
	if err != nil {
		return "", t.failed("readlink", nil, err)
	}
	if !n.attr.Mode.IsSymlink() {
		return "", t.failed("readlink", n, conn.Invalid)
	}
	start := t.tick()
	if l := n.text; l.known() && l.err != nil && l.asked < start {
		t.setText(n, nil) // once more
	}
	l, err := t.awaitText(ctx, n, start, aheadSome)
	switch {
	case err != nil:
		return "", t.failed("readlink", n, err)
	case l == nil || !t.stands(n, l):
		return "", t.failed("readlink", n, conn.Stale)
	case l.err != nil:
		return "", t.failed("readlink", n, l.err)
	}
	return l.shown, nil
}

// knowText waits until it is known what n shows, if it is a link: the length of
// that is its size. That it can't be known is no error.
func (t *Tree) knowText(ctx context.Context, n *inode, start instant, ahead int) error {
	if !t.contain || !n.attr.Mode.IsSymlink() {
		return nil
	}
	_, err := t.awaitText(ctx, n, start, ahead)
	return err
}

// awaitText waits for n's text, good enough for an operation that began at
// start, and asks for those of up to ahead links next to it. It is nil for a
// link that was taken away.
func (t *Tree) awaitText(ctx context.Context, n *inode, start instant, ahead int) (*linkText, error) {
	for range tries {
		l := n.text
		if l.known() && t.textFresh(n, l, start) {
			return l, nil
		}
		if l == nil || l.known() {
			if n.names == nil {
				return nil, nil
			}
			l = t.askText(n)
			t.walkLinks(n, start, ahead)
		}
		if err := t.wait(ctx, l.done, nil); err != nil {
			return nil, err
		}
	}
	if !n.text.known() {
		return nil, nil
	}
	return n.text, nil
}

// textFresh reports whether n's text is good enough for an operation that
// began at start: young, or of a link that was not changed since.
func (t *Tree) textFresh(n *inode, l *linkText, start instant) bool {
	switch {
	case !t.stands(n, l):
		return false
	case l.looked || l.err != nil:
		return t.fresh(l.asked, start)
	}
	return t.fresh(l.asked, start) || t.fresh(n.asked, start) && l.asked-n.since >= trusted
}

// stands reports whether n is still where its text is shown like that.
func (t *Tree) stands(n *inode, l *linkText) bool {
	if t.contain && (l.moves != t.moves || n.names == nil) {
		at, ok := t.standing(n)
		if !ok || at != l.at {
			return false
		}
		l.moves = t.moves
	}
	return true
}

// standing returns where n is.
func (t *Tree) standing(n *inode) (standing, bool) {
	if n.names == nil {
		return standing{}, false
	}
	d := n.names.in
	top := t.anchorOf(d)
	return standing{dir: t.path(d), outside: top == t.outside}, top != nil
}

// askText asks for n's text.
func (t *Tree) askText(n *inode) *linkText {
	l := &linkText{asked: t.tick(), done: make(chan struct{})}
	t.setText(n, l)
	if t.wayBack(n) {
		t.told(n, l, t.rootPath, nil)
		return l
	}
	path := t.path(n)
	t.later = append(t.later, func() {
		t.remote.Readlink(path).Then(func(text string, err error) {
			t.mu.Lock()
			defer t.unlock()
			t.told(n, l, text, err)
		})
	})
	return l
}

// inodeSize is about what an inode takes, with its name, in bytes: measured by
// TestHugeDirectory.
const inodeSize = 500

// keepText says that all of l is there, and counts a text that is longer than
// what every inode has room for: a million links may not have a million texts of
// four kilobytes.
func (t *Tree) keepText(n *inode, l *linkText) {
	defer close(l.done)
	weight := (len(l.text) + len(l.shown)) / inodeSize
	switch {
	case n.text != l || weight == 0: // nobody keeps it, or it is short
	case t.weight()+weight > t.max:
		l.text, l.shown, l.err = "", "", conn.NoMemory
	default:
		l.weight = weight
		t.texts += weight
	}
}

// setText replaces what is known of n's text.
func (t *Tree) setText(n *inode, l *linkText) {
	if n.text != nil {
		t.texts -= n.text.weight
		n.text.weight = 0
	}
	n.text = l
}

// told takes a link's text and decides what it shows.
func (t *Tree) told(n *inode, l *linkText, text string, err error) {
	l.text, l.shown, l.err, l.moves = text, text, err, t.moves
	at, ok := t.standing(n)
	if l.at = at; !ok && err == nil {
		l.err = conn.Stale
	}
	if l.err != nil || !t.contain {
		t.keepText(n, l)
		return
	}
	texts := linkTexts{root: t.rootPath, look: func(context.Context, string) (string, bool, bool, error) { return "", false, false, errMustLook }}
	if l.shown, l.err = texts.show(t.life, at, text); l.err != errMustLook {
		t.keepText(n, l)
		return
	}
	l.looked = true
	t.later = append(t.later, func() {
		if !t.goes(func() { t.lookThrough(n, l) }) {
			l.err = conn.Closed
			close(l.done)
		}
	})
}

// errMustLook says that the server must be asked for other names.
var errMustLook = errors.New("a link's text leads back up")

// maxResolve is how many texts are resolved at a time that need questions, one
// after another, to the server: few links are like that, or the sandbox wants
// to keep us busy.
const maxResolve = 16

// resolveTime bounds all the questions for one text, and the wait for others'
// to be over: some hundred, on a line with a round trip of half a second. Each
// has a bound of its own, but a sandbox that makes the most of each could keep
// everybody who looks at the link for an hour.
const resolveTime = time.Minute

var errSlowText = &conn.Error{Op: "readlink", Kind: conn.TimedOut, Err: errors.New("too many slow answers on the way")}

// lookThrough finds what a text with ".." behind other names shows. Tree.mu is
// not held.
func (t *Tree) lookThrough(n *inode, l *linkText) {
	ctx, cancel := context.WithTimeoutCause(t.life, resolveTime, errSlowText)
	defer cancel()
	var shown string
	var err error
	select {
	case t.resolve <- struct{}{}:
		shown, err = linkTexts{root: t.rootPath, look: t.look}.show(ctx, l.at, l.text)
		<-t.resolve
	case <-ctx.Done():
		err = errSlowText
		if t.life.Err() != nil {
			err = conn.Closed
		}
	}
	t.mu.Lock()
	defer t.unlock()
	l.shown, l.err = shown, err
	t.keepText(n, l)
}

// look asks the server what is at a path: see linkTexts.
func (t *Tree) look(ctx context.Context, path string) (text string, link, dir bool, err error) {
	a, err := t.remote.Lstat(path).Wait(ctx)
	switch {
	case err == nil && a.Mode.IsSymlink():
		text, err = t.remote.Readlink(path).Wait(ctx)
		link = err == nil
	case err == nil:
		return "", false, a.Mode.IsDir(), nil
	}
	switch conn.KindOf(err) {
	case conn.NotExist, conn.NotDir, conn.Permission, conn.LinkLoop, conn.NameTooLong:
		err = nil // as for whoever follows the link there
	}
	return text, link, false, err
}

// walkLinks asks for the texts of up to most links that follow n in its
// directory: whoever reads one (ls -l, find, rsync) reads them all.
func (t *Tree) walkLinks(n *inode, start instant, most int) {
	after := false
	for _, nm := range n.names.in.dir.latest() {
		switch {
		case nm == n.names:
			after = true
		case after && most > 0 && t.unread(nm) && t.fresh(nm.node.asked, start):
			t.askText(nm.node)
			most--
		}
	}
}

// textsAhead asks for the texts of a directory's links, once it was listed
// ahead.
func (t *Tree) textsAhead(d *inode) {
	most := aheadSome
	for _, nm := range d.dir.order {
		if most > 0 && t.contain && t.unread(nm) {
			t.askText(nm.node)
			most--
		}
	}
}

// unread reports a link whose text was not asked for.
func (t *Tree) unread(nm *name) bool {
	return nm.in != nil && nm.node.attr.Mode.IsSymlink() && nm.node.text == nil
}

// storedText returns the text that the server gets for a new link in a
// directory.
func (t *Tree) storedText(parent NodeID, text string) string {
	t.mu.Lock()
	defer t.unlock()
	d, err := t.dirNode(parent)
	if err != nil || !t.contain {
		return text // whoever makes it finds out
	}
	at := standing{dir: t.path(d), outside: t.anchorOf(d) == t.outside}
	return linkTexts{root: t.rootPath}.store(at, text)
}
