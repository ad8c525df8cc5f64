package content

import (
	"github.com/sbxmount/sbxmount/conn"
)

// prefetch is a whole file on its way, behind everything else.
type prefetch struct {
	file *File
	call *conn.Call[struct{}]
	left int   // fetches without an answer, guarded by File.mu
	err  error // the first, likewise
}

// Prefetch reads the whole file behind everything else, over a server handle
// of its own: OPEN, READ and CLOSE in the background class, 2 round trips that
// nobody waits for. The Call ends when all bytes are here, with NoMemory where
// the cache has no room for them. Who reads the file meanwhile waits for these
// bytes, if they were sent for, and else asks itself.
func (f *File) Prefetch() *conn.Call[struct{}] {
	f.mu.Lock()
	if f.ahead != nil {
		defer f.mu.Unlock()
		return f.ahead.call
	}
	p := &prefetch{file: f, call: conn.NewCall[struct{}](nil), left: 1}
	var fetches []*fetch
	r := f.newRemote(conn.OpenRead | conn.OpenBackground)
	if f.gate == nil {
		_, full := f.request(ask{0, f.size, int64(f.store.o.MaxRead)}, func(off, n int64) *fetch {
			t := f.newFetch(off, n, nil, r)
			t.behind = p
			fetches = append(fetches, t)
			return t
		})
		if full != nil {
			p.err = &conn.Error{Op: "prefetch", Kind: conn.NoMemory}
		}
	}
	p.left += len(fetches)
	f.ahead = p
	f.mu.Unlock()
	for _, t := range fetches {
		t.start()
	}
	f.mu.Lock()
	f.retire(r)
	f.pump()
	p.arrived(nil)
	return p.call
}

// arrived takes in that one fetch was answered.
func (p *prefetch) arrived(err error) {
	p.file.mu.Lock()
	if p.err == nil {
		p.err = err
	}
	p.left--
	last := p.left == 0
	if last {
		p.file.ahead = nil
	}
	err = p.err
	p.file.mu.Unlock()
	if last {
		p.call.Finish(struct{}{}, err)
	}
}
