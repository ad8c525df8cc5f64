package vfs

// Undelivered is bytes of a file that the server does not have.
type Undelivered struct {
	Path string // the file's on the server; that of its last name, where it has none any more
	Off  int64
	Data []byte // not to be changed
}

// Undelivered returns what was written and did not arrive: what failed, as far
// as there was room to keep it, and what is not answered. It may be called after
// Close, to save what is given up with the Tree. 0 round trips.
func (t *Tree) Undelivered() (all []Undelivered) {
	t.mu.Lock()
	defer t.unlock()
	for _, n := range t.nodes {
		if n.file == nil || n.file.content == nil {
			continue
		}
		for _, l := range n.file.content.Undelivered() {
			all = append(all, Undelivered{Path: t.path(n), Off: l.Off, Data: l.Data})
		}
	}
	return all
}
