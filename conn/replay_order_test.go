package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"
)

// An append whose answer was lost is looked for, however long the link was down.
func TestLostAppendAfterALongOutage(t *testing.T) {
	l := newLab(t)
	l.rtt = 200 * time.Millisecond
	c := l.dialClient(quick())
	name := t.TempDir() + "/log"
	f, opened := c.Open(name, OpenWrite|OpenAppend|OpenCreate, 0o600)
	must(t, opened)
	must(t, f.Stat()) // where its end is
	line := []byte("a line\n")
	written := f.WriteAt(line, 0)
	eventually(t, "the server has it", func() bool {
		b, _ := os.ReadFile(name)
		return bytes.Equal(b, line)
	})
	l.allow(errors.New("no network"))
	l.cut()
	eventually(t, "the link is down", func() bool { return c.Status().State != StateUp })
	eventually(t, "all that was lost is back", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.ending) == 0
	})
	c.expire() // as each second, while it is down
	l.allow(nil)
	must(t, written)
	must(t, f.Sync())
	if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, line) {
		t.Errorf("%q, %v", b, err)
	}
}

// lateSession answers what is started after its end when it is let.
type lateSession struct {
	session
	once sync.Once
	over func()        // called once it was closed
	let  chan struct{} // closed when late requests may be answered
}

func (s *lateSession) start(r *request) {
	select {
	case <-s.session.ended():
		go func() {
			<-s.let
			r.err = &lostError{cause: &Error{Op: "connection", Kind: NotConnected}}
			r.done(r)
		}()
	default:
		s.session.start(r)
	}
}

func (s *lateSession) close() error {
	err := s.session.close()
	s.once.Do(s.over)
	return err
}

// What was started on a session after its end comes back before the link does:
// nothing that was started later overtakes it.
func TestStartedOnADeadSession(t *testing.T) {
	l := newLab(t)
	dir := t.TempDir()
	var c *Client
	let, started := make(chan struct{}), make(chan *Call[Attr], 1)
	first := true
	open := func(ctx context.Context, ch io.ReadWriteCloser, known *features) (session, error) {
		s, err := openOwn(ctx, ch, known)
		if err != nil || known != nil || !first {
			return s, err
		}
		first = false // of the names' lane
		return &lateSession{session: s, let: let, over: func() { started <- c.Mkdir(dir+"/d", 0o755) }}, nil
	}
	c = l.dialWith(quick(), open)
	l.cut()
	outer := <-started
	inner := c.Mkdir(dir+"/d/e", 0o755)
	select {
	case <-inner.Done():
		t.Error("what is in the directory was made before it")
	case <-time.After(300 * time.Millisecond): // many attempts to connect
	}
	close(let)
	must(t, outer)
	must(t, inner)
}

// A file that takes another one's name takes over nothing that is known of that
// one, which is still open.
func TestMovedOverAnOpenFile(t *testing.T) {
	for range 50 { // files come in any order
		c := &Client{files: map[*file]struct{}{}, idents: map[string]*ident{}}
		add := func(path string, size int64) *file {
			f := &file{c: c, path: path, id: c.identOf(path)}
			f.id.attr.Size, f.id.known = size, true
			c.files[f] = struct{}{}
			return f
		}
		old, new := add("/f", 1), add("/f~", 2)
		c.moved(1, "/f~", "/f")
		if old.path != "" || old.id.attr.Size != 1 || new.path != "/f" || new.id.attr.Size != 2 {
			t.Fatalf("%q %+v, %q %+v", old.path, *old.id, new.path, *new.id)
		}
	}
}

// What waited for a listing's end goes on behind it, in order.
func TestBehindAListing(t *testing.T) {
	l := newLab(t)
	l.rtt = 50 * time.Millisecond
	c := l.dialClient(quick())
	dir := t.TempDir()
	must(t, c.Mkdir(dir+"/d", 0o755))
	listed := c.List(dir+"/d", 0, Foreground, nil)
	renamed := c.Rename(dir+"/d", dir+"/e", true)
	made := c.Mkdir(dir+"/d", 0o755)
	inner := c.Mkdir(dir+"/d/e", 0o755)
	must(t, listed)
	must(t, renamed)
	must(t, made)
	must(t, inner)
}
