package vfs

import "strings"

// Changed says that the name at path, an absolute one on the server, was
// changed, made or removed there: what is known of it is not trusted any more,
// here and in the kernel. It is the way in for a watcher on the sandbox. Paths
// that are not shown, and those that nobody looked up, cost nothing. 0 round
// trips.
func (t *Tree) Changed(path string) {
	t.mu.Lock()
	defer t.unlock()
	d := t.root
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(t.rootPath, "/"))
	if !ok || rest != "" && rest[0] != '/' {
		if d, rest = t.outside, path; d == nil {
			return
		}
	}
	parts := strings.FieldsFunc(rest, func(r rune) bool { return r == '/' })
	if len(parts) == 0 {
		t.distrust(d)
		return
	}
	for i, part := range parts {
		nm := d.dir.children[part]
		if i == len(parts)-1 {
			d.dir.listed = never
			t.distrust(d)
			if nm != nil {
				nm.asked = never
				t.distrust(nm.node)
			}
			if nm == nil || nm.node.dir == nil {
				t.noteEntry(d, part) // a directory's name may be somebody's working directory
			}
			return
		}
		if nm == nil || nm.node.dir == nil {
			return
		}
		d = nm.node
	}
}

// distrust has an inode's attributes asked for again.
func (t *Tree) distrust(n *inode) {
	n.asked = never
	if n.file != nil && !n.file.busy() {
		t.dropContent(n) // size and mtime need not tell
	}
	if n.dir != nil {
		n.dir.listed = never
	}
	t.noteAttr(n)
}
