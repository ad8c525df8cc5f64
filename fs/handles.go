package fs

import "sync"

// table gives what is open the numbers by which the kernel knows it, from 1,
// and uses them again once they are released.
type table[T any] struct {
	mu   sync.RWMutex // guards all below; a leaf
	open []*T         // by number, less 1; nil where free
	free []uint64     // numbers to use again
}

func (t *table[T]) add(v *T) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.free); n > 0 {
		id := t.free[n-1]
		t.free = t.free[:n-1]
		t.open[id-1] = v
		return id
	}
	t.open = append(t.open, v)
	return uint64(len(t.open))
}

// get returns nil for a number that stands for nothing.
func (t *table[T]) get(id uint64) *T {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if id == 0 || id > uint64(len(t.open)) {
		return nil
	}
	return t.open[id-1]
}

// remove returns what the number stood for, nil for nothing.
func (t *table[T]) remove(id uint64) *T {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id == 0 || id > uint64(len(t.open)) || t.open[id-1] == nil {
		return nil
	}
	v := t.open[id-1]
	t.open[id-1] = nil
	t.free = append(t.free, id)
	return v
}

// drain removes and returns everything.
func (t *table[T]) drain() (all []*T) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, v := range t.open {
		if v != nil {
			all = append(all, v)
		}
	}
	t.open, t.free = nil, nil
	return all
}
