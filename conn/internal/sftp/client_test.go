package sftp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// packet is one as a server sees or sends it: its type, and what follows.
type packet struct {
	typ  byte
	body []byte
}

// server is the other end of a Client: answer gets each request after the
// handshake, and what it returns is sent.
func server(t *testing.T, answer func(typ byte, id uint32, body *decoder) []byte) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		r := bufio.NewReader(theirs)
		if p, ok := receive(r); !ok || p.typ != typeInit {
			return
		}
		if _, err := theirs.Write(wire(typeVersion, appendUint32(nil, 3))); err != nil {
			return
		}
		for {
			p, ok := receive(r)
			if !ok {
				return
			}
			d := &decoder{b: p.body}
			id := d.uint32()
			if _, err := theirs.Write(answer(p.typ, id, d)); err != nil {
				return
			}
		}
	}()
	c := New(ours)
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
	return c
}

func receive(r io.Reader) (packet, bool) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return packet{}, false
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4])-1)
	_, err := io.ReadFull(r, body)
	return packet{head[4], body}, err == nil
}

func wire(typ byte, body []byte) []byte {
	return append(append(appendUint32(nil, uint32(len(body)+1)), typ), body...)
}

func reply(typ byte, id uint32, body []byte) []byte {
	return wire(typ, append(appendUint32(nil, id), body...))
}

func status(id, code uint32) []byte {
	return reply(typeStatus, id, appendString(appendString(appendUint32(nil, code), "message"), "en"))
}

func data(id uint32, b []byte) []byte { return reply(typeData, id, appendString(nil, string(b))) }

// result is what an operation's done was called with.
type result[T any] struct {
	v   T
	err error
}

// get starts an operation and waits for its answer, within a bound.
func get[T any](t *testing.T, start func(done func(T, error)) *Request) (T, error) {
	t.Helper()
	got := make(chan result[T], 2)
	start(func(v T, err error) { got <- result[T]{v, err} })
	select {
	case r := <-got:
		return r.v, r.err
	case <-time.After(20 * time.Second):
		t.Fatal("no answer")
		panic("unreachable")
	}
}

func read(c *Client, p []byte, off uint64) func(func(int, error)) *Request {
	return func(done func(int, error)) *Request { return c.Read("h", p, off, done) }
}

// A reply that the protocol forbids ends the session, at once and for all
// operations.
func TestLiesEndTheSession(t *testing.T) {
	type liar func(id uint32) []byte
	name := func(entries ...string) []byte {
		b := appendUint32(nil, uint32(len(entries)))
		for _, e := range entries {
			b = appendAttr(appendString(appendString(b, e), e), Attr{})
		}
		return b
	}
	for what, lie := range map[string]liar{
		"unknown id":            func(id uint32) []byte { return data(id+77, []byte("x")) },
		"empty DATA":            func(id uint32) []byte { return data(id, nil) },
		"too much DATA":         func(id uint32) []byte { return data(id, make([]byte, 200)) },
		"DATA that disagrees":   func(id uint32) []byte { return reply(typeData, id, appendUint32(nil, 5)) },
		"DATA without a length": func(id uint32) []byte { return reply(typeData, id, []byte{0}) },
		"the wrong type":        func(id uint32) []byte { return reply(typeHandle, id, appendString(nil, "h")) },
		"NAME for a READ":       func(id uint32) []byte { return reply(typeName, id, name("x")) },
		"OK for a READ":         func(id uint32) []byte { return status(id, 0) },
		"a cut STATUS":          func(id uint32) []byte { return reply(typeStatus, id, []byte{0, 0}) },
		"a long STATUS": func(id uint32) []byte {
			return reply(typeStatus, id, append(appendString(appendString(appendUint32(nil, 4), "m"), "en"), 1))
		},
		"a packet of 4 GiB":     func(uint32) []byte { return []byte{0xff, 0xff, 0xff, 0xff, typeData, 0, 0, 0, 1} },
		"a packet of nothing":   func(uint32) []byte { return []byte{0, 0, 0, 0, 0, 0, 0, 0, 0} },
		"a request":             func(id uint32) []byte { return reply(typeRead, id, nil) },
		"a second VERSION":      func(uint32) []byte { return wire(typeVersion, appendUint32(nil, 3)) },
		"an answer given twice": func(id uint32) []byte { return append(data(id, make([]byte, 100)), data(id, make([]byte, 100))...) },
	} {
		t.Run(what, func(t *testing.T) {
			c := server(t, func(_ byte, id uint32, _ *decoder) []byte { return lie(id) })
			_, err := get(t, read(c, make([]byte, 100), 0))
			if what != "an answer given twice" && !errors.Is(err, ErrProtocol) {
				t.Errorf("got %v", err)
			}
			select {
			case <-c.Ended():
			case <-time.After(20 * time.Second):
				t.Fatal("the session lives on")
			}
			var lost *LostError
			if _, err := get(t, func(done func(Attr, error)) *Request { return c.Lstat("/", done) }); !errors.As(err, &lost) || lost.Sent {
				t.Errorf("afterwards: %v", err)
			}
			if !errors.Is(c.Cause(), ErrProtocol) {
				t.Errorf("the session ended with %v", c.Cause())
			}
		})
	}
}

// Short DATA is asked on for, to the last byte or the end of the file.
func TestShortDataIsAskedOn(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 100)
	c := server(t, func(_ byte, id uint32, d *decoder) []byte {
		d.string()
		off, n := d.uint64(), d.uint32()
		if off >= uint64(len(content)) {
			return status(id, 1)
		}
		n = min(n, 7, uint32(len(content))-uint32(off))
		return data(id, content[off:off+uint64(n)])
	})
	p := make([]byte, 500)
	if n, err := get(t, read(c, p, 13)); n != 500 || err != nil || !bytes.Equal(p, content[13:513]) {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := get(t, read(c, p, 900)); n != 100 || err != io.EOF || !bytes.Equal(p[:n], content[900:]) {
		t.Errorf("%d, %v", n, err)
	}
}

// A server that serves a byte at a time is not served for ever.
func TestCountlessPieces(t *testing.T) {
	c := server(t, func(_ byte, id uint32, _ *decoder) []byte { return data(id, []byte("x")) })
	if _, err := get(t, read(c, make([]byte, 100_000), 0)); !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

func listOf(c *Client, max int) func(func(Listing, error)) *Request {
	return func(done func(Listing, error)) *Request { return c.List("/d", max, nil, done) }
}

func names(id uint32, entries ...string) []byte {
	b := appendUint32(nil, uint32(len(entries)))
	for _, e := range entries {
		b = appendAttr(appendString(appendString(b, e), "-rw-r--r--    7 u g 1 Jan  1  1970 "+e), Attr{Valid: AttrSize, Size: 9})
	}
	return reply(typeName, id, b)
}

// lister is a server of one directory, whose READDIRs are answered by more.
func lister(t *testing.T, more func(n int, id uint32) []byte) *Client {
	n := 0
	return server(t, func(typ byte, id uint32, _ *decoder) []byte {
		switch typ {
		case typeOpendir:
			return reply(typeHandle, id, appendString(nil, "dir"))
		case typeReaddir:
			n++
			return more(n, id)
		}
		return status(id, 0)
	})
}

func TestUnusableNamesAreLeftOut(t *testing.T) {
	c := lister(t, func(n int, id uint32) []byte {
		if n > 1 {
			return status(id, 1)
		}
		return names(id, ".", "..", "", "a/b", "nul\x00", strings.Repeat("x", 256), "twice", "twice", "\xff\xfe", "good", "/")
	})
	l, err := get(t, listOf(c, 0))
	if err != nil || !l.Complete || l.Unusable != 6 {
		t.Errorf("%+v, %v", l, err)
	}
	var got []string
	for _, e := range l.Entries {
		got = append(got, e.Name)
		if e.Nlink != 7 || e.Attr.Size != 9 {
			t.Errorf("%+v", e)
		}
	}
	if want := []string{"twice", "\xff\xfe", "good"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestListingWithoutEnd(t *testing.T) {
	c := lister(t, func(_ int, id uint32) []byte {
		return names(id, slices.Repeat([]string{"the same"}, 2000)...)
	})
	if _, err := get(t, listOf(c, 0)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	l, err := get(t, listOf(c, 1))
	if err != nil && !errors.Is(err, ErrTooLarge) || l.Complete {
		t.Errorf("%+v, %v", l, err)
	}
}

// A long listing comes in parts, each entry once; a short one at once.
func TestListingInParts(t *testing.T) {
	for _, packets := range []int{5, 10, 11, 40} {
		c := lister(t, func(n int, id uint32) []byte {
			if n > packets {
				return status(id, 1)
			}
			var text []string
			for i := range 100 {
				text = append(text, fmt.Sprint(n, ".", i))
			}
			return names(id, text...)
		})
		var told []Entry
		parts := 0
		l, err := get(t, func(done func(Listing, error)) *Request {
			return c.List("/d", 0, func(l Listing) {
				if parts++; len(l.Entries) == 0 || l.Complete || l.Asked.IsZero() {
					t.Errorf("part %d: %d entries, complete %v, asked %v", parts, len(l.Entries), l.Complete, l.Asked)
				}
				told = append(told, l.Entries...)
			}, done)
		})
		if err != nil || !l.Complete {
			t.Errorf("%+v, %v", l, err)
		}
		seen := map[string]bool{}
		for _, e := range append(told, l.Entries...) {
			seen[e.Name] = true
		}
		if len(seen) != 100*packets || len(told)+len(l.Entries) != len(seen) {
			t.Errorf("%d names told in parts, %d at the end, %d different ones", len(told), len(l.Entries), len(seen))
		}
		if want := max(0, packets-10); parts != want {
			t.Errorf("%d packets: told in %d parts, want %d", packets, parts, want)
		}
	}
}

// Listings that are made at the same time share one bound, and give their part
// of it back.
func TestListingsTogether(t *testing.T) {
	long := strings.Repeat("n", 245)
	c := lister(t, func(n int, id uint32) []byte {
		var batch []string
		for i := range 400 { // in one packet
			batch = append(batch, fmt.Sprint(long, n*1000+i))
		}
		return names(id, batch...)
	})
	var all []func(func(Listing, error)) *Request
	for range 4 {
		all = append(all, listOf(c, 0))
	}
	answers := make(chan error, len(all))
	for _, list := range all {
		list(func(l Listing, err error) { answers <- err })
	}
	for range all {
		if err := <-answers; !errors.Is(err, ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	}
	_ = c.Close()
	if c.listed != 0 {
		t.Errorf("%d bytes count for nothing", c.listed)
	}
}

func TestListingLies(t *testing.T) {
	for what, lie := range map[string]func(id uint32) []byte{
		"no names":       func(id uint32) []byte { return reply(typeName, id, appendUint32(nil, 0)) },
		"too many names": func(id uint32) []byte { return reply(typeName, id, appendUint32(nil, 1<<31)) },
		"a cut name":     func(id uint32) []byte { return reply(typeName, id, appendUint32(appendUint32(nil, 1), 99)) },
		"odd attributes": func(id uint32) []byte {
			return reply(typeName, id, appendUint32(appendString(appendString(appendUint32(nil, 1), "a"), "a"), 0x70))
		},
	} {
		t.Run(what, func(t *testing.T) {
			c := lister(t, func(_ int, id uint32) []byte { return lie(id) })
			if _, err := get(t, listOf(c, 0)); !errors.Is(err, ErrProtocol) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The end counts only once everything before it has come.
func TestEndOutOfOrder(t *testing.T) {
	var first uint32
	c := lister(t, func(n int, id uint32) []byte {
		switch n {
		case 1:
			first = id
			return nil
		case 2:
			return append(status(id, 1), names(first, "late")...)
		}
		return status(id, 1)
	})
	l, err := get(t, listOf(c, 0))
	if err != nil || len(l.Entries) != 1 || !l.Complete {
		t.Errorf("%+v, %v", l, err)
	}
}

// A server that answers all but what nobody waits for does not fill the memory.
func TestClosesNeverAnswered(t *testing.T) {
	c := server(t, func(typ byte, id uint32, _ *decoder) []byte {
		if typ == typeClose {
			return nil
		}
		return status(id, 2)
	})
	lost := make(chan struct{}, 1)
	for range maxFlight + 1 {
		c.CloseHandle("h", func(error) {
			select {
			case lost <- struct{}{}:
			default:
			}
		})
	}
	select {
	case <-c.Ended():
	case <-time.After(60 * time.Second):
		t.Fatal("the session lives on")
	}
	<-lost
	if !errors.Is(c.Cause(), ErrProtocol) {
		t.Errorf("the session ended with %v", c.Cause())
	}
}

// A server that answers nothing holds nobody's Close up, and what was not sent
// can be withdrawn.
func TestSilence(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := New(ours)
	answered := make(chan error, 2)
	a := c.Lstat("/a", func(_ Attr, err error) { answered <- err })
	c.Lstat("/b", func(_ Attr, err error) { answered <- err })
	if !c.Cancel(a) || c.Cancel(a) {
		t.Error("what was not sent could not be withdrawn, once")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := c.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	_ = c.Close()
	var lost *LostError
	if err := <-answered; !errors.As(err, &lost) || lost.Sent {
		t.Errorf("got %v", err)
	}
	if len(answered) > 0 {
		t.Error("what was withdrawn was answered")
	}
}

func TestVersions(t *testing.T) {
	for what, body := range map[string][]byte{
		"another version": appendUint32(nil, 6),
		"nothing":         {},
		"half a pair":     appendString(appendUint32(nil, 3), "limits@openssh.com"),
	} {
		if _, err := decodeVersion(body); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", what, err)
		}
	}
	s, err := decodeVersion(appendString(appendString(appendUint32(nil, 3), "posix-rename@openssh.com"), "2"))
	if err != nil || s.PosixRename {
		t.Errorf("an extension of another version is used: %+v, %v", s, err)
	}
}

func TestLimits(t *testing.T) {
	for _, row := range []struct{ told, want Limits }{
		{Limits{262144, 261120, 261120, 1019}, Limits{262144, 261120, 261120, 1019}},
		{Limits{}, Limits{0, maxIO, maxIO, 0}},
		{Limits{34000, 1 << 40, 1 << 40, 5}, Limits{34000, 34000 - 1024, 34000 - 1024, 5}},
		{Limits{1, 1, 1, 1}, Limits{1, 1024, 1024, 1}},
	} {
		var got Limits
		if got.take(row.told); got != row.want {
			t.Errorf("%+v: %+v, want %+v", row.told, got, row.want)
		}
	}
}

// The real server, over pipes.
func TestOpenSSH(t *testing.T) {
	cmd := exec.Command("/usr/lib/openssh/sftp-server")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := New(pipes{out, in})
	t.Cleanup(func() {
		_ = c.Close()
		_ = cmd.Wait()
	})
	s, err := c.Wait(t.Context())
	if err != nil || !s.PosixRename || !s.StatVFS || s.Read != maxIO {
		t.Fatalf("%+v, %v", s, err)
	}
	path := t.TempDir() + "/f"
	h, err := get(t, func(done func(string, error)) *Request {
		return c.Open(path, OpenRead|OpenWrite|OpenCreate, 0o600, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("abcdefg"), 30000)
	if _, err := get(t, func(done func(int, error)) *Request {
		return c.Write(h, want, 5, func(err error) { done(0, err) })
	}); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want)+10)
	n, err := get(t, func(done func(int, error)) *Request { return c.Read(h, got, 5, done) })
	if n != len(want) || err != io.EOF || !bytes.Equal(got[:n], want) {
		t.Errorf("%d, %v", n, err)
	}
	there, err := os.ReadFile(path)
	if err != nil || len(there) != len(want)+5 {
		t.Errorf("%d, %v", len(there), err)
	}
}

type pipes struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipes) Close() error {
	_ = p.ReadCloser.Close()
	return p.WriteCloser.Close()
}
