package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// Bounds of what is fetched ahead of files.
const (
	// smallFile is the largest file that is fetched ahead: one READ.
	smallFile = 256 << 10
	// maxAhead bounds the bytes fetched ahead and not asked for.
	maxAhead = 16 << 20
	// minStreak is how many files must be opened in an order, after a first
	// one, before the next ones are fetched; one if it is the very next.
	minStreak = 2
)

// fileWalk is what the walker knows of a file.
type fileWalk struct {
	ahead   bool          // fetched ahead and not opened yet
	aheadAt instant       // when, the last time
	size    int64         // bytes that were counted for it
	opened  instant       // by a program
	done    chan struct{} // closed when what is being fetched ahead is here; nil: nothing is
}

// walkOpen follows a program that opens files for reading: when they come in
// the order of a walk, the next small ones are fetched ahead.
func (t *Tree) walkOpen(n *inode, flags conn.OpenFlags) {
	if flags&^conn.OpenBackground != conn.OpenRead || n.names == nil {
		return
	}
	now := t.tick()
	f := t.useFile(n)
	w := &t.walk
	w.restart(now, instant(t.ttl))
	expected := t.stepFile(n, now)
	t.expireFiles(now)
	here := f.here()
	switch {
	case f.walk.ahead:
		t.useAhead(f)
		w.used++
		w.files.give(2)
		w.files.grow(f.walk.done != nil)
	case expected && n.attr.Size <= smallFile && !here:
		w.files.give(1)
		w.files.grow(true)
	}
	w.opened, w.openedAt, f.walk.opened = n, now, now
	if w.streak >= minStreak {
		t.extendFiles(n, now, !here)
	}
}

// stepFile weighs the opening of a file after the last one, and reports whether
// there is evidence enough that it was expected.
func (t *Tree) stepFile(n *inode, now instant) bool {
	w := &t.walk
	last := w.opened
	if last == nil || last.names == nil || now-w.openedAt > pause {
		w.streak = 0
		return false
	}
	from, to := last.names.in, n.names.in
	d := to.dir
	at := d.find(n.names, d.walk.fileAt)
	switch {
	case last == n, at < 0:
	case from != to && to.names != nil && t.walked(to.names.in, now), from != to && t.within(to, from):
		w.streak++ // on through the directories
	case from != to:
		w.streak = 0
	case at == d.walk.fileAt+1:
		w.streak += minStreak // next to each other
	case at > d.walk.fileAt || n.names.text > last.names.text:
		w.streak++
	default:
		w.streak = 0
	}
	d.walk.fileAt = at
	return w.streak >= minStreak
}

// extendFiles fetches the files that follow n, as far as the window goes; what
// grew stale since, only if the walk waits.
func (t *Tree) extendFiles(n *inode, now instant, waits bool) {
	w := &t.walk.files
	near := 0
	d := n.names.in
	t.follow(d, d.dir.walk.fileAt, now, true, func(*inode) {}, func(nm *name) (down, on bool) {
		if nm.node.attr.Mode.IsRegular() {
			t.fetchAhead(nm.node, now, waits)
		}
		if f := nm.node.file; f != nil && f.walk.ahead {
			near++
		}
		return true, near < w.size && w.unused < maxBudget && w.budget > 0 && w.bytes < maxAhead
	})
}

// fetchAhead reads a small file that nobody has asked for yet.
func (t *Tree) fetchAhead(n *inode, now instant, again bool) {
	a := &n.attr
	if a.Size == 0 || a.Size > smallFile || t.ours(n) && t.info.UID != 0 && a.Mode&0o400 == 0 {
		return
	}
	if f := n.file; f != nil && (f.handles > 0 || t.fresh(f.walk.opened, now) || f.here() || f.walk.done != nil) {
		return
	}
	f := t.fileOf(n)
	if f.walk.ahead && !again {
		return
	}
	w := &t.walk.files
	if !f.walk.ahead {
		f.walk.ahead, f.walk.size = true, a.Size
		w.take()
		w.bytes += a.Size
		t.walk.ahead++
	}
	done := make(chan struct{})
	f.walk.done, f.walk.aheadAt = done, now
	w.queue = append(w.queue, aheadItem{f: f, asked: now})
	t.later = append(t.later, func() {
		f.content.Prefetch().Then(func(_ struct{}, err error) {
			t.mu.Lock()
			defer t.unlock()
			close(done)
			if f.walk.done == done {
				f.walk.done = nil
			}
			if err != nil && f.walk.ahead {
				t.useAhead(f)
			}
		})
	})
}

// here reports whether the content is cached and may serve an open.
func (f *file) here() bool {
	if f.content == nil {
		return false
	}
	f.proven() // drops what may not; what the kernel has is KeepCache's concern
	return f.content.Whole()
}

// useAhead takes a file out of what is ahead.
func (t *Tree) useAhead(f *file) {
	f.walk.ahead = false
	t.walk.files.unused--
	t.walk.files.bytes -= f.walk.size
}

// walkDropped is told that a file's content is being forgotten.
func (t *Tree) walkDropped(f *file) {
	if f.walk.ahead {
		t.useAhead(f)
	}
	if t.walk.opened == f.n {
		t.walk.opened = nil
	}
}

// expireFiles gives up on what was fetched ahead and not opened in this walk.
func (t *Tree) expireFiles(now instant) {
	w := &t.walk.files
	for len(w.queue) > 0 {
		it := w.queue[0]
		if it.f.walk.ahead && it.f.walk.aheadAt == it.asked {
			if now-it.asked <= pause {
				return
			}
			t.useAhead(it.f)
			w.shrink()
		}
		w.queue = w.queue[1:]
	}
}

// awaitAhead waits for what is being fetched of a file that is opened for
// reading: it is nearer than anything asked for now.
func (t *Tree) awaitAhead(ctx context.Context, f *file, flags conn.OpenFlags) error {
	if flags&^conn.OpenBackground != conn.OpenRead || f.walk.done == nil {
		return nil
	}
	return t.wait(ctx, f.walk.done, nil)
}
