package content

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// opener is what a File's inode is in the real thing.
type opener struct {
	remote conn.Remote
	path   string

	mu      sync.Mutex
	file    *File
	wrote   []conn.Attr
	changed int
}

func (o *opener) OpenRemote(flags conn.OpenFlags) (conn.File, *conn.Call[conn.Attr]) {
	return o.remote.Open(o.path, flags, 0)
}

func (o *opener) ResizeRemote(size int64) *conn.Call[struct{}] {
	return o.remote.SetAttr(o.path, conn.SetAttr{Valid: conn.SetSize, Attr: conn.Attr{Size: size}})
}

func (o *opener) Wrote(a conn.Attr, _ time.Time, changed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wrote = append(o.wrote, a)
	if changed {
		o.changed++
	}
}

// told returns the attributes that the inode was told, and how often of a
// change by another hand.
func (o *opener) told() ([]conn.Attr, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.wrote, o.changed
}

// rig is a server, a connection to it and a Store.
type rig struct {
	t      testing.TB
	ctx    context.Context
	server *fake.Server
	remote *checked
	store  *Store
}

func newRig(t testing.TB, o Options) *rig {
	r := &rig{t: t, ctx: context.Background(), server: fake.NewServer()}
	r.remote = check(t, r.server.Connect(), false)
	r.store = New(o)
	t.Cleanup(func() {
		if err := r.store.Close(r.ctx); err != nil {
			t.Errorf("close: %v", err)
		}
		r.remote.loose.Wait()
		r.remote.Close()
		r.check()
	})
	return r
}

// check holds the Store to its budgets.
func (r *rig) check() Stats {
	r.t.Helper()
	st := r.store.Stats()
	if st.Cached < 0 || st.Asked < 0 || st.Cached+st.Asked > st.CacheSize {
		r.t.Errorf("cache: %d cached and %d asked of %d", st.Cached, st.Asked, st.CacheSize)
	}
	if st.InFlight < 0 || st.InFlight > st.Dirty || st.Dirty > st.WriteBuffer {
		r.t.Errorf("write buffer: %d in flight, %d dirty of %d", st.InFlight, st.Dirty, st.WriteBuffer)
	}
	return st
}

// give makes a file on the server.
func (r *rig) give(path, content string) { r.server.WriteFile(path, content) }

// open is what the vfs does for an open that goes to the server.
func (r *rig) open(f *File, flags conn.OpenFlags) *Handle {
	r.t.Helper()
	o := f.opener.(*opener)
	asked := time.Now()
	remote, opened := r.remote.Open(o.path, flags, 0o644)
	a, err := opened.Wait(r.ctx)
	r.ok(err)
	h := f.Handle(flags)
	f.Attach(remote, flags, a, asked)
	return h
}

// file returns the content of a path as an inode would hold it.
func (r *rig) file(path string) *File {
	r.t.Helper()
	a, ok := r.server.Stat(path)
	if !ok {
		r.server.WriteFile(path, "")
		a, _ = r.server.Stat(path)
	}
	o := &opener{remote: r.remote, path: path}
	f := r.store.NewFile(a, time.Now(), o)
	o.file = f
	return f
}

func (r *rig) read(h *Handle, n int, off int64) string {
	r.t.Helper()
	b, err := h.ReadAt(r.ctx, n, off, make([]byte, n))
	if err != nil {
		r.t.Fatalf("read %d at %d: %v", n, off, err)
	}
	return string(b)
}

func (r *rig) write(h *Handle, p string, off int64) {
	r.t.Helper()
	if n, err := h.WriteAt(r.ctx, []byte(p), off); n != len(p) || err != nil {
		r.t.Fatalf("write %d at %d: %d, %v", len(p), off, n, err)
	}
}

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) onServer(path, want string) {
	r.t.Helper()
	if got, _ := r.server.ReadFile(path); got != want {
		r.t.Fatalf("%s on the server: %s", path, difference(got, want))
	}
}

// random returns n bytes that tell where they come from; fewer are a prefix of
// more.
func random(n int, seed uint64) string {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(make([]byte, 24), seed))).Read(b)
	return string(b)
}
