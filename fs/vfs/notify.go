package vfs

import "sync"

// notes is what the kernel must still be told.
type notes struct {
	mu     sync.Mutex // guards all below; a leaf
	to     Notifier
	queue  []func(Notifier)
	wake   chan struct{} // holds one while there may be something in queue
	closed bool
}

// SetNotifier gives the Tree its way to the kernel; nil takes it away.
func (t *Tree) SetNotifier(n Notifier) {
	t.notes.mu.Lock()
	defer t.notes.mu.Unlock()
	t.notes.to = n
	if n == nil {
		t.notes.queue = nil
	}
}

// put may be called with any lock held.
func (q *notes) put(note func(Notifier)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.to == nil || q.closed {
		return
	}
	q.queue = append(q.queue, note)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *notes) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.wake)
	}
}

// notify tells the kernel, until the notes are closed.
func (t *Tree) notify() {
	q := &t.notes
	for range q.wake {
		for {
			q.mu.Lock()
			if len(q.queue) == 0 || q.to == nil {
				q.mu.Unlock()
				break
			}
			note, to := q.queue[0], q.to
			q.queue = q.queue[1:]
			q.mu.Unlock()
			note(to)
		}
	}
}

func (t *Tree) noteEntry(d *inode, text string) {
	id := d.id
	t.notes.put(func(to Notifier) { to.InvalidateEntry(id, text) })
}

func (t *Tree) noteAttr(n *inode) {
	if id := n.id; n.lookups > 0 || t.anchor(n) {
		t.notes.put(func(to Notifier) { to.InvalidateAttr(id) })
	}
}

func (t *Tree) noteContent(n *inode) {
	if id := n.id; n.lookups > 0 {
		t.notes.put(func(to Notifier) { to.InvalidateContent(id, 0, -1) })
	}
}
