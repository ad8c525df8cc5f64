package content

// links make a value part of one list; self is the value.
type links[T any] struct {
	prev, next *links[T]
	in         *list[T]
	self       T
}

// list is a doubly linked ring through the values themselves.
type list[T any] struct {
	root links[T] // root.next is the front
	len  int
}

// pushFront puts l in front, wherever it was.
func (q *list[T]) pushFront(l *links[T]) {
	if q.root.next != l {
		q.insertAfter(l, q.ring())
	}
}

// pushBack puts l at the back, wherever it was.
func (q *list[T]) pushBack(l *links[T]) {
	if q.ring().prev != l {
		q.insertAfter(l, q.root.prev)
	}
}

// insertAfter puts l behind p, which is in the list or its root.
func (q *list[T]) insertAfter(l, p *links[T]) {
	q.remove(l)
	l.in, l.prev, l.next = q, p, p.next
	l.prev.next, l.next.prev = l, l
	q.len++
}

func (q *list[T]) ring() *links[T] {
	if q.root.next == nil {
		q.root.next, q.root.prev = &q.root, &q.root
	}
	return &q.root
}

// remove takes l out, if it is in.
func (q *list[T]) remove(l *links[T]) {
	if l.in != q {
		return
	}
	l.prev.next, l.next.prev = l.next, l.prev
	l.in, l.prev, l.next = nil, nil, nil
	q.len--
}

// back returns the last value, the zero T if there is none.
func (q *list[T]) back() (none T) {
	if q.len == 0 {
		return none
	}
	return q.root.prev.self
}

// front returns the first value, the zero T if there is none.
func (q *list[T]) front() (none T) {
	if q.len == 0 {
		return none
	}
	return q.root.next.self
}

// before returns the value before l, the zero T if l is the first.
func (q *list[T]) before(l *links[T]) (none T) {
	if l.prev == &q.root {
		return none
	}
	return l.prev.self
}

// after returns the value after l, the zero T if l is the last.
func (q *list[T]) after(l *links[T]) (none T) {
	if l.next == &q.root {
		return none
	}
	return l.next.self
}
