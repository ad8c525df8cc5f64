package faults

import "sync"

// maxQueued bounds a queue's bytes: more than a link of a second's round trip
// has in flight on one channel, whose window is 2 MiB.
const maxQueued = 16 << 20

// queue is a first-in first-out queue between two goroutines. After close,
// put refuses and get returns what is left, then nothing.
type queue[T any] struct {
	mu     sync.Mutex // guards what follows
	wake   sync.Cond  // of mu: any of it changed
	items  []T
	sizes  []int
	bytes  int
	closed bool
}

func (q *queue[T]) init() { q.wake.L = &q.mu }

// put waits for room.
func (q *queue[T]) put(item T, size int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.bytes > maxQueued && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return false
	}
	q.items, q.sizes, q.bytes = append(q.items, item), append(q.sizes, size), q.bytes+size
	q.wake.Broadcast()
	return true
}

// get waits for an item; false once the queue is closed and empty.
func (q *queue[T]) get() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && !q.closed {
		q.wake.Wait()
	}
	if len(q.items) == 0 {
		return item, false
	}
	item = q.items[0]
	q.bytes -= q.sizes[0]
	q.items, q.sizes = q.items[1:], q.sizes[1:]
	q.wake.Broadcast()
	return item, true
}

func (q *queue[T]) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0
}

func (q *queue[T]) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake.Broadcast()
}
