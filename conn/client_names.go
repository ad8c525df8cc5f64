package conn

type none = struct{}

// ask starts an op whose answer is one of its request's fields.
func ask[T any](c *Client, o *op, answer func(r *request, a Attr) T) *Call[T] {
	call := NewCall[T](func(error) bool { return c.withdraw(o) })
	o.finish = func(r *request, a Attr, err error) {
		var v T
		if err == nil {
			v = answer(r, a)
		}
		call.Finish(v, err)
	}
	c.start(o)
	return call
}

func justAttr(_ *request, a Attr) Attr    { return a }
func justNothing(*request, Attr) struct{} { return none{} }

// refuse answers an operation that the server has no request for.
func refuse[T any](op, path string) *Call[T] {
	var v T
	return Answered(v, error(&Error{Op: op, Path: path, Kind: Unsupported}))
}

// Lstat implements Remote.
func (c *Client) Lstat(path string) *Call[Attr] {
	return ask(c, &op{q: request{kind: reqLstat, path: path}}, justAttr)
}

// List implements Remote.
func (c *Client) List(path string, max int, class Class, some func(Listing)) *Call[Listing] {
	o := &op{q: request{kind: reqList, path: path, max: max, some: some}, class: class}
	return ask(c, o, func(r *request, _ Attr) Listing { return r.listing })
}

// Readlink implements Remote.
func (c *Client) Readlink(path string) *Call[string] {
	o := &op{q: request{kind: reqReadlink, path: path}}
	return ask(c, o, func(r *request, _ Attr) string { return r.text })
}

// SetAttr implements Remote. A link has no size, and OpenSSH's lsetstat takes
// none: a size travels in SETSTAT. On a server without lsetstat a look at the
// name comes first, so that nothing that a link leads to is changed: 2 round
// trips.
func (c *Client) SetAttr(path string, set SetAttr) *Call[struct{}] {
	o := &op{q: request{kind: reqLsetstat, path: path, set: set}}
	if set.Valid&SetSize != 0 {
		o.q.kind = reqSetstat
	} else if !c.able.lsetstat {
		return c.setUnlessLink(path, set)
	}
	return ask(c, o, justNothing)
}

func (c *Client) setUnlessLink(path string, set SetAttr) *Call[struct{}] {
	call := NewCall[struct{}](nil)
	c.Lstat(path).Then(func(a Attr, err error) {
		switch {
		case err != nil:
			call.Finish(none{}, err)
		case a.Mode.IsSymlink():
			call.Finish(none{}, &Error{Op: "setattr", Path: path, Kind: Unsupported})
		default:
			o := &op{q: request{kind: reqSetstat, path: path, set: set}}
			ask(c, o, justNothing).Then(func(_ struct{}, err error) { call.Finish(none{}, err) })
		}
	})
	return call
}

// Mkdir implements Remote. What the server's umask took is put back by a
// SETSTAT that is not waited for: in the order of operations it comes first.
func (c *Client) Mkdir(path string, perm Mode) *Call[Attr] {
	perm = perm.Perm()
	o := &op{q: request{kind: reqMkdir, path: path, perm: perm}, follow: true}
	o.learned = func(_ *request, a Attr, err error) error {
		if err == nil && a.Mode.IsDir() && c.stripped(perm, a.Mode) {
			set := SetAttr{Valid: SetMode, Attr: Attr{Mode: perm}}
			c.enter(&op{q: request{kind: reqSetstat, path: path, set: set}, finish: ignore})
		}
		return err
	}
	return ask(c, o, func(_ *request, a Attr) Attr {
		a.Mode |= perm
		return a
	})
}

func ignore(*request, Attr, error) {}

// stripped reports whether the server's umask took something of perm from a
// new file's mode, and learns what it takes. c.mu is held.
func (c *Client) stripped(perm, mode Mode) bool {
	c.strips &^= perm & mode.Perm()
	return perm&^mode.Perm() != 0
}

// Symlink implements Remote.
func (c *Client) Symlink(text, path string) *Call[Attr] {
	return ask(c, &op{q: request{kind: reqSymlink, path: path, to: text}, follow: true}, justAttr)
}

// Link implements Remote.
func (c *Client) Link(old, new string) *Call[Attr] {
	if !c.able.hardlink {
		return refuse[Attr]("link", old)
	}
	return ask(c, &op{q: request{kind: reqLink, path: old, to: new}, follow: true}, justAttr)
}

// Rename implements Remote.
func (c *Client) Rename(old, new string, replace bool) *Call[struct{}] {
	kind := reqRename
	if replace {
		if kind = reqPosixRename; !c.able.posixRename {
			return refuse[none]("rename", old)
		}
	}
	o := &op{q: request{kind: kind, path: old, to: new}}
	o.learned = func(_ *request, _ Attr, err error) error {
		if err == nil {
			c.moved(o.seq, old, new)
		}
		return err
	}
	return ask(c, o, justNothing)
}

// Unlink implements Remote.
func (c *Client) Unlink(path string) *Call[struct{}] {
	o := &op{q: request{kind: reqUnlink, path: path}}
	o.learned = func(_ *request, _ Attr, err error) error {
		if err == nil {
			c.moved(o.seq, path, "")
		}
		return err
	}
	return ask(c, o, justNothing)
}

// Rmdir implements Remote.
func (c *Client) Rmdir(path string) *Call[struct{}] {
	return ask(c, &op{q: request{kind: reqRmdir, path: path}}, justNothing)
}

// StatFS implements Remote.
func (c *Client) StatFS(path string) *Call[StatFS] {
	if !c.able.statvfs {
		return refuse[StatFS]("statfs", path)
	}
	o := &op{q: request{kind: reqStatvfs, path: path}}
	return ask(c, o, func(r *request, _ Attr) StatFS { return r.statfs })
}
