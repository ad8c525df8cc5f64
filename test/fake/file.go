package fake

import (
	"io"
	"sync"

	"github.com/sbxmount/sbxmount/conn"
)

// file implements conn.File. What is started before the open is answered
// waits for it: a server's handle must be known first.
type file struct {
	r     *Remote
	path  string
	flags conn.OpenFlags
	seq   int // of files opened

	mu      sync.Mutex // guards all below
	n       *node
	err     error // the open failed
	closed  bool
	opened  bool     // n or err is known
	waiting []func() // what was started before that
}

// Open implements conn.Remote.
func (r *Remote) Open(p string, flags conn.OpenFlags, perm conn.Mode) (conn.File, *conn.Call[conn.Attr]) {
	f := &file{r: r, path: p, flags: flags}
	r.mu.Lock()
	r.files++
	f.seq = r.files
	r.mu.Unlock()
	call := conn.NewCall[conn.Attr](nil)
	q := Request{Op: "open", Path: p, Flags: flags}
	if flags&conn.OpenBackground != 0 {
		q.Class = conn.Background
	}
	start(r, q, func() (*node, error) { return r.server.open(p, flags, perm) }).Then(func(n *node, err error) {
		f.answered(n, err)
		if err != nil {
			call.Finish(conn.Attr{}, err)
			return
		}
		r.server.mu.Lock()
		a := n.attr()
		r.server.mu.Unlock()
		call.Finish(a, nil)
	})
	return f, call
}

// answered takes the answer to the open and sends what waited for it, in order.
func (f *file) answered(n *node, err error) {
	f.mu.Lock()
	f.n, f.err = n, err
	for len(f.waiting) > 0 {
		run := f.waiting[0]
		f.waiting = f.waiting[1:]
		f.mu.Unlock()
		run()
		f.mu.Lock()
	}
	f.opened = true
	f.r.release(f)
	f.mu.Unlock()
}

func (s *Server) open(p string, flags conn.OpenFlags, perm conn.Mode) (*node, error) {
	dir, name, err := s.parent(p)
	if err != nil {
		return nil, err
	}
	n, ok := dir.children[name]
	switch {
	case !ok && flags&conn.OpenCreate == 0:
		return nil, conn.NotExist
	case !ok:
		if !s.may(dir, 3) {
			return nil, conn.Permission
		}
		n = s.newNode(conn.TypeRegular | perm.Perm())
		dir.link(name, n)
		dir.mtime = s.clock()
		return n, nil
	case flags&conn.OpenExcl != 0:
		return nil, conn.Exist
	case n.mode.IsDir():
		return nil, conn.IsDir
	case n.mode.IsSymlink():
		return nil, conn.LinkLoop
	case flags&conn.OpenRead != 0 && !s.may(n, 4), flags&conn.OpenWrite != 0 && !s.may(n, 2):
		return nil, conn.Permission
	}
	if flags&conn.OpenTrunc != 0 {
		n.data.truncate(0)
		n.mtime = s.clock()
	}
	return n, nil
}

// hold has operations on the file's name wait for its handle. f.mu is held.
func (f *file) hold() {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if f.flags&conn.OpenBackground == 0 {
		f.r.hold(f.path, f)
	}
}

// do starts a request on an open file once its handle is known.
func do[T any](f *file, q Request, run func(n *node) (T, error)) *conn.Call[T] {
	q.Path = f.path
	out := conn.NewCall[T](nil)
	begin := func() {
		f.mu.Lock()
		n, err := f.n, f.err
		f.mu.Unlock()
		if n == nil {
			var none T
			out.Finish(none, err)
			return
		}
		send(f.r, q, func() (T, error) { return run(n) }).Then(func(v T, err error) { out.Finish(v, err) })
	}
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return conn.Answered(*new(T), error(conn.BadHandle))
	}
	f.closed = q.Op == "close"
	if !f.opened {
		f.waiting = append(f.waiting, begin)
		f.hold()
		f.mu.Unlock()
		return out
	}
	f.mu.Unlock()
	begin()
	return out
}

func (f *file) ReadAt(p []byte, off int64) *conn.Call[int] {
	return do(f, Request{Op: "read", Off: off, Len: len(p)}, func(n *node) (int, error) {
		switch {
		case f.flags&conn.OpenRead == 0:
			return 0, conn.BadHandle
		case off < 0:
			return 0, conn.Invalid
		}
		got := n.data.readAt(p, off)
		if got < len(p) {
			return got, io.EOF
		}
		return got, nil
	})
}

func (f *file) WriteAt(p []byte, off int64) *conn.Call[none] {
	return do(f, Request{Op: "write", Off: off, Len: len(p)}, func(n *node) (none, error) {
		s := f.r.server
		if f.flags&conn.OpenWrite == 0 {
			return none{}, conn.BadHandle
		}
		if f.flags&conn.OpenAppend != 0 {
			off = n.data.size
		}
		if grow := max(0, off+int64(len(p))-n.data.size); s.room >= 0 {
			if grow > s.room {
				return none{}, conn.NoSpace
			}
			s.room -= grow
		}
		n.data.writeAt(p, off)
		n.mtime = s.clock()
		return none{}, nil
	})
}

func (f *file) SetAttr(set conn.SetAttr) *conn.Call[none] {
	return do(f, Request{Op: "fsetattr", Set: set}, func(n *node) (none, error) {
		if set.Valid&conn.SetSize != 0 && f.flags&conn.OpenWrite == 0 {
			return none{}, conn.Invalid
		}
		return none{}, f.r.server.change(n, set)
	})
}

func (f *file) Stat() *conn.Call[conn.Attr] {
	return do(f, Request{Op: "fstat"}, func(n *node) (conn.Attr, error) { return n.attr(), nil })
}

func (f *file) Sync() *conn.Call[none] {
	return do(f, Request{Op: "fsync"}, func(*node) (none, error) { return none{}, nil })
}

func (f *file) Moved(path string) {}

func (f *file) Close() {
	do(f, Request{Op: "close"}, func(*node) (none, error) { return none{}, nil })
}

// Copy implements conn.Remote.
func (r *Remote) Copy(src conn.File, srcOff int64, dst conn.File, dstOff, n int64) *conn.Call[int64] {
	from, to := src.(*file), dst.(*file)
	return do(to, Request{Op: "copy", Off: dstOff, Len: int(n)}, func(dst *node) (int64, error) {
		from.mu.Lock()
		src := from.n
		from.mu.Unlock()
		if src == nil {
			return 0, conn.BadHandle
		}
		b := make([]byte, max(0, min(n, src.data.size-srcOff)))
		src.data.readAt(b, srcOff)
		dst.data.writeAt(b, dstOff)
		dst.mtime = r.server.clock()
		return int64(len(b)), nil
	})
}

var (
	_ conn.Remote = (*Remote)(nil)
	_ conn.File   = (*file)(nil)
)
