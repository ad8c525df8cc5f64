package conn

import (
	"cmp"
	"context"
	"slices"
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

// lookups decide lost requests by what looks at their names said; see
// trace.answers.
var lookups = map[reqKind]func(o *op, looks []*request) verdict{
	reqMkdir: newName, reqOpen: newName, reqLink: newName, reqSymlink: sameLink,
	reqRename: nameMoved, reqPosixRename: nameMoved, reqUnlink: nameGone, reqRmdir: nameGone,
}

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
		case ruleOf(o) == drop && o.file.ready:
			c.admit(o) // it was opened again meanwhile
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
	ending := slices.Concat(c.extra, c.ending)
	c.settling = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settling = false
	}()
	for _, e := range ending {
		<-e.gone
	}
	c.fenceOff(ctx, conn.t)
	if err := c.lookAtNames(ctx, l); err != nil {
		return err
	}
	if err := c.reopen(ctx, l); err != nil {
		return err
	}
	if err := c.lookAtAppends(ctx, l); err != nil {
		return err
	}
	_, err := conn.identify(ctx)
	return err
}

// unwait takes o out of what waits. c.mu is held.
func (c *Client) unwait(o *op) {
	c.waiting = slices.DeleteFunc(c.waiting, func(x *op) bool { return x == o })
}

// replay sends what waits, in order. Nothing is sent for a file before all that
// it waits for has its place. c.mu is held.
func (c *Client) replay() {
	waiting := slices.Concat(c.waiting, c.bulk.queue)
	c.bulk.takeAll()
	slices.SortFunc(waiting, bySeq)
	c.waiting, c.bulk.pumping = nil, true
	for _, o := range waiting {
		if !o.over {
			c.admit(o)
		}
	}
	for f := range c.files {
		c.drain(f)
	}
	c.bulk.pumping = false
	c.pump()
}
