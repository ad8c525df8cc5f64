package conn

import (
	"io"
	"sync"
)

// ReadAt implements File. A read is asked in chunks of the server's size, on
// as many lanes as serve the file.
func (f *file) ReadAt(p []byte, off int64) *Call[int] {
	if off < 0 {
		return Answered(0, error(&Error{Op: "read", Kind: Invalid}))
	}
	if len(p) == 0 {
		return Answered(0, error(nil))
	}
	r := &chunked{size: len(p)}
	chunk := f.c.able.maxRead
	r.left = (len(p) + chunk - 1) / chunk
	ops := make([]*op, 0, r.left)
	for at := 0; at < len(p); at += chunk {
		o := &op{q: request{kind: reqRead, buf: p[at:min(at+chunk, len(p)):min(at+chunk, len(p))], off: off + int64(at)}}
		o.finish = func(q *request, _ Attr, err error) {
			n := 0
			if q != nil {
				n = q.n
			}
			r.took(at, n, err)
		}
		ops = append(ops, o)
	}
	call := f.chunks(ops)
	r.done = func() { call.Finish(r.result()) }
	f.doAll(ops)
	return call
}

// WriteAt implements File.
func (f *file) WriteAt(p []byte, off int64) *Call[struct{}] {
	if off < 0 {
		return Answered(none{}, error(&Error{Op: "write", Kind: Invalid}))
	}
	if len(p) == 0 {
		return Answered(none{}, nil)
	}
	w := &chunked{size: len(p)}
	chunk := f.c.able.maxWrite
	w.left = (len(p) + chunk - 1) / chunk
	ops := make([]*op, 0, w.left)
	for at := 0; at < len(p); at += chunk {
		o := &op{q: request{kind: reqWrite, buf: p[at:min(at+chunk, len(p))], off: off + int64(at)}}
		o.finish = func(_ *request, _ Attr, err error) { w.took(at, len(o.q.buf), err) }
		ops = append(ops, o)
	}
	call := NewCall[struct{}](f.withdrawAll(ops))
	w.done = func() {
		_, err := w.result()
		call.Finish(none{}, err)
	}
	f.doAll(ops)
	return call
}

func (f *file) chunks(ops []*op) *Call[int] { return NewCall[int](f.withdrawAll(ops)) }

// withdrawAll takes chunks back where none was sent; a single one in nearly
// all cases.
func (f *file) withdrawAll(ops []*op) func(error) bool {
	return func(error) bool { return len(ops) == 1 && f.c.withdraw(ops[0]) }
}

func (f *file) doAll(ops []*op) {
	f.c.mu.Lock()
	defer f.c.unlock()
	for _, o := range ops {
		o.file = f
		if f.flags&OpenBackground != 0 {
			o.class = Background
		}
		f.enter(o)
	}
}

// chunked gathers the answers to the chunks of one read or write.
type chunked struct {
	size int
	done func()

	mu    sync.Mutex // guards all below; nothing is locked within it
	left  int
	end   int   // where the first chunk that was not served whole stopped
	err   error // of that chunk
	ended bool  // there was such a chunk
}

// took takes the answer to the chunk at offset at, of which n bytes were
// served.
func (k *chunked) took(at, n int, err error) {
	k.mu.Lock()
	if err != nil && (!k.ended || at+n < k.end || err != io.EOF && k.err == io.EOF) {
		k.ended, k.end, k.err = true, at+n, err
	}
	k.left--
	last := k.left == 0
	k.mu.Unlock()
	if last {
		k.done()
	}
}

func (k *chunked) result() (int, error) {
	if k.ended {
		if k.err != io.EOF {
			return 0, k.err
		}
		return k.end, io.EOF
	}
	return k.size, nil
}
