package fake

import (
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Request is one request as Before sees it.
type Request struct {
	Op    string // "lstat", "list", "open", "read", "write", "fsetattr" ...
	Path  string // the name it was sent for; a File's is the one it was opened by
	To    string // rename and link: the other name; symlink: the text
	Off   int64
	Len   int
	Class conn.Class
	Set   conn.SetAttr
	Flags conn.OpenFlags
}

// Remote is one connection to a Server. It implements conn.Remote.
type Remote struct {
	// RTT is the round trip time. Set it before the first request.
	RTT time.Duration
	// Before, where set, sees each request when it arrives at the server; an
	// error is its answer, and nothing is done. It runs on the server's
	// goroutine: while it blocks, nothing is carried out.
	Before func(Request) error
	// Page, where not 0, is how many names a READDIR tells; else one tells all.
	// Several are in flight, and what they tell of a long listing is passed on
	// as it comes.
	Page int
	// MaxIO is the largest read or write that Info states (255 KiB).
	MaxIO int

	server *Server

	mu     sync.Mutex // guards all below
	queue  []request
	wake   chan struct{}
	closed bool
	counts map[string]int
	bytes  map[string]int64
	held   map[string][]*file // names that operations wait on for files' handles
	files  int                // opened so far

	done    sync.WaitGroup
	answers chan answer
}

type request struct {
	Request
	at   time.Time
	run  func() (finish func())
	fail func(error)
}

type answer struct {
	at     time.Time
	finish func()
}

// Connect returns a connection to s. Close ends it.
func (s *Server) Connect() *Remote {
	r := &Remote{
		server: s, MaxIO: 255 << 10, wake: make(chan struct{}, 1),
		counts: map[string]int{}, bytes: map[string]int64{}, held: map[string][]*file{}, answers: make(chan answer, 1<<16),
	}
	r.done.Add(2)
	go r.serve()
	go r.deliver()
	return r
}

// Close ends the connection: what was started is carried out and answered,
// what is started later ends with NotConnected.
func (r *Remote) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.poke()
	r.done.Wait()
}

// Count returns how many requests of these operations arrived; of all without
// any named.
func (r *Remote) Count(ops ...string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := 0
	if len(ops) == 0 {
		for _, n := range r.counts {
			total += n
		}
	}
	for _, op := range ops {
		total += r.counts[op]
	}
	return total
}

// Bytes returns how many bytes the "read" or "write" requests asked to move.
func (r *Remote) Bytes(op string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes[op]
}

// ResetCounts forgets what Count and Bytes saw.
func (r *Remote) ResetCounts() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.counts)
	clear(r.bytes)
}

func (r *Remote) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *Remote) next() (request, bool) {
	for {
		r.mu.Lock()
		if len(r.queue) > 0 {
			q := r.queue[0]
			r.queue = r.queue[1:]
			r.counts[q.Op]++
			r.bytes[q.Op] += int64(q.Len)
			r.mu.Unlock()
			return q, true
		}
		closed := r.closed
		r.mu.Unlock()
		if closed {
			return request{}, false
		}
		<-r.wake
	}
}

func (r *Remote) serve() {
	defer r.done.Done()
	defer close(r.answers)
	for {
		q, ok := r.next()
		if !ok {
			return
		}
		time.Sleep(time.Until(q.at.Add(r.RTT / 2)))
		finish := func() (f func()) {
			if r.Before != nil {
				if err := r.Before(q.Request); err != nil {
					return func() { q.fail(err) }
				}
			}
			r.server.mu.Lock()
			defer r.server.mu.Unlock()
			return q.run()
		}()
		r.answers <- answer{at: q.at.Add(r.RTT), finish: finish}
	}
}

func (r *Remote) deliver() {
	defer r.done.Done()
	for a := range r.answers {
		time.Sleep(time.Until(a.at))
		a.finish()
	}
}

// start is send for a request on names. Those on which files wait for their
// handles wait behind what was started on these files, as the contract says.
func start[T any](r *Remote, q Request, run func() (T, error)) *conn.Call[T] {
	holders := r.holders(q)
	if len(holders) == 0 {
		return send(r, q, run)
	}
	out := conn.NewCall[T](nil)
	behind(holders, func() { send(r, q, run).Then(func(v T, err error) { out.Finish(v, err) }) })
	return out
}

// behind calls f when the files have their handles.
func behind(files []*file, f func()) {
	for i, holder := range files {
		holder.mu.Lock()
		if !holder.opened {
			holder.waiting = append(holder.waiting, func() { behind(files[i+1:], f) })
			holder.mu.Unlock()
			return
		}
		holder.mu.Unlock()
	}
	f()
}

// holders returns the files that a request on names must wait for, in the order
// in which they were opened, and has later ones on its names wait there, too.
func (r *Remote) holders(q Request) []*file {
	if q.Class == conn.Background {
		return nil
	}
	tree := q.Op == "rename" || q.Op == "rmdir" || q.Op == "opendir"
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []*file
	for held, files := range r.held {
		for _, p := range []string{q.Path, q.To} {
			if p == held || strings.HasPrefix(p, held+"/") || tree && p != "" && strings.HasPrefix(held, p+"/") {
				all = append(all, files...)
			}
		}
	}
	slices.SortFunc(all, func(a, b *file) int { return a.seq - b.seq })
	all = slices.Compact(all)
	for _, f := range all {
		for _, p := range []string{q.Path, q.To} {
			if p != "" {
				r.hold(p, f)
			}
		}
	}
	return all
}

// hold has operations on a name wait for f's handle. r.mu is held.
func (r *Remote) hold(p string, f *file) {
	if !slices.Contains(r.held[p], f) {
		r.held[p] = append(r.held[p], f)
	}
}

// release lets go of the names that were held for f.
func (r *Remote) release(f *file) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p, files := range r.held {
		if files = slices.DeleteFunc(files, func(x *file) bool { return x == f }); len(files) == 0 {
			delete(r.held, p)
		} else {
			r.held[p] = files
		}
	}
}

// send queues a request whose effect and answer come from run, which is
// called with the server locked.
func send[T any](r *Remote, q Request, run func() (T, error)) *conn.Call[T] {
	c := conn.NewCall[T](nil)
	fail := func(err error) {
		var none T
		if _, ok := err.(*conn.Error); !ok && err != io.EOF {
			err = &conn.Error{Op: q.Op, Path: q.Path, Kind: conn.KindOf(err)}
		}
		c.Finish(none, err)
	}
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		fail(conn.NotConnected)
		return c
	}
	r.queue = append(r.queue, request{Request: q, at: time.Now(), fail: fail, run: func() func() {
		v, err := run()
		if err != nil && err != io.EOF {
			return func() { fail(err) }
		}
		return func() { c.Finish(v, err) }
	}})
	r.mu.Unlock()
	r.poke()
	return c
}
