package content

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// checked is a Remote that uses the freedoms which the contract gives it, and
// holds its caller to what the contract asks: writes of one File overtake each
// other, two that overlap are never in flight, nothing follows a Close.
type checked struct {
	*fake.Remote
	t       testing.TB
	shuffle bool

	mu     sync.Mutex
	flying map[string][]span // writes in flight, by path
	most   map[string]int64  // the most bytes in flight at once, by path
	opens  map[conn.OpenFlags]int
	closed map[conn.OpenFlags]int
	loose  sync.WaitGroup
}

type span struct{ off, end int64 }

func check(t testing.TB, r *fake.Remote, shuffle bool) *checked {
	return &checked{
		Remote: r, t: t, shuffle: shuffle, flying: map[string][]span{}, most: map[string]int64{},
		opens: map[conn.OpenFlags]int{}, closed: map[conn.OpenFlags]int{},
	}
}

func (c *checked) Open(path string, flags conn.OpenFlags, perm conn.Mode) (conn.File, *conn.Call[conn.Attr]) {
	c.mu.Lock()
	c.opens[flags]++
	c.mu.Unlock()
	f, opened := c.Remote.Open(path, flags, perm)
	return &checkedFile{File: f, c: c, path: path, flags: flags}, opened
}

func (c *checked) Copy(src conn.File, srcOff int64, dst conn.File, dstOff, n int64) *conn.Call[int64] {
	from, to := src.(*checkedFile), dst.(*checkedFile)
	from.release()
	to.release()
	return c.Remote.Copy(from.File, srcOff, to.File, dstOff, n)
}

// handles returns how many server handles are open.
func (c *checked) handles() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.opens {
		n += k
	}
	for _, k := range c.closed {
		n -= k
	}
	return n
}

type checkedFile struct {
	conn.File
	c     *checked
	path  string
	flags conn.OpenFlags

	mu   sync.Mutex
	held []func() (hear func()) // writes that were not passed on yet
	over bool
}

// release passes on what is held. What comes after it stands behind that, also
// where another goroutine is at it. The answers, which may be there already, are
// heard without the lock: whoever gets them may write on.
func (f *checkedFile) release() {
	f.mu.Lock()
	held := f.held
	f.held = nil
	rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	var hear []func()
	for _, pass := range held {
		hear = append(hear, pass())
	}
	f.mu.Unlock()
	for _, h := range hear {
		h()
	}
}

func (f *checkedFile) WriteAt(p []byte, off int64) *conn.Call[struct{}] {
	f.alive("write")
	w := span{off, off + int64(len(p))}
	f.c.took(f.path, w, f.flags)
	out := conn.NewCall[struct{}](nil)
	out.Then(func(struct{}, error) { f.c.answered(f.path, w) })
	pass := func() (hear func()) {
		call := f.File.WriteAt(p, off)
		return func() { call.Then(func(v struct{}, err error) { out.Finish(v, err) }) }
	}
	if !f.c.shuffle || f.flags&conn.OpenAppend != 0 {
		pass()()
		return out
	}
	f.mu.Lock()
	f.held = append(f.held, pass)
	f.mu.Unlock()
	f.c.loose.Go(f.release)
	return out
}

func (c *checked) took(path string, w span, flags conn.OpenFlags) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total := w.end - w.off
	for _, o := range c.flying[path] {
		total += o.end - o.off
		if o.off < w.end && w.off < o.end {
			c.t.Errorf("write [%d, %d) while [%d, %d) is in flight", w.off, w.end, o.off, o.end)
		}
	}
	c.flying[path] = append(c.flying[path], w)
	c.most[path] = max(c.most[path], total)
}

func (c *checked) answered(path string, w span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, o := range c.flying[path] {
		if o == w {
			c.flying[path] = append(c.flying[path][:i:i], c.flying[path][i+1:]...)
			return
		}
	}
}

func (f *checkedFile) alive(op string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		f.c.t.Errorf("%s after close", op)
	}
}

func (f *checkedFile) SetAttr(set conn.SetAttr) *conn.Call[struct{}] {
	f.alive("setattr")
	f.release()
	return f.File.SetAttr(set)
}

func (f *checkedFile) Stat() *conn.Call[conn.Attr] {
	f.release()
	return f.File.Stat()
}

func (f *checkedFile) Sync() *conn.Call[struct{}] {
	f.alive("sync")
	f.release()
	return f.File.Sync()
}

func (f *checkedFile) ReadAt(p []byte, off int64) *conn.Call[int] {
	f.alive("read")
	return f.File.ReadAt(p, off)
}

func (f *checkedFile) Close() {
	f.alive("close")
	f.release()
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	f.c.mu.Lock()
	f.c.closed[f.flags]++
	f.c.mu.Unlock()
	f.File.Close()
}
