package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
)

var (
	errUnclear = errors.New("the connection was lost, and whether it was done can't be told")
	errChanged = errors.New("the file is not the one that was open when the connection was lost")
)

// reopening is one file on its way back.
type reopening struct {
	f          *file
	open, look *request
}

// reopen opens every open file again, all at once. One that is not the same
// any more, or has no name, is Stale from now on.
func (c *Client) reopen(ctx context.Context, l *lane) error {
	var all []reopening
	var rs []*request
	c.mu.Lock()
	c.endCloses() // of files whose lost operations were found to be done
	for f := range c.files {
		switch {
		case !f.opened || f.err != nil || f.ready:
		case f.path == "":
			f.stale(nil)
		case f.closed && !f.waits():
		default:
			r := reopening{f, &request{kind: reqOpen, path: f.path, flags: f.openFlags()}, &request{kind: reqLstat, path: f.path}}
			all = append(all, r)
			rs = append(rs, r.open, r.look)
		}
	}
	c.unlock()
	if err := l.askAll(ctx, rs...); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.unlock()
	for _, r := range all {
		switch {
		case r.f.err != nil || c.unknown(r.f):
			c.discard(l, r.open.opened)
		case r.open.err != nil:
			r.f.stale(r.open.err)
		case r.look.err != nil || !r.f.id.explains(r.look.attr):
			c.discard(l, r.open.opened)
			r.f.stale(errChanged)
		default:
			r.f.size = r.look.attr.Size
			r.f.adopt(l, r.open.opened)
		}
	}
	return nil
}

// unknown reports whether a file was closed and forgotten. c.mu is held.
func (c *Client) unknown(f *file) bool {
	_, known := c.files[f]
	return !known
}

// waits reports whether anything of the file but its closing waits. c.mu is
// held.
func (f *file) waits() bool {
	return len(f.queue) > 1 || f.asked > 0 || slices.ContainsFunc(f.c.waiting, func(o *op) bool {
		return o.file == f && o.q.kind != reqClose || o.src == f
	})
}

// stale ends the file's use. c.mu is held.
func (f *file) stale(why error) {
	f.fail(&Error{Op: "reopen", Path: f.path, Kind: Stale, Err: why})
	f.c.drain(f)
}

// maxAppendLook bounds how much of a file is searched for lost appends.
const maxAppendLook = 8 << 20

// lookAtAppends decides lost appends: each is done if its bytes are found once
// behind the end that was known before, in the file as it is now.
func (c *Client) lookAtAppends(ctx context.Context, l *lane) error {
	c.mu.Lock()
	lost := make(map[*file][]*op)
	for _, o := range c.waiting {
		if o.q.kind == reqWrite && ruleOf(o) == lookUp {
			lost[o.file] = append(lost[o.file], o)
		}
	}
	c.mu.Unlock()
	for f, ops := range lost {
		tail, ok, err := c.tail(ctx, l, f)
		if err != nil {
			return err
		}
		c.mu.Lock()
		for _, o := range ops {
			c.unwait(o)
			switch {
			case ok && bytes.Count(tail, o.q.buf) == 1:
				c.learn(o, &o.q, Attr{}, nil)
			default:
				c.refuse(o, &Error{Op: "write", Path: f.path, Kind: Other, Err: errUnclear})
			}
		}
		c.unlock()
	}
	return nil
}

// tail reads what a file holds behind its last known end. It opens it anew,
// since an append's handle need not allow to read.
func (c *Client) tail(ctx context.Context, l *lane, f *file) (tail []byte, ok bool, err error) {
	c.mu.Lock()
	path, from, size, usable := f.path, f.id.attr.Size, f.size, f.ready && f.id.known
	c.mu.Unlock()
	if !usable || size < from || size-from > maxAppendLook {
		return nil, false, nil
	}
	open := &request{kind: reqOpen, path: path, flags: OpenRead}
	if err := l.askAll(ctx, open); err != nil || open.err != nil {
		return nil, false, err
	}
	defer l.s.start(&request{kind: reqClose, handle: open.opened, done: func(*request) {}})
	tail = make([]byte, size-from)
	var rs []*request
	for at := 0; at < len(tail); at += l.able.maxRead {
		rs = append(rs, &request{
			kind: reqRead, handle: open.opened, off: from + int64(at), buf: tail[at:min(at+l.able.maxRead, len(tail))],
		})
	}
	if err := l.askAll(ctx, rs...); err != nil {
		return nil, false, err
	}
	for _, r := range rs {
		if r.err != nil && r.err != io.EOF {
			return nil, false, nil
		}
	}
	return tail, true, nil
}
