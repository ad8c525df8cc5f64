package conn

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// chooser is a server that answers what it chooses: LSTAT of every name but
// "/never" at once, RMDIR with a failure, the first READDIR with a thousand names
// and further ones with one after each pause.
type chooser struct {
	out   sync.Mutex // serialises answers
	ch    net.Conn
	pause time.Duration
	told  int       // names; the reader's own
	due   time.Time // when the last READDIR is answered; the reader's own
}

// choosing makes sessions of which the first one's server is a chooser.
func choosing(t *testing.T, pause time.Duration) opener {
	return func(ctx context.Context, ch io.ReadWriteCloser, known *features) (session, error) {
		ours, theirs := net.Pipe()
		s := &chooser{ch: theirs, pause: pause, due: time.Now()}
		done := make(chan struct{})
		go func() { defer close(done); s.serve() }()
		t.Cleanup(func() { _ = theirs.Close(); <-done })
		return openOwn(ctx, both{ours, ch}, known)
	}
}

// both is a channel that ends another one with it.
type both struct {
	net.Conn
	other io.Closer
}

func (b both) Close() error {
	_ = b.other.Close()
	return b.Conn.Close()
}

func (s *chooser) serve() {
	defer s.ch.Close()
	r := bufio.NewReader(s.ch)
	var pauses sync.WaitGroup
	defer pauses.Wait()
	for {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		p := make([]byte, binary.BigEndian.Uint32(head[:]))
		if _, err := io.ReadFull(r, p); err != nil {
			return
		}
		if wait, answer := s.choose(p); wait > 0 {
			pauses.Go(func() { time.Sleep(wait); s.say(answer) })
		} else if answer != nil {
			s.say(answer)
		}
	}
}

func (s *chooser) say(p []byte) {
	s.out.Lock()
	defer s.out.Unlock()
	_, _ = s.ch.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(p))), p...))
}

// choose returns the answer to a packet, nil for none, and how long to wait.
func (s *chooser) choose(p []byte) (time.Duration, []byte) {
	const plainFile = "\x00\x00\x00\x0d\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x81\xa4\x00\x00\x00\x01\x00\x00\x00\x01" // size, mode, times
	id := string(p[1:5])
	text := func(t string) string { return string(binary.BigEndian.AppendUint32(nil, uint32(len(t)))) + t }
	switch p[0] {
	case 1: // INIT
		return 0, []byte("\x02\x00\x00\x00\x03")
	case 7: // LSTAT
		if string(p[9:]) == "/never" {
			return 0, nil
		}
		return 0, []byte("\x69" + id + plainFile)
	case 16: // REALPATH
		return 0, []byte("\x68" + id + "\x00\x00\x00\x01" + text("/") + text("") + "\x00\x00\x00\x00")
	case 17: // STAT
		return 0, []byte("\x69" + id + plainFile)
	case 11: // OPENDIR
		return 0, []byte("\x66" + id + text("dir"))
	case 12: // READDIR
		count := uint32(1)
		if s.told == 0 {
			count = 1100
		}
		names := "\x68" + id + string(binary.BigEndian.AppendUint32(nil, count))
		for range count {
			s.told++
			names += text(fmt.Sprint("name", s.told)) + text("") + plainFile
		}
		s.due = s.due.Add(s.pause)
		return time.Until(s.due), []byte(names)
	case 15: // RMDIR
		return 0, []byte("\x65" + id + "\x00\x00\x00\x04" + text("no") + text(""))
	}
	return 0, []byte("\x65" + id + "\x00\x00\x00\x08" + text("no") + text("")) // unsupported
}

// What is never answered ends though all that comes after it is: nobody keeps a
// program waiting for one answer by giving others.
func TestOneNeverAnswered(t *testing.T) {
	o := quick()
	o.Timeout = time.Second
	c := newLab(t).dialWith(o, choosing(t, 0))
	never := c.Lstat("/never")
	start := time.Now()
	for done := false; !done; {
		select {
		case <-never.Done():
			done = true
		default:
			must(t, c.Lstat("/other"))
			time.Sleep(5 * time.Millisecond)
		}
		if time.Since(start) > 10*o.Timeout {
			t.Fatal("it waits as long as others are answered")
		}
	}
	wantKind(t, never, TimedOut)
	must(t, c.Lstat("/other"))
}

// So does an operation that failed, where what stands in its way is asked for: the
// answers that came count.
func TestProbeNeverAnswered(t *testing.T) {
	o := quick()
	o.Timeout = time.Second
	c := newLab(t).dialWith(o, choosing(t, 0))
	wantKind(t, c.Rmdir("/never"), NotEmpty)
}

// A listing that goes on for ever, a name at a time, ends, though it gets on.
func TestListingThatTrickles(t *testing.T) {
	o := quick()
	o.Timeout = 1500 * time.Millisecond
	c := newLab(t).dialWith(o, choosing(t, 20*time.Millisecond))
	start := time.Now()
	if _, err := c.List("/d", 0, Foreground, func(Listing) {}).Wait(within(t)); KindOf(err) != TimedOut {
		t.Errorf("after %v: %v", time.Since(start), err)
	}
	if took := time.Since(start); took < 2*o.Timeout || took > maxTimeouts*o.Timeout+5*time.Second {
		t.Errorf("it took %v", took)
	}
}
