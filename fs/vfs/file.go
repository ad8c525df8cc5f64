package vfs

import (
	"context"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs/content"
)

// file is what a regular file has while somebody uses its content, has it
// cached, or has changes of it under way. Tree.mu guards it. It is the
// content's way to the server (content.Opener).
type file struct {
	t       *Tree
	n       *inode
	content *content.File // nil until somebody needs it

	handles int  // Handles
	wrote   bool // Mtime is ours: the server was not asked after the last write

	// readable is what the file's mode and owner were when the server let us
	// read it.
	readable struct {
		known    bool
		mode     conn.Mode
		uid, gid uint32
	}

	// version counts the contents that the file was seen to have; pages is the
	// one that the kernel may have pages of.
	version, pages uint64

	behind behind // changes that nobody waited for

	resized conn.Attr // what ResizeRemote found after it

	walk fileWalk
	lru  lruEntry // in Tree.contents, while there is a content
}

// fileOf returns n's file, and its content, made as needed.
func (t *Tree) fileOf(n *inode) *file {
	f := t.useFile(n)
	if f.content == nil {
		f.content = t.store.NewFile(n.attr, t.seen(n), f)
		f.lru.node = n
	}
	t.contents.touch(&f.lru)
	if t.contents.len > maxContents {
		t.trim()
	}
	return f
}

// seen returns a time at which n's mtime was a past one: when it was first seen,
// or earlier where the server's clock is known. Content that is fetched a while
// after it is told from later content by its mtime.
func (t *Tree) seen(n *inode) time.Time {
	seen := t.at(n.since)
	if t.clockTold != nil {
		t.clock.told(t.clockTold())
	}
	if over, ok := t.clock.passed(n.attr.Mtime, t.now()); ok && over.Before(seen) {
		return over
	}
	return seen
}

// proven reports whether all content that is kept may serve a new open, and drops
// what may not. What is learned of the server's clock counts also for what was
// fetched before.
func (f *file) proven() bool {
	if !f.wrote {
		f.content.Seen(f.n.attr.Mtime, f.t.seen(f.n))
	}
	return f.content.Fresh()
}

// useFile is fileOf for what needs no content.
func (t *Tree) useFile(n *inode) *file {
	if n.file == nil {
		n.file = &file{t: t, n: n, version: 1}
	}
	return n.file
}

// busy reports whether the inode must be kept for the file's sake.
func (f *file) busy() bool { return f.handles > 0 || f.behind.flying > 0 || f.dirty() }

func (f *file) dirty() bool { return f.content != nil && f.content.Dirty() }

// dropContent forgets a file's content and all else that is not an attribute.
func (t *Tree) dropContent(n *inode) {
	f := n.file
	n.file = nil
	t.walkDropped(f)
	t.contents.remove(&f.lru)
	if f.content != nil {
		n.attr.Size = f.content.Size()
		t.later = append(t.later, f.content.Forget)
	}
}

// learnContent passes attributes on to the content, which drops what they
// disprove; then so must the kernel.
func (t *Tree) learnContent(f *file, a conn.Attr, asked instant) {
	if f.content != nil && f.content.Learn(a, t.at(asked)) {
		f.changed()
	}
}

// mayRead reports whether the server is known to let us read the file: it did,
// when the mode and the owner were these, or the file is the login user's own
// and the mode lets its owner.
func (f *file) mayRead() bool {
	r, a := &f.readable, &f.n.attr
	return r.known && r.mode == a.Mode && r.uid == a.UID && r.gid == a.GID ||
		f.t.ours(f.n) && (f.t.info.UID == 0 || a.Mode&0o400 != 0)
}

// readAllowed takes note that the server let us read the file when it had these
// attributes.
func (f *file) readAllowed(a conn.Attr) {
	f.readable.known, f.readable.mode, f.readable.uid, f.readable.gid = true, a.Mode, a.UID, a.GID
}

// OpenRemote implements content.Opener.
func (f *file) OpenRemote(flags conn.OpenFlags) (conn.File, *conn.Call[conn.Attr]) {
	t := f.t
	t.mu.Lock()
	path := t.path(f.n)
	t.unlock()
	if path == "" {
		return nil, conn.Answered(conn.Attr{}, error(&conn.Error{Op: "open", Kind: conn.Stale}))
	}
	rf, opened := t.remote.Open(path, flags&^(conn.OpenCreate|conn.OpenExcl|conn.OpenTrunc), 0)
	if flags&conn.OpenRead != 0 {
		opened.Then(func(a conn.Attr, err error) {
			t.mu.Lock()
			defer t.unlock()
			if err == nil {
				f.readAllowed(a)
			}
		})
	}
	return rf, opened
}

// ResizeRemote implements content.Opener. The new times come right behind, with
// the same wait.
func (f *file) ResizeRemote(size int64) *conn.Call[struct{}] {
	t := f.t
	t.mu.Lock()
	path := t.path(f.n)
	t.unlock()
	if path == "" {
		return conn.Answered(struct{}{}, error(&conn.Error{Op: "truncate", Kind: conn.Stale}))
	}
	done := conn.NewCall[struct{}](nil)
	resized := t.remote.SetAttr(path, conn.SetAttr{Valid: conn.SetSize, Attr: conn.Attr{Size: size}})
	t.remote.Lstat(path).Then(func(a conn.Attr, err error) {
		resized.Then(func(v struct{}, failed error) {
			if failed == nil && err == nil && a.Mode.IsRegular() {
				t.mu.Lock()
				f.resized = a
				t.unlock()
			}
			done.Finish(v, failed)
		})
	})
	return done
}

// Wrote implements content.Opener: the server has everything that was written
// until asked, and these attributes.
func (f *file) Wrote(a conn.Attr, asked time.Time, changed bool) {
	t := f.t
	t.mu.Lock()
	defer t.unlock()
	if changed {
		f.changed()
	}
	if f.n.file != f || f.dirty() {
		return
	}
	f.wrote = false
	t.learn(f.n, a, instant(asked.Sub(t.base)), true)
}

// changed takes note that the content is another one, by another hand.
func (f *file) changed() {
	f.version++
	if f.handles > 0 {
		f.t.noteContent(f.n)
	}
}

// hold sees to it that the server has the handles that are needed of a file
// that is open here, before its name goes. Tree.mu is not held; f may be nil.
func (f *file) hold() {
	if f == nil {
		return
	}
	f.t.mu.Lock()
	need := f.handles > 0
	f.t.unlock()
	if need {
		f.content.Hold()
	}
}

// moved tells the content the file's path; "" says that it has none.
func (f *file) moved(path string) {
	if f.content != nil {
		c := f.content
		f.t.later = append(f.t.later, func() { c.Moved(path) })
	}
}

// settle waits until the changes of attributes that nobody waited for are
// answered, and reports the first that failed, once. Tree.mu is held; f may be
// nil.
func (t *Tree) settle(ctx context.Context, f *file) error {
	if f == nil {
		return nil
	}
	if err := t.quiet(ctx, &f.behind); err != nil {
		return err
	}
	return f.behind.report()
}

// rest is called when a file may have come to rest.
func (f *file) rest() {
	t := f.t
	if f.handles > 0 || f.behind.flying > 0 {
		return
	}
	if !f.dirty() {
		delete(t.open, f)
	}
	if f.content == nil && f.behind.lost == nil && f.n.file == f {
		f.n.file = nil
	}
	t.release(f.n)
}

// Sync waits until the server has everything that was written and every change
// that nobody waited for. It reports the first loss that no file's flush has
// reported yet; that will nevertheless.
func (t *Tree) Sync(ctx context.Context) error {
	err := t.store.Flush(ctx)
	t.mu.Lock()
	defer t.unlock()
	for f := range t.open {
		if e := t.quiet(ctx, &f.behind); e != nil {
			return e
		}
		if err == nil {
			err = f.behind.lost
		}
	}
	if e := t.quiet(ctx, &t.behind); e != nil {
		return e
	}
	if e := t.behind.report(); err == nil {
		err = e
	}
	return err
}

var _ content.Opener = (*file)(nil)
