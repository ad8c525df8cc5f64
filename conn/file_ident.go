package conn

import "strings"

// ident is what is known of the file that a path names, to tell after a
// reconnect, or on another lane, whether it is still the same one. SFTP has no
// inode numbers: it is the same if size and mtime are, or if what differs is
// explained by changes of our own that nobody has looked at since.
type ident struct {
	path    string
	refs    int    // open files
	attr    Attr   // as last told
	known   bool   // attr was told
	changed uint64 // seq of our last change; 0: attr is younger
	end     int64  // how far our changes since attr reached
	pending int    // changes of ours that were not answered
}

// identOf returns the ident of a path for one more open file. c.mu is held.
func (c *Client) identOf(path string) *ident {
	id := c.idents[path]
	if id == nil {
		id = &ident{path: path}
		c.idents[path] = id
	}
	id.refs++
	return id
}

// release forgets an ident with its last file. c.mu is held.
func (id *ident) release(c *Client) {
	if id.refs--; id.refs == 0 && c.idents[id.path] == id {
		delete(c.idents, id.path)
	}
}

// explains reports whether a is of the file that id knows.
func (id *ident) explains(a Attr) bool {
	switch {
	case !a.Mode.IsRegular() || id.known && a.UID != id.attr.UID:
		return false
	case !id.known:
		return true
	case id.changed == 0:
		return a.Size == id.attr.Size && a.Mtime == id.attr.Mtime
	}
	return a.Size <= max(id.attr.Size, id.end)
}

// change notes that an op of ours changes the file, up to an offset.
func (id *ident) change(seq uint64, end int64) {
	if id.changed == 0 {
		id.end = id.attr.Size
	}
	id.changed = seq
	id.end = max(id.end, end)
}

// noteStart notes what o is going to change. c.mu is held.
func (c *Client) noteStart(o *op) {
	id := c.noteOf(o)
	if id == nil {
		return
	}
	o.alone = id.pending == 0
	defer func() {
		if id.changed == o.seq {
			id.pending++
			o.counts = true
		}
	}()
	switch o.q.kind {
	case reqWrite:
		end := o.q.off + int64(len(o.q.buf))
		if o.file.flags&OpenAppend != 0 {
			end = max(id.end, id.attr.Size) + int64(len(o.q.buf))
		}
		id.change(o.seq, end)
	case reqCopy:
		id.change(o.seq, o.q.dstOff+o.q.size)
	case reqFsetstat, reqSetstat, reqLsetstat:
		end := int64(0)
		if o.q.set.Valid&SetSize != 0 {
			end = o.q.set.Size
		}
		id.change(o.seq, end)
	case reqOpen:
		if o.q.flags&(OpenTrunc|OpenCreate) != 0 {
			id.change(o.seq, 0)
		}
	}
}

// uncount takes it that a change was answered, or never will be. c.mu is held.
func (c *Client) uncount(o *op) {
	if !o.counts {
		return
	}
	o.counts = false
	if id := c.noteOf(o); id != nil && id.pending > 0 {
		id.pending--
	}
}

// note takes attributes that o's answer told. While changes are on their way,
// on whichever lane, only a look through the handle stands behind them. c.mu is
// held.
func (c *Client) note(o *op, a Attr, err error) {
	c.uncount(o)
	id := c.noteOf(o)
	if id == nil || err != nil || a.Mode == 0 {
		return
	}
	if o.seq >= id.changed && id.pending == 0 && (o.alone || o.q.kind == reqFstat) {
		id.attr, id.known, id.changed, id.end = a, true, 0, 0
	}
}

// noteOf returns the ident that o is about, if there is one. c.mu is held.
func (c *Client) noteOf(o *op) *ident {
	if o.file != nil {
		return o.file.id
	}
	switch o.q.kind {
	case reqLstat, reqSetstat, reqLsetstat:
		return c.idents[o.q.path]
	}
	return nil
}

// moved takes note that the name old, or all below it, became new; "": that it
// is gone. What was at new is gone. Files that were opened by operations after
// seq are others. c.mu is held.
func (c *Client) moved(seq uint64, old, new string) {
	if old == new {
		return
	}
	before := func(f *file) bool { return f.openSeq <= seq && f.path != "" }
	for f := range c.files { // first: what comes to the name takes over nothing from what was there
		if before(f) && f.path == new {
			f.rename("")
		}
	}
	for f := range c.files {
		if !before(f) || f.path != old && (new == "" || !below(f.path, old)) {
			continue
		}
		to := ""
		if new != "" {
			to = new + strings.TrimPrefix(f.path, old)
		}
		f.rename(to)
	}
}

// rename gives the file another name. What is known of it goes along. c.mu is
// held.
func (f *file) rename(path string) {
	if f.path == path {
		return
	}
	c := f.c
	if _, used := c.files[f]; !used {
		f.path = path
		return
	}
	known := *f.id
	f.id.release(c)
	f.path = path
	f.id = c.identOf(path)
	if path == "" || f.id.refs == 1 {
		refs := f.id.refs
		*f.id = known
		f.id.path, f.id.refs = path, refs
	}
	f.alone = f.alone || path == ""
}
