package conn

import "strings"

// needsProbe reports whether an error leaves open what went wrong: OpenSSH
// answers SSH_FX_FAILURE for a dozen errno values.
func (c *Client) needsProbe(o *op, err error) bool {
	switch kind := KindOf(err); o.q.kind {
	case reqOpen, reqMkdir, reqSymlink, reqLink, reqWrite, reqUnlink, reqSetstat, reqFsetstat, reqLsetstat, reqCopy:
		return kind == Other
	case reqRename, reqPosixRename, reqRmdir, reqList:
		return kind == Other || kind == NotExist
	}
	return false
}

// probe looks at what stands in o's way and ends it with what it finds. It is
// called without c.mu. 1 round trip.
func (c *Client) probe(o *op, m *request, failed error) {
	c.mu.Lock()
	defer c.unlock()
	p := &probing{o: o, failed: failed}
	p.path = p.lstat(m.path)
	p.to = p.lstat(m.to)
	switch o.q.kind {
	case reqSymlink:
		p.to = nil // the link's text, no name
	case reqRmdir, reqPosixRename:
		p.full = p.add(&request{kind: reqList, path: o.made(), max: 1})
	}
	if c.able.statvfs {
		if path := p.dirOf(o.made()); path != "" {
			p.room = p.add(&request{kind: reqStatvfs, path: path})
		}
		if o.q.kind == reqLink || o.q.kind == reqRename || o.q.kind == reqPosixRename {
			p.from = p.add(&request{kind: reqStatvfs, path: p.dirOf(m.path)})
		}
	}
	left, l := len(p.rs), o.lane
	if left == 0 {
		c.learn(o, m, Attr{}, p.error())
		return
	}
	l.add(o) // once more: these answers are owed, too
	end := func() {
		if left--; left == 0 {
			l.remove(o, false)
			c.learn(o, m, Attr{}, p.error())
		}
	}
	for _, r := range p.rs {
		r.done = func(*request) {
			c.mu.Lock()
			defer c.unlock()
			end()
		}
		l.s.start(r)
	}
}

// probing is a look at why an op failed.
type probing struct {
	o          *op
	failed     error
	rs         []*request
	path, to   *request // LSTAT of the names
	full       *request // a listing of what must be empty
	room, from *request // statvfs of where something is made, and of where it comes from
}

func (p *probing) add(r *request) *request {
	p.rs = append(p.rs, r)
	return r
}

func (p *probing) lstat(path string) *request {
	if path == "" || p.o.file != nil && !p.o.opens() {
		return nil
	}
	return p.add(&request{kind: reqLstat, path: path})
}

// dirOf is where to ask for a name's file system: its directory, since the name
// need not be there.
func (p *probing) dirOf(path string) string {
	if f := p.o.file; f != nil && !p.o.opens() {
		return f.path
	}
	return path[:max(1, strings.LastIndexByte(path, '/'))]
}

// error is the original error with a better kind.
func (p *probing) error() error {
	kind := p.kind()
	e, ok := p.failed.(*Error)
	if !ok || kind == e.Kind {
		return p.failed
	}
	better := *e
	better.Kind = kind
	return &better
}

func there(r *request) bool { return r != nil && r.err == nil }
func isDir(r *request) bool { return there(r) && r.attr.Mode.IsDir() }

func (p *probing) kind() Kind {
	was := KindOf(p.failed)
	if k, ok := p.names(); ok {
		return k
	}
	if was == NotExist {
		return was
	}
	if k, ok := p.space(); ok {
		return k
	}
	return was
}

// names decides by what is at the names.
func (p *probing) names() (Kind, bool) {
	q := &p.o.q
	switch q.kind {
	case reqOpen:
		switch {
		case isDir(p.path):
			return IsDir, true
		case there(p.path) && q.flags&OpenExcl != 0:
			return Exist, true
		}
	case reqMkdir, reqSymlink:
		return Exist, there(p.path)
	case reqLink:
		return Exist, there(p.to)
	case reqUnlink:
		return IsDir, isDir(p.path)
	case reqList:
		return NotDir, there(p.path) && !isDir(p.path)
	case reqRmdir:
		switch {
		case there(p.path) && !isDir(p.path):
			return NotDir, true
		case p.occupied():
			return NotEmpty, true
		}
	case reqRename:
		return Exist, there(p.path) && there(p.to)
	case reqPosixRename:
		return p.replaced()
	}
	return 0, false
}

// replaced decides a rename that replaces.
func (p *probing) replaced() (Kind, bool) {
	switch {
	case !there(p.path) || !there(p.to):
	case isDir(p.to) && !isDir(p.path):
		return IsDir, true
	case isDir(p.path) && !isDir(p.to):
		return NotDir, true
	case isDir(p.to) && p.occupied():
		return NotEmpty, true
	}
	return 0, false
}

func (p *probing) occupied() bool { return there(p.full) && len(p.full.listing.Entries) > 0 }

// space decides by the file systems. A write or a size that fails where there
// is room is over a quota, as far as anybody can tell from here.
func (p *probing) space() (Kind, bool) {
	q := &p.o.q
	switch {
	case !there(p.room):
	case there(p.from) && p.room.fsid != p.from.fsid:
		return CrossDevice, true
	case p.room.statfs.ReadOnly:
		return ReadOnly, true
	case q.kind == reqUnlink || q.kind == reqRmdir:
		return Busy, there(p.path)
	case p.room.statfs.Files > 0 && p.room.statfs.FilesAvail == 0 && q.kind != reqWrite:
		return NoSpace, true
	case p.room.statfs.BlocksAvail*p.room.statfs.BlockSize <= uint64(p.needs()):
		return NoSpace, true
	case q.kind == reqWrite || q.kind == reqCopy:
		return Quota, true
	case q.kind == reqFsetstat || q.kind == reqSetstat:
		return TooBig, q.set.Valid&SetSize != 0
	}
	return 0, false
}

// needs is how many bytes of room o asks for, with what a file system keeps for
// itself.
func (p *probing) needs() int64 {
	const reserve = 64 << 10
	return int64(len(p.o.q.buf)) + reserve
}
