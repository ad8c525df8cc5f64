package conn

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// rule says what becomes of a request whose connection was lost before its
// answer.
type rule uint8

const (
	again  rule = iota // asked or sent again: it changes nothing, or is idempotent
	lookUp             // decided by looking at its names: lookups
	drop               // the loss has done it
)

// rules is the table of what is replayed. What was not sent is sent, whatever
// its rule.
var rules = [...]rule{
	reqRealpath: again, reqLstat: again, reqStat: again, reqFstat: again, reqList: again,
	reqReadlink: again, reqStatvfs: again, reqRead: again,
	reqSetstat: again, reqLsetstat: again, reqFsetstat: again, reqFsync: again, reqCopy: again,
	reqWrite: again, // an append: lookUp, by ruleOf
	reqOpen:  again, // with OpenExcl: lookUp, likewise
	reqMkdir: lookUp, reqSymlink: lookUp, reqLink: lookUp, reqRename: lookUp, reqPosixRename: lookUp,
	reqUnlink: lookUp, reqRmdir: lookUp,
	reqClose: drop,
}

// ruleOf returns o's rule.
func ruleOf(o *op) rule {
	switch {
	case o.q.kind == reqClose:
		return drop
	case o.lost == nil || !o.lost.sent || o.decided:
		return again
	case o.q.kind == reqWrite && o.file.flags&OpenAppend != 0:
		return lookUp
	case o.opens() && o.q.flags&OpenExcl != 0 && !o.file.begun:
		return lookUp
	}
	return rules[o.q.kind]
}

// verdict is what a look decides.
type verdict uint8

const (
	notDone    verdict = iota // it was not carried out: sent again
	carriedOut                // it was
	unclear                   // nobody can know: it fails
)

// lookup is how a lost request is decided: the requests to look with, and the
// decision from their answers.
type lookup struct {
	ask    func(o *op) []*request
	decide func(o *op, rs []*request) verdict
}

var lookups = map[reqKind]lookup{
	reqMkdir:       {lstatPath, newName},
	reqOpen:        {lstatPath, newName},
	reqLink:        {lstatTo, newName},
	reqSymlink:     {readlinkPath, sameLink},
	reqRename:      {lstatBoth, nameMoved},
	reqPosixRename: {lstatBoth, nameMoved},
	reqUnlink:      {lstatPath, nameGone},
	reqRmdir:       {lstatPath, nameGone},
}

func lstatPath(o *op) []*request { return []*request{{kind: reqLstat, path: o.q.path}} }
func lstatTo(o *op) []*request   { return []*request{{kind: reqLstat, path: o.q.to}} }
func lstatBoth(o *op) []*request { return append(lstatPath(o), lstatTo(o)...) }

func readlinkPath(o *op) []*request { return []*request{{kind: reqReadlink, path: o.q.path}} }

func missing(r *request) bool { return KindOf(r.err) == NotExist && r.err != nil }

// newName: a name that is there may be ours or another's.
func newName(_ *op, rs []*request) verdict {
	if missing(rs[0]) {
		return notDone
	}
	return unclear
}

// sameLink: a link with the same text is as good as ours; with anything else
// there the server's refusal is the answer.
func sameLink(o *op, rs []*request) verdict {
	if rs[0].err == nil && rs[0].text == o.q.to {
		return carriedOut
	}
	return notDone
}

func nameMoved(_ *op, rs []*request) verdict {
	switch old, new := rs[0], rs[1]; {
	case old.err == nil:
		return notDone
	case missing(old) && new.err == nil:
		return carriedOut
	}
	return unclear
}

func nameGone(_ *op, rs []*request) verdict {
	switch {
	case missing(rs[0]):
		return carriedOut
	case rs[0].err == nil:
		return notDone
	}
	return unclear
}

// retake takes ops that a connection left unanswered: refuses those that a
// breach of the protocol hit, and lets the others wait for the link, or go
// again over what is left of it. c.mu is held.
func (c *Client) retake(lost []*op) {
	slices.SortFunc(lost, bySeq)
	old := time.Now().Add(-c.o.Timeout)
	for _, o := range lost {
		o.losses++
		switch {
		case o.over:
		case c.closed != nil:
			c.refuse(o, c.closed)
		case ruleOf(o) == drop && c.names == nil:
			// Its place is behind what else the file has lost, for which it is
			// opened again; endCloses ends it where there is nothing.
			o.blocked = 1
			o.file.hold(o)
		case ruleOf(o) == drop:
			c.forget(o.file)
			c.end(o, nil, Attr{}, nil)
		case KindOf(o.lost.cause) == Protocol && o.lost.sent:
			c.refuse(o, &Error{Op: reqNames[o.q.kind], Path: o.q.path, Kind: Protocol, Err: o.lost.cause})
		case c.o.Timeout >= 0 && o.since.Before(old) && c.flaps(o):
			c.refuse(o, &Error{Op: reqNames[o.q.kind], Path: o.q.path, Kind: TimedOut, Err: o.lost.cause})
		case c.primary == nil:
			if o.file != nil {
				o.file.unstray(o)
			}
			c.waiting = append(c.waiting, o)
		default:
			c.admit(o)
		}
	}
	c.endCloses()
}

func bySeq(a, b *op) int { return cmp.Compare(a.seq, b.seq) }

// settleLost decides what becomes of the lost ops, over a new connection that
// does not serve yet: it ends the old sessions, looks at the names of what must
// be looked up, and opens the files again. 2 round trips at most, and those of
// the fence and of appends.
func (c *Client) settleLost(conn *connection, l *lane) error {
	ctx, cancel := context.WithTimeout(c.ctx, handshakeTimeout)
	defer cancel()
	c.mu.Lock()
	extra := slices.Clone(c.extra)
	c.settling = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settling = false
	}()
	for _, e := range extra {
		<-e.gone
	}
	c.fenceOff(ctx, conn.t)
	if err := c.lookAtNames(ctx, l); err != nil {
		return err
	}
	if err := c.reopen(ctx, l); err != nil {
		return err
	}
	return c.lookAtAppends(ctx, l)
}

// lookAtNames decides the lost ops on names, in the order in which they were
// started.
func (c *Client) lookAtNames(ctx context.Context, l *lane) error {
	c.mu.Lock()
	slices.SortFunc(c.waiting, bySeq)
	var ops []*op
	for _, o := range c.waiting {
		if _, names := lookups[o.q.kind]; names && ruleOf(o) == lookUp {
			ops = append(ops, o)
		}
	}
	c.mu.Unlock()
	looks := make([][]*request, len(ops))
	for i, o := range ops {
		looks[i] = lookups[o.q.kind].ask(o)
	}
	if err := l.askAll(ctx, slices.Concat(looks...)...); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.unlock()
	for i, o := range ops {
		v := lookups[o.q.kind].decide(o, looks[i])
		if v == notDone && remade(o, ops[i+1:]) {
			v = unclear
		}
		switch v {
		case notDone:
			// A lane carries its requests out in order: nothing after this one
			// was carried out either.
			for _, later := range ops[i:] {
				later.lost = nil
			}
			return nil
		case carriedOut:
			c.overtaken(o)
			c.settle(o)
		case unclear:
			c.unwait(o)
			c.refuse(o, &Error{Op: reqNames[o.q.kind], Path: o.q.path, Kind: Other, Err: errUnclear})
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

// unwait takes o out of what waits. c.mu is held.
func (c *Client) unwait(o *op) {
	c.waiting = slices.DeleteFunc(c.waiting, func(x *op) bool { return x == o })
}

// replay sends what waits, in order. c.mu is held.
func (c *Client) replay() {
	slices.SortFunc(c.waiting, bySeq)
	waiting := c.waiting
	c.waiting = nil
	for _, o := range waiting {
		if !o.over {
			c.admit(o)
		}
	}
	for f := range c.files {
		c.drain(f)
	}
	c.pump()
}
