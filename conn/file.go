package conn

import (
	"slices"
	"sort"
)

// file implements File: one open file, whose handle on its own lane comes and
// goes with the connection, with further handles on bulk lanes.
type file struct {
	c     *Client
	flags OpenFlags
	perm  Mode

	// Guarded by Client.mu.
	path     string // for reopening; "": it has none any more
	id       *ident // what is known of the file at path
	openSeq  uint64 // of the op that opened it
	gates    uint64 // of the listing that it stands for, as a gate: see Client.gate
	size     int64  // when it was opened again
	opened   bool   // the server has opened it once: from now on only reopened
	begun    bool   // as opened, but the connection was lost before the attributes came
	created  bool   // by that opening
	home     *lane  // where handle is; nil while there is none
	handle   handle
	ready    bool  // handle can be used
	err      error // it can't be used any more
	closed   bool
	queue    []*op // what waits for the handle, or for strays; by seq
	asked    int64 // bytes of reads and writes that are not answered
	strays   int   // data ops that are not on the home lane
	writes   []*op // of those, writes; while there are any, Client.writing has the file as writingAs
	resizing int   // size changes that are not answered
	onLanes  map[*lane]*laneFile

	writingAs string
	alone     bool // bulk lanes must not open it
}

var _ File = (*file)(nil)

// Open implements Remote. Its requests are OPEN and an LSTAT of the name, which
// must be a regular file: a link at its end is refused. Where the server's
// umask might take permission bits from a file that this creates, an LSTAT
// before it tells whether it does.
func (c *Client) Open(path string, flags OpenFlags, perm Mode) (File, *Call[Attr]) {
	perm = perm.Perm()
	f := &file{c: c, path: path, flags: flags, perm: perm, onLanes: make(map[*lane]*laneFile)}
	o := &op{q: request{kind: reqOpen, path: path, flags: flags &^ OpenBackground, perm: perm}, file: f, follow: true}
	if flags&OpenBackground != 0 {
		o.class = Background
	}
	c.mu.Lock()
	defer c.unlock()
	o.look = flags&OpenCreate != 0 && flags&OpenExcl == 0 && perm&c.strips != 0
	c.files[f] = struct{}{}
	f.id = c.identOf(path)
	o.learned = func(r *request, a Attr, err error) error { return f.answered(o, r, a, err) }
	call := NewCall[Attr](nil)
	o.finish = func(_ *request, a Attr, err error) {
		if f.created {
			a.Mode |= perm
		}
		call.Finish(a, err)
	}
	c.enter(o)
	f.openSeq = o.seq
	return f, call
}

// answered takes the answer to the first opening. c.mu is held.
func (f *file) answered(o *op, r *request, a Attr, err error) error {
	if err == nil && !a.Mode.IsRegular() {
		err = &Error{Op: "open", Path: f.path, Kind: wrongType(a.Mode)}
	}
	if r != nil && r.err == nil && r.opened != "" && err != nil {
		f.c.discard(o.lane, r.opened)
	}
	if err != nil {
		f.fail(err)
		return err
	}
	f.opened = true
	f.created = f.flags&OpenExcl != 0 || o.look && !o.decided && KindOf(o.rs[0].err) == NotExist
	f.adopt(o.lane, r.opened)
	if f.created && f.c.stripped(f.perm, a.Mode) {
		set := SetAttr{Valid: SetMode, Attr: Attr{Mode: f.perm}}
		f.c.first(f, &op{q: request{kind: reqFsetstat, set: set}, file: f, finish: ignore})
	}
	return nil
}

// first has o sent before all that waits for the handle. c.mu is held.
func (c *Client) first(f *file, o *op) {
	c.seq++
	o.seq, o.since, o.entered = c.seq, c.now(), c.state.generation
	c.live++
	c.send(f.home, o)
}

func wrongType(m Mode) Kind {
	switch {
	case m.IsDir():
		return IsDir
	case m.IsSymlink():
		return LinkLoop
	}
	return Invalid
}

// adopt takes a handle into use. c.mu is held.
func (f *file) adopt(l *lane, h handle) {
	f.home, f.handle, f.ready = l, h, true
	l.handles++
}

// fail makes the file unusable. c.mu is held; the caller drains.
func (f *file) fail(err error) {
	f.err, f.ready = err, false
	if f.home != nil && f.handle != "" {
		f.c.discard(f.home, f.handle)
	}
	f.home, f.handle = nil, ""
	f.c.forget(f)
}

// discard closes a handle that nobody uses. c.mu is held.
func (c *Client) discard(l *lane, h handle) {
	if l != nil {
		l.s.start(&request{kind: reqClose, handle: h, done: func(*request) {}})
	}
}

// openFlags are the flags for opening, or for opening again. c.mu is held.
func (f *file) openFlags() OpenFlags {
	flags := f.flags &^ OpenBackground
	if f.opened || f.begun {
		flags &^= OpenCreate | OpenExcl | OpenTrunc
	}
	return flags
}

// handleOn returns the handle on one lane. c.mu is held.
func (f *file) handleOn(l *lane) handle {
	if l == f.home {
		return f.handle
	}
	if lf := f.onLanes[l]; lf != nil {
		return lf.handle
	}
	return ""
}

// holds reports whether o, one of its operations, must wait in the queue.
// c.mu is held.
func (f *file) holds(o *op) bool {
	switch {
	case f.err != nil:
		return false
	case !f.serves():
		return true
	case o.q.kind == reqRead:
		return false
	}
	return len(f.queue) > 0 || f.behindStrays(o)
}

// serves reports whether what needs the handle can be sent. A file that was
// opened again over a connection which does not serve yet has to wait for what
// is replayed first. A gate has no handle. c.mu is held.
func (f *file) serves() bool { return f.ready && (f.c.names != nil || f.gates != 0) }

// behindStrays reports whether o must come after data that is on other lanes,
// or in no lane yet. c.mu is held.
func (f *file) behindStrays(o *op) bool {
	switch o.q.kind {
	case reqRead, reqWrite:
		return false
	case reqClose, reqCopy:
		return f.strays > 0
	}
	return len(f.writes) > 0
}

// writesBefore reports whether data that was started before o is on other lanes,
// or in no lane yet. c.mu is held.
func (f *file) writesBefore(o *op) bool {
	return slices.ContainsFunc(f.writes, func(w *op) bool { return w.seq < o.seq })
}

// hold puts o into the queue, by its place in the order. c.mu is held.
func (f *file) hold(o *op) {
	i := sort.Search(len(f.queue), func(i int) bool { return f.queue[i].seq > o.seq })
	f.queue = slices.Insert(f.queue, i, o)
	if o.class == Background || f.flags&OpenBackground != 0 {
		return
	}
	if o.heldAs == nil {
		if o.heldAs = []string{f.path}; o.file == nil || o.opens() {
			o.heldAs = o.paths()
		}
	}
	for _, p := range o.heldAs {
		f.c.held.add(p, f)
	}
}

// unhold takes o out of the queue. c.mu is held.
func (f *file) unhold(o *op) {
	i := slices.Index(f.queue, o)
	if i < 0 {
		return
	}
	f.queue = slices.Delete(f.queue, i, i+1)
	for _, p := range o.heldAs {
		f.c.held.remove(p, f)
	}
	if o.blocked--; o.blocked == 0 {
		o.heldAs = nil
	}
}

// takeQueue empties the queue. c.mu is held.
func (f *file) takeQueue() {
	for _, o := range slices.Clone(f.queue) {
		f.unhold(o)
	}
}

// drain sends what need not wait any longer. c.mu is held.
func (c *Client) drain(f *file) {
	for len(f.queue) > 0 && (f.serves() || f.err != nil) {
		o := f.queue[0]
		own := o.file == f && !o.opens()
		if f.err == nil && ((own || o.src == f) && f.behindStrays(o) || !own && o.alters() && f.writesBefore(o)) {
			return
		}
		f.unhold(o)
		switch {
		case o.blocked > 0 || o.over:
		case own && f.err != nil:
			c.refuse(o, f.err)
		case own:
			c.route(o)
		default:
			c.admit(o) // what came back with a loss may hold its names by now
		}
	}
}

// do starts an operation on the open file.
func (f *file) do(o *op) {
	o.file = f
	if f.flags&OpenBackground != 0 {
		o.class = Background
	}
	f.c.mu.Lock()
	defer f.c.unlock()
	f.enter(o)
}

// enter starts an operation of the file. c.mu is held.
func (f *file) enter(o *op) {
	switch {
	case f.closed:
		f.c.live++
		f.c.end(o, nil, Attr{}, &Error{Op: reqNames[o.q.kind], Path: f.path, Kind: BadHandle})
		return
	case f.err == nil:
		f.began(o)
	}
	f.c.enter(o)
}

// began and ended count what of the file is not answered. c.mu is held.
func (f *file) began(o *op) {
	switch o.q.kind {
	case reqRead, reqWrite:
		f.asked += int64(len(o.q.buf))
	case reqFsetstat:
		if o.q.set.Valid&SetSize != 0 {
			f.resizing++
		}
	}
}

func (f *file) ended(o *op) {
	f.unstray(o)
	switch o.q.kind {
	case reqRead, reqWrite:
		f.asked -= int64(len(o.q.buf))
	case reqFsetstat:
		if o.q.set.Valid&SetSize != 0 {
			f.resizing--
		}
	}
}

// stray counts a data op that is not on the home lane, unstray the end of
// that. c.mu is held.
func (f *file) stray(o *op) {
	if o.stray {
		return
	}
	o.stray = true
	f.strays++
	if o.q.kind != reqWrite {
		return
	}
	if f.writes = append(f.writes, o); len(f.writes) == 1 {
		f.writingAs = f.path
		f.c.writing.add(f.writingAs, f)
	}
}

func (f *file) unstray(o *op) {
	if !o.stray {
		return
	}
	o.stray = false
	f.strays--
	if i := slices.Index(f.writes, o); i >= 0 {
		if f.writes = slices.Delete(f.writes, i, i+1); len(f.writes) == 0 {
			f.c.writing.remove(f.writingAs, f)
		}
	}
}

// SetAttr implements File.
func (f *file) SetAttr(set SetAttr) *Call[struct{}] {
	return askFile(f, &op{q: request{kind: reqFsetstat, set: set}}, justNothing)
}

// Stat implements File.
func (f *file) Stat() *Call[Attr] {
	return askFile(f, &op{q: request{kind: reqFstat}}, justAttr)
}

// Sync implements File.
func (f *file) Sync() *Call[struct{}] {
	o := &op{q: request{kind: reqFsync}}
	if !f.c.able.fsync {
		o.q.kind = reqFstat
	}
	return askFile(f, o, justNothing)
}

func askFile[T any](f *file, o *op, answer func(*request, Attr) T) *Call[T] {
	call := NewCall[T](func(error) bool { return f.c.withdraw(o) })
	o.finish = func(r *request, a Attr, err error) {
		var v T
		if err == nil {
			v = answer(r, a)
		}
		call.Finish(v, err)
	}
	f.do(o)
	return call
}

// Moved implements File.
func (f *file) Moved(path string) {
	f.c.mu.Lock()
	defer f.c.unlock()
	f.rename(path)
}

// Close implements File.
func (f *file) Close() {
	f.c.mu.Lock()
	defer f.c.unlock()
	if f.closed {
		return
	}
	o := &op{q: request{kind: reqClose}, file: f, finish: ignore}
	o.learned = func(*request, Attr, error) error {
		f.home, f.handle, f.ready = nil, "", false
		f.c.forget(f)
		return nil
	}
	f.closed = true
	if f.err == nil {
		f.c.enter(o)
		f.c.endCloses()
	}
}

// endCloses ends the closing of files whose handle went with its connection,
// and of which nothing else waits. c.mu is held.
func (c *Client) endCloses() {
	if c.names != nil || len(c.ending) > 0 {
		return
	}
	for f := range c.files {
		if len(f.queue) == 1 && f.closed && f.opened && f.asked == 0 && !f.waits() {
			o := f.queue[0]
			f.unhold(o)
			c.forget(f)
			c.end(o, nil, Attr{}, nil)
		}
	}
}

// forget drops a file that is closed, with its handles on other lanes. c.mu is
// held.
func (c *Client) forget(f *file) {
	if _, known := c.files[f]; !known {
		return
	}
	for l := range f.onLanes {
		f.leave(l)
	}
	delete(c.files, f)
	f.id.release(c)
}

// refuse ends an op that can't be sent any more. c.mu is held.
func (c *Client) refuse(o *op, err error) {
	if f := o.file; f != nil {
		f.ended(o)
		if o.q.kind == reqClose {
			c.forget(f)
		}
		if o.opens() {
			f.fail(err)
		}
		c.drain(f)
	}
	c.end(o, nil, Attr{}, err)
}
