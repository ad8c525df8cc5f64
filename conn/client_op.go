package conn

import (
	"container/list"
	"slices"
	"strings"
	"time"
)

// op is one operation of Remote or File, or one chunk of it: a request, and
// where its answer leaves attributes out, an LSTAT right behind it. It is what
// waits, is sent, replayed and withdrawn.
type op struct {
	q      request // what is asked; copied for each sending
	class  Class
	file   *file // whose handle it needs, or which it opens
	src    *file // of a copy: where it reads
	look   bool  // an LSTAT of q.path goes before it
	follow bool  // an LSTAT of the name that it makes goes behind it
	// finish gives the Call its answer. r is nil where the op was not sent, or
	// decided by looking.
	finish func(r *request, a Attr, err error)
	// learned, where set, takes the answer under c.mu, before finish, and may
	// make an error of it.
	learned func(r *request, a Attr, err error) error

	// Guarded by Client.mu.
	seq       uint64
	since     time.Time     // when it was started
	lane      *lane         // that it was sent on, until the last answer
	sent      time.Time     // when
	place     *list.Element // among the lane's
	delivered int64         // by the line, when o was sent: see lineRate
	nth       uint64        // its place among all that were sent; ops that wait for others are overtaken
	rs        []*request
	left      int        // of rs
	lost      *lostError // its session ended first
	losses    int        // how often that was so
	entered   int        // the link's generation when it was started
	blocked   int        // queues that it stands in
	heldAs    []string   // the names that it holds there
	gate      *file      // of a listing: in whose queue those stand that must wait for its end
	stray     bool       // not on its file's own lane: what comes after must wait for it
	decided   bool       // its effect is there; only attributes are missing
	past      bool       // its effect was there when it was sent last
	over      bool       // ended or withdrawn
	counts    bool       // among its ident's pending changes
	alone     bool       // no change of its ident was pending when it was started
}

// main is the index in rs of the request itself.
func (o *op) main() int {
	if o.look {
		return 1
	}
	return 0
}

// opens reports whether o opens its file, rather than needs its handle.
func (o *op) opens() bool { return o.q.kind == reqOpen }

// made is the name that o makes or changes, for its attributes.
func (o *op) made() string {
	switch o.q.kind {
	case reqLink, reqRename, reqPosixRename:
		return o.q.to
	}
	return o.q.path
}

// paths returns the names that o is about.
func (o *op) paths() []string {
	switch o.q.kind {
	case reqLink, reqRename, reqPosixRename:
		return []string{o.q.path, o.q.to}
	}
	return []string{o.q.path}
}

// start takes o's place in the order of operations.
func (c *Client) start(o *op) {
	c.mu.Lock()
	defer c.unlock()
	c.enter(o)
}

// unlock releases c.mu and then runs what was left for after it: answers.
func (c *Client) unlock() {
	later := c.later
	c.later = nil
	c.mu.Unlock()
	for _, f := range later {
		f()
	}
}

// enter counts o and lets it go on its way. c.mu is held.
func (c *Client) enter(o *op) {
	c.seq++
	o.seq, o.since, o.entered = c.seq, c.now(), c.state.generation
	c.live++
	switch {
	case c.closed != nil:
		c.end(o, nil, Attr{}, c.closed)
	case o.file != nil && o.file.err != nil:
		c.end(o, nil, Attr{}, o.file.err)
	default:
		c.noteStart(o)
		c.gate(o)
		c.admit(o)
	}
}

// admit sends o where it may go at once, or has it wait. c.mu is held.
func (c *Client) admit(o *op) {
	behind := c.blockers(o)
	if len(behind) == 0 {
		c.route(o)
		return
	}
	o.blocked = len(behind)
	for _, f := range behind {
		f.hold(o)
	}
	if c.names == nil {
		c.poke()
	}
}

// blockers returns the files whose queues o must stand in. c.mu is held.
func (c *Client) blockers(o *op) []*file {
	if o.file != nil && !o.opens() {
		var behind []*file
		if o.file.holds(o) {
			behind = append(behind, o.file)
		}
		if o.src != nil && o.src != o.file && o.src.holds(o) {
			behind = append(behind, o.src)
		}
		return behind
	}
	if len(c.held)+len(c.listing)+len(c.writing) == 0 || o.class == Background {
		return nil
	}
	var behind []*file
	tree := o.q.kind == reqRename || o.q.kind == reqPosixRename || o.q.kind == reqRmdir
	for _, p := range o.paths() {
		behind = c.held.on(behind, p, tree || o.q.kind == reqList)
		if tree {
			behind = c.listing.at(behind, p)
		}
		if o.alters() {
			behind = c.writing.on(behind, p, tree)
		}
	}
	return slices.DeleteFunc(behind, func(f *file) bool {
		return f.err != nil || !f.precedes(o) && !(o.alters() && f.writesBefore(o))
	})
}

// alters reports whether o changes or publishes what has its names, so that it
// must not overtake what was written there.
func (o *op) alters() bool {
	return o.file == nil && mutates(o) || o.opens() && o.q.flags&OpenTrunc != 0
}

// precedes reports whether something in f's queue, or the listing that f stands
// for, was started before o. After a loss ops come back that are older than what
// waits for them: an opening must not wait behind its own file. c.mu is held.
func (f *file) precedes(o *op) bool {
	if f.gates != 0 && !f.ready && f.gates < o.seq {
		return true
	}
	return len(f.queue) > 0 && f.queue[0].seq < o.seq
}

// gate has operations that take path away, or what is below it, wait for o's
// end: a listing takes several requests. c.mu is held.
func (c *Client) gate(o *op) {
	if o.q.kind != reqList || o.class == Background {
		return
	}
	o.gate = &file{c: c, path: o.q.path, gates: o.seq}
	c.listing.add(o.q.path, o.gate)
}

// ungate lets go what waited for o. c.mu is held.
func (c *Client) ungate(o *op) {
	if g := o.gate; g != nil {
		o.gate = nil
		c.listing.remove(g.path, g)
		g.ready = true
		c.drain(g)
	}
}

// route sends o, or puts it where it is fetched from. c.mu is held.
func (c *Client) route(o *op) {
	l := c.laneOf(o)
	switch {
	case o.file != nil && o.file.err != nil:
		c.refuse(o, o.file.err)
	case o.src != nil && o.src.err != nil:
		c.refuse(o, o.src.err)
	case l == nil:
		c.waiting = append(c.waiting, o)
		c.poke()
	case o.q.kind == reqRead || o.q.kind == reqWrite:
		c.bulk.add(o)
		c.pump()
	case o.src != nil && o.src.home != l:
		c.refuse(o, &Error{Op: "copy", Kind: Unsupported})
	default:
		c.send(l, o)
	}
}

// laneOf returns the lane of names or of Background for o, nil while the link
// is down. c.mu is held.
func (c *Client) laneOf(o *op) *lane {
	switch {
	case o.file != nil && !o.opens():
		return o.file.home
	case o.class == Background && c.ahead != nil:
		return c.ahead
	}
	return c.names
}

// send starts o's requests on l, back to back. c.mu is held.
func (c *Client) send(l *lane, o *op) {
	o.rs = c.requests(l, o)
	c.sent++
	o.nth, o.lane, o.left, o.lost, o.past = c.sent, l, len(o.rs), nil, known(o)
	l.add(o)
	for _, r := range o.rs {
		r.done = func(r *request) { c.replied(o, r) }
		l.s.start(r)
	}
}

// requests makes o's requests. c.mu is held.
func (c *Client) requests(l *lane, o *op) []*request {
	q := o.q
	if o.file != nil {
		q.handle = o.file.handleOn(l)
		if o.src != nil {
			q.handle, q.dst = o.src.handleOn(l), q.handle
		}
		if o.opens() {
			q.flags = o.file.openFlags()
			if o.file.path != "" {
				q.path = o.file.path
			}
		}
	}
	if told := o.q.some; told != nil {
		q.some = func(ls Listing) {
			c.mu.Lock()
			l.advance(o)
			c.mu.Unlock()
			told(ls)
		}
	}
	rs := make([]*request, 0, 3)
	if o.look {
		rs = append(rs, &request{kind: reqLstat, path: q.path})
	}
	rs = append(rs, &q)
	if o.follow {
		path := o.made()
		if o.opens() {
			path = q.path
		}
		rs = append(rs, &request{kind: reqLstat, path: path})
	}
	if o.decided {
		rs = rs[len(rs)-1:]
	}
	return rs
}

// replied takes one answer, on a session's goroutine.
func (c *Client) replied(o *op, r *request) {
	c.mu.Lock()
	defer c.unlock()
	if lost := asLost(r.err); lost != nil && (o.lost == nil || lost.sent && r == o.mainRequest()) {
		o.lost = lost
	}
	if o.left--; o.left > 0 {
		return
	}
	l := o.lane
	l.remove(o, o.lost == nil)
	switch {
	case o.over:
		o.lane = nil
	case o.lost != nil && !c.settled(o):
		o.lane = nil
		if l.hung && o.lost.sent && time.Since(o.since) > c.o.Timeout {
			c.refuse(o, &Error{Op: reqNames[o.q.kind], Path: o.q.path, Kind: TimedOut, Err: errHung})
			return
		}
		l.conn.lost = append(l.conn.lost, o) // Client.ended takes it back, with all others
	default:
		c.answered(o)
	}
}

func (o *op) mainRequest() *request {
	if o.decided {
		return nil
	}
	return o.rs[o.main()]
}

// settled reports whether a lost op has its answer nevertheless: a refusal that
// came before the loss. An op that was carried out and lost its attributes only
// asks for those. c.mu is held.
func (c *Client) settled(o *op) bool {
	m := o.mainRequest()
	if m == nil || asLost(m.err) != nil {
		return false
	}
	switch {
	case m.err == nil && o.opens():
		o.file.begun = true
		return false
	case m.err == nil && o.follow:
		o.decided = true
		return false
	}
	o.lost = nil
	return true
}

// answered makes the op's answer of its requests' and ends it. c.mu is held.
func (c *Client) answered(o *op) {
	m, a, err := o.mainRequest(), Attr{}, error(nil)
	if m == nil {
		m = &o.q
	} else {
		a, err = m.attr, m.err
	}
	if o.follow && err == nil {
		last := o.rs[len(o.rs)-1]
		a, err = last.attr, last.err
	}
	if err != nil && c.needsProbe(o, err) {
		c.later = append(c.later, func() { c.probe(o, m, err) })
		return
	}
	c.learn(o, m, a, err)
}

// learn takes what o's answer says into account and ends it. c.mu is held.
func (c *Client) learn(o *op, m *request, a Attr, err error) {
	if o.learned != nil {
		err = o.learned(m, a, err)
	}
	c.note(o, a, err)
	o.lane = nil
	if f := o.file; f != nil {
		f.ended(o)
		c.drain(f)
	}
	c.pump()
	c.end(o, m, a, err)
}

// end has o's answer given to who started it, once c.mu is released. c.mu is
// held.
func (c *Client) end(o *op, m *request, a Attr, err error) {
	if o.over {
		return
	}
	o.over = true
	c.uncount(o)
	c.ungate(o)
	if o.file != nil {
		err = named(err, o.file.path) // what was asked by handle names no file
	}
	c.later = append(c.later, func() {
		o.finish(m, a, err)
		c.mu.Lock()
		defer c.unlock()
		c.gone()
	})
}

// gone counts an op that ended. c.mu is held.
func (c *Client) gone() {
	c.live--
	if c.live == 0 && c.idle != nil {
		select {
		case <-c.idle:
		default:
			close(c.idle)
		}
	}
}

// holds are the names that ops wait on, with the files in whose queues they
// stand: an op on one of these names waits behind them.
type holds map[string][]*file

func (h holds) add(path string, f *file) { h[path] = append(h[path], f) }

func (h holds) remove(path string, f *file) {
	files := h[path]
	i := slices.Index(files, f)
	if i < 0 {
		return
	}
	if files = slices.Delete(files, i, i+1); len(files) == 0 {
		delete(h, path)
		return
	}
	h[path] = files
}

// on appends the files that hold path, a directory above it or, where tree is
// set, a name below it.
func (h holds) on(files []*file, path string, tree bool) []*file {
	add := func(more []*file) {
		for _, f := range more {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	for p := path; p != ""; p = p[:max(0, strings.LastIndexByte(p, '/'))] {
		add(h[p])
	}
	if tree {
		for p, more := range h {
			if below(p, path) {
				add(more)
			}
		}
	}
	return files
}

// at appends the files that hold path or a name below it.
func (h holds) at(files []*file, path string) []*file {
	for p, more := range h {
		if p == path || below(p, path) {
			files = append(files, more...)
		}
	}
	return files
}

// below reports whether path is somewhere below dir.
func below(path, dir string) bool {
	return len(path) > len(dir) && strings.HasPrefix(path, dir) && (path[len(dir)] == '/' || dir == "/")
}
