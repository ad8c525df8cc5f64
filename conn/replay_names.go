package conn

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// trace is the lost operations that make names or take them away, in the order
// in which they were sent, with what is seen of their names now. The lane of
// names carries its requests out in that order: what was carried out is a
// beginning of the trace. How long it is decides what no name by itself can
// tell: whether one that is there was not taken away yet, or is a new one.
type trace struct {
	ops   []*op
	seen  map[string]*request // an LSTAT of each name
	texts map[*op]*request    // a READLINK of each symbolic link that was to be made
}

// presence is what is known of a name.
type presence int8

const (
	unknown presence = iota
	absent
	present
)

// effect is what an operation needs of a name and makes of it.
type effect struct {
	name          string
	before, after presence
}

// effects returns what o does to its names, nil if it only changes what has
// them.
func effects(o *op) []effect {
	switch o.q.kind {
	case reqMkdir, reqSymlink:
		return []effect{{o.q.path, absent, present}}
	case reqLink:
		return []effect{{o.q.to, absent, present}}
	case reqOpen:
		switch {
		case o.q.flags&OpenCreate == 0:
		case o.q.flags&OpenExcl != 0:
			return []effect{{o.q.path, absent, present}}
		default:
			return []effect{{o.q.path, unknown, present}}
		}
	case reqRename:
		return []effect{{o.q.path, present, absent}, {o.q.to, absent, present}}
	case reqPosixRename:
		return []effect{{o.q.path, present, absent}, {o.q.to, unknown, present}}
	case reqUnlink, reqRmdir:
		return []effect{{o.q.path, present, absent}}
	}
	return nil
}

// newTrace makes the trace of what waits. c.mu is held.
func (c *Client) newTrace() *trace {
	t := &trace{seen: map[string]*request{}, texts: map[*op]*request{}}
	for _, o := range c.waiting {
		if o.lost == nil || !o.lost.sent || o.past {
			continue
		}
		made := effects(o)
		if made == nil {
			continue
		}
		t.ops = append(t.ops, o)
		for _, e := range made {
			if t.seen[e.name] == nil {
				t.seen[e.name] = &request{kind: reqLstat, path: e.name}
			}
		}
		if o.q.kind == reqSymlink {
			t.texts[o] = &request{kind: reqReadlink, path: o.q.path}
		}
	}
	slices.SortFunc(t.ops, func(a, b *op) int { return cmp.Compare(a.nth, b.nth) })
	return t
}

// looks are the requests that see.
func (t *trace) looks() (rs []*request) {
	for _, r := range t.seen {
		rs = append(rs, r)
	}
	for _, r := range t.texts {
		rs = append(rs, r)
	}
	return rs
}

// known reports whether o was carried out for certain: its answer came, and
// only attributes are missing.
func known(o *op) bool { return o.decided || o.opens() && o.file.begun }

// progress returns the shortest and the longest beginning of the trace that, if
// it was carried out, explain best what is seen.
func (t *trace) progress() (least, most int) {
	p := t.prediction()
	best := -1
	for n := 0; n <= len(t.ops); n++ {
		switch {
		case n < len(t.ops) && slices.ContainsFunc(t.ops[n:], known):
		case best < 0 || p.wrong < best:
			best, least, most = p.wrong, n, n
		case p.wrong == best:
			most = n
		}
		if n < len(t.ops) {
			p.carryOut(t.ops[n])
		}
	}
	return least, most
}

// prediction is how names would look, were so much of a trace carried out.
type prediction struct {
	t     *trace
	names map[string]presence
	wrong int // names that look otherwise
}

// prediction before anything was carried out: each name is as the first that is
// about it needs it to be.
func (t *trace) prediction() *prediction {
	p := &prediction{t: t, names: map[string]presence{}}
	for _, o := range slices.Backward(t.ops) {
		p.scatter(o)
		for _, e := range effects(o) {
			p.set(e.name, e.before)
		}
	}
	return p
}

func (p *prediction) carryOut(o *op) {
	p.scatter(o)
	for _, e := range effects(o) {
		p.set(e.name, e.after)
	}
}

// scatter forgets what is below a name that moves: it may be a directory's.
func (p *prediction) scatter(o *op) {
	if o.q.kind != reqRename && o.q.kind != reqPosixRename {
		return
	}
	for name := range p.names {
		if below(name, o.q.path) || below(name, o.q.to) {
			p.set(name, unknown)
		}
	}
}

func (p *prediction) set(name string, to presence) {
	p.wrong += p.mistaken(name, to) - p.mistaken(name, p.names[name])
	p.names[name] = to
}

func (p *prediction) mistaken(name string, as presence) int {
	seen := unknown
	switch r := p.t.seen[name]; {
	case r.err == nil:
		seen = present
	case missing(r):
		seen = absent
	}
	if seen == unknown || as == unknown || seen == as {
		return 0
	}
	return 1
}

// verdict decides the i-th of the trace.
func (t *trace) verdict(i, least, most int) verdict {
	o := t.ops[i]
	switch {
	case i >= most:
		return notDone
	case i < least && (ruleOf(o) != lookUp || touched(o, t.ops[i+1:least])):
		return carriedOut // and its names tell of later ones, or are not asked
	case ruleOf(o) != lookUp:
		return notDone
	}
	v := lookups[o.q.kind](o, t.answers(o))
	switch {
	case i < least:
		return v
	case v == unclear, remade(o, t.ops[i+1:most]):
		return unclear
	case o.q.kind == reqSymlink:
		return v
	}
	return notDone // like all from the shortest beginning on: to do them again does no harm
}

// answers are what o's look got.
func (t *trace) answers(o *op) []*request {
	switch o.q.kind {
	case reqSymlink:
		return []*request{t.texts[o]}
	case reqLink:
		return []*request{t.seen[o.q.to]}
	case reqRename, reqPosixRename:
		return []*request{t.seen[o.q.path], t.seen[o.q.to]}
	}
	return []*request{t.seen[o.q.path]}
}

// touched reports whether later ones are about one of o's names.
func touched(o *op, later []*op) bool {
	for _, e := range effects(o) {
		for _, x := range later {
			for _, y := range effects(x) {
				if y.name == e.name || below(e.name, y.name) {
					return true
				}
			}
		}
	}
	return false
}

// remade reports whether a later lost op may have made the name that o takes
// away: then that it is there proves nothing.
func remade(o *op, later []*op) bool {
	switch o.q.kind {
	case reqRename, reqPosixRename, reqUnlink, reqRmdir:
	default:
		return false
	}
	for _, x := range later {
		if x.q.kind != reqUnlink && x.q.kind != reqRmdir && x.made() == o.q.path {
			return true
		}
	}
	return false
}

// settle takes an op whose effect was found: it is answered, or only asks for
// its attributes. c.mu is held.
func (c *Client) settle(o *op) {
	if o.follow {
		o.decided = true
		return
	}
	c.unwait(o)
	c.learn(o, &o.q, Attr{}, nil)
}

// lookAtNames decides the lost ops on names. 1 round trip.
func (c *Client) lookAtNames(ctx context.Context, l *lane) error {
	c.mu.Lock()
	t := c.newTrace()
	c.mu.Unlock()
	if err := l.askAll(ctx, t.looks()...); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.unlock()
	least, most := t.progress()
	verdicts := make([]verdict, len(t.ops))
	for i := range t.ops {
		verdicts[i] = t.verdict(i, least, most)
	}
	for i, o := range t.ops {
		switch v := verdicts[i]; {
		case o.over:
		case v == unclear:
			c.unwait(o)
			c.refuse(o, &Error{Op: reqNames[o.q.kind], Path: o.q.path, Kind: Other, Err: errUnclear})
		case v == notDone:
			o.lost = nil
		case o.opens():
			o.file.begun = true
		default:
			c.overtaken(o)
			c.settle(o)
			c.outlived(o)
		}
	}
	for i, o := range t.ops {
		if verdicts[i] == carriedOut && o.opens() && o.file.path == "" && !o.over {
			c.unwait(o)
			c.refuse(o, &Error{Op: "open", Path: o.q.path, Kind: Stale}) // nobody can open it again
		}
	}
	return nil
}

// overtaken has changes of attributes that were started before o, which was
// carried out, go by the name that their object has now. What o took away is
// seen by nobody any more: its changes are answered. c.mu is held.
func (c *Client) overtaken(o *op) {
	old, new := o.q.path, ""
	switch o.q.kind {
	case reqRename, reqPosixRename:
		new = o.q.to
	case reqUnlink, reqRmdir:
	default:
		return
	}
	for _, x := range slices.Clone(c.waiting) {
		if x.seq >= o.seq || x.q.kind != reqSetstat && x.q.kind != reqLsetstat {
			continue
		}
		switch p := x.q.path; {
		case p == new, p == old && new == "":
			c.unwait(x)
			c.learn(x, &x.q, Attr{}, nil)
		case p == old, below(p, old):
			x.q.path = new + strings.TrimPrefix(p, old)
		}
	}
}

// outlived answers the changes of files whose last name o took away: the server
// got them before o, which was carried out, and nobody can open these files to
// see what became of them. c.mu is held.
func (c *Client) outlived(o *op) {
	for _, x := range slices.Clone(c.waiting) {
		if x.file == nil || x.file.path != "" || x.nth > o.nth || x.lost == nil || !x.lost.sent {
			continue
		}
		switch x.q.kind {
		case reqWrite, reqFsetstat, reqFsync:
			c.unwait(x)
			c.learn(x, &x.q, Attr{}, nil)
		}
	}
}
