package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// eventually polls until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come", what)
		}
	}
}

func quick() Options { return Options{MaxPause: 20 * time.Millisecond} }

// While the link is down operations wait, up to the bound, and what was not
// sent can be withdrawn; afterwards everything goes on.
func TestTimeoutWhileDown(t *testing.T) {
	l := newLab(t)
	o := quick()
	o.Timeout = 500 * time.Millisecond
	c := l.dialClient(o)
	dir := t.TempDir()
	l.allow(errors.New("no way through"))
	l.cut()
	eventually(t, "the loss", func() bool { return c.Status().State != StateUp })
	withdrawn := c.Mkdir(dir+"/a", 0o755)
	if !withdrawn.Cancel(errTest) {
		t.Error("what was not sent can't be withdrawn")
	}
	start := time.Now()
	wantKind(t, c.Mkdir(dir+"/b", 0o755), TimedOut)
	if d := time.Since(start); d < 400*time.Millisecond || d > 10*time.Second {
		t.Errorf("it took %v", d)
	}
	l.allow(nil)
	waiting := c.Mkdir(dir+"/c", 0o755)
	must(t, waiting)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "c" {
		t.Errorf("%v, %v", entries, err)
	}
	if s := c.Status(); s.Generation != 2 || s.State != StateUp || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// A file survives the loss of its connection under its name, or the one that
// it was given since; another file in its place is Stale.
func TestFilesAfterALoss(t *testing.T) {
	l := newLab(t)
	c := l.dialClient(quick())
	dir := t.TempDir()
	names := []string{"same", "renamed", "replaced", "unlinked", "unlinked behind", "grown"}
	files := map[string]File{}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, opened := c.Open(filepath.Join(dir, name), OpenRead|OpenWrite, 0)
		must(t, opened)
		files[name] = f
	}
	must(t, files["grown"].WriteAt([]byte("more content"), 0))
	must(t, c.Rename(dir+"/renamed", dir+"/elsewhere", true))
	must(t, c.Unlink(dir+"/unlinked"))
	if n, err := files["unlinked"].ReadAt(make([]byte, 7), 0).Wait(within(t)); n != 7 || err != nil {
		t.Errorf("an unlinked open file: %d, %v", n, err)
	}
	l.allow(errTest)
	l.cut()
	eventually(t, "the loss", func() bool { return c.Status().State != StateUp })
	other := filepath.Join(dir, "other")
	if err := errors.Join(os.WriteFile(other, []byte("other"), 0o600), os.Rename(other, dir+"/replaced"), os.Remove(dir+"/unlinked behind")); err != nil {
		t.Fatal(err)
	}
	l.allow(nil)
	for name, want := range map[string]string{"same": "content", "renamed": "content", "grown": "more content"} {
		b := make([]byte, 20)
		n, err := files[name].ReadAt(b, 0).Wait(within(t))
		if err != io.EOF || string(b[:n]) != want {
			t.Errorf("%s: %q, %v", name, b[:n], err)
		}
	}
	for _, name := range []string{"replaced", "unlinked", "unlinked behind"} {
		wantKind(t, files[name].ReadAt(make([]byte, 5), 0), Stale)
		wantKind(t, files[name].Stat(), Stale)
	}
	for _, f := range files {
		f.Close()
	}
}

// A server that hangs on one operation fails that one; the others go on.
func TestHungServer(t *testing.T) {
	o := quick()
	o.Timeout = time.Second
	c := newLab(t).dialClient(o)
	fifo := t.TempDir() + "/fifo"
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, opened := c.Open(fifo, OpenRead, 0)
	wantKind(t, opened, TimedOut)
	wantKind(t, f.Stat(), TimedOut)
	f.Close()
	must(t, c.Lstat(fifo))
}

// liar makes channels of which one answer has another id once it is told to lie.
type liar struct {
	io.ReadWriteCloser
	lie *atomic.Bool

	// Where the reader stands: bytes of the packet that it has, and its length.
	at, length int
}

// Read may end anywhere within a packet: a server may send its length by itself.
func (l *liar) Read(p []byte) (int, error) {
	n, err := l.ReadWriteCloser.Read(p)
	for i := range p[:n] {
		switch {
		case l.at < 4:
			l.length = l.length<<8 | int(p[i])
		case l.at == 8 && l.lie.CompareAndSwap(true, false): // behind length and type
			p[i] ^= 0x55
		}
		if l.at++; l.at == 4+l.length {
			l.at, l.length = 0, 0
		}
	}
	return n, err
}

// An answer that breaks the protocol fails what was sent on that connection,
// and the next one serves.
func TestLyingServer(t *testing.T) {
	var lie, made atomic.Bool
	c := newLab(t).dialWith(quick(), func(ctx context.Context, ch io.ReadWriteCloser, known *features) (session, error) {
		if made.CompareAndSwap(false, true) { // the lane of names; the other may still be opening
			ch = &liar{ReadWriteCloser: ch, lie: &lie}
		}
		return openOwn(ctx, ch, known)
	})
	dir := t.TempDir()
	lie.Store(true)
	wantKind(t, c.Lstat(dir), Protocol)
	must(t, c.Lstat(dir))
}

// provider is a sandbox that can be paused.
type provider struct {
	mu      sync.Mutex // guards all below
	state   sandbox.State
	resumed int
}

func (p *provider) Endpoint(context.Context) (sandbox.Endpoint, error) {
	return sandbox.Endpoint{}, errTest
}
func (p *provider) KeepAlive(context.Context, time.Duration) error { return nil }

func (p *provider) State(context.Context) (sandbox.State, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state, nil
}

func (p *provider) Resume(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = sandbox.Running
	p.resumed++
	return nil
}

func (p *provider) set(s sandbox.State) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = s
}

// A paused sandbox is woken by what is done to a file's content, and by nothing
// else.
func TestPausedSandbox(t *testing.T) {
	l := newLab(t)
	p := &provider{state: sandbox.Running}
	o := quick()
	o.Provider, o.Resume = p, true
	c := l.dialClient(o)
	path := t.TempDir() + "/f"
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, opened := c.Open(path, OpenRead, 0)
	must(t, opened)
	dials := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.dials
	}
	p.set(sandbox.Paused)
	before := dials()
	l.cut()
	wantKind(t, c.Lstat(path), NotConnected)
	if s := c.Status(); s.State != StatePaused || dials() != before {
		t.Errorf("%+v, %d dials", s, dials()-before)
	}
	b := make([]byte, 5)
	if n, err := f.ReadAt(b, 0).Wait(within(t)); n != 5 || err != nil || !bytes.Equal(b, []byte("hello")) {
		t.Errorf("%q, %v", b, err)
	}
	p.mu.Lock()
	if p.resumed != 1 {
		t.Errorf("it was resumed %d times", p.resumed)
	}
	p.mu.Unlock()
	p.set(sandbox.Gone)
	l.cut()
	wantKind(t, c.Lstat(path), Gone)
	if s := c.Status(); s.State != StateGone {
		t.Errorf("%+v", s)
	}
	f.Close()
}

// An opening whose connection is lost before its answer is asked again, though
// what was started on the file waits for it, and a rename of it behind that.
func TestLostOpeningWithWorkBehindIt(t *testing.T) {
	l := newLab(t)
	c := l.dialClient(quick())
	dir := t.TempDir()
	for i := range 50 {
		name := fmt.Sprintf("%s/%d", dir, i)
		f, opened := c.Open(name, OpenWrite|OpenCreate, 0o600)
		written := f.WriteAt([]byte("content"), 0)
		looked := f.Stat()
		f.Close()
		renamed := c.Rename(name, name+".new", true)
		if i%2 == 0 {
			l.cut()
		}
		must(t, opened)
		must(t, written)
		if a := must(t, looked); a.Size != 7 {
			t.Errorf("%d: %+v", i, a)
		}
		must(t, renamed)
	}
}
