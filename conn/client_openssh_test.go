package conn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/test/link"
	"github.com/sbxmount/sbxmount/test/openssh"
)

// site is OpenSSH behind our own bridge, behind a link.
type site struct {
	*openssh.Server
	link *link.Link
	o    conn.Options
}

func newSite(t testing.TB, rtt time.Duration, o openssh.Options) *site {
	t.Helper()
	o.Bridge = openssh.Own
	s := openssh.Start(t, o)
	l, err := link.New(link.Options{Target: s.Addr, RTT: rtt})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	target, err := sandbox.Parse(s.Via(l.Addr()), sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &site{Server: s, link: l, o: conn.Options{
		Provider: target.Provider, User: s.User,
		Auth:     conn.AuthOptions{Identities: []string{s.Identity}},
		HostKeys: conn.HostKeyOptions{Mode: conn.HostKeyStrict, File: s.KnownHosts},
	}}
}

func (s *site) dial(t testing.TB) *conn.Client {
	t.Helper()
	c, err := conn.Dial(t.Context(), s.o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func must[T any](t testing.TB, c *conn.Call[T]) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	v, err := c.Wait(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// bulk is how much the benchmarks move, and how much of it is asked for at
// once: more than any link here carries in a round trip.
const (
	bulkSize  = 256 << 20
	bulkAhead = 96 << 20
	bulkPiece = 1 << 20
)

// stream starts one operation a piece, with up to bulkAhead of them in flight.
func stream[T any](t testing.TB, start func(off int64) *conn.Call[T]) {
	slots := make(chan struct{}, bulkAhead/bulkPiece)
	var failed sync.Once
	for off := int64(0); off < bulkSize; off += bulkPiece {
		slots <- struct{}{}
		start(off).Then(func(_ T, err error) {
			if err != nil {
				failed.Do(func() { t.Error(err) })
			}
			<-slots
		})
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
}

// The time runs from the open on a fresh session, so that it includes the
// opening of lanes.
func BenchmarkBulk(b *testing.B) {
	for _, rtt := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
		for _, verb := range []string{"read", "write"} {
			b.Run(fmt.Sprintf("%s/%v", verb, rtt), func(b *testing.B) {
				s := newSite(b, rtt, openssh.Options{})
				path := filepath.Join(s.Dir, "big")
				if verb == "read" {
					if err := os.WriteFile(path, make([]byte, bulkSize), 0o600); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(bulkSize)
				for b.Loop() {
					b.StopTimer()
					c := s.dial(b)
					b.StartTimer()
					if verb == "read" {
						f, _ := c.Open(path, conn.OpenRead, 0)
						bufs := make([]byte, bulkAhead)
						stream(b, func(off int64) *conn.Call[int] {
							at := off % bulkAhead
							return f.ReadAt(bufs[at:at+bulkPiece], off)
						})
						f.Close()
					} else {
						f, _ := c.Open(path, conn.OpenWrite|conn.OpenCreate|conn.OpenTrunc, 0o600)
						buf := make([]byte, bulkPiece)
						stream(b, func(off int64) *conn.Call[struct{}] { return f.WriteAt(buf, off) })
						must(b, f.Stat())
						f.Close()
					}
					b.Logf("%+v", c.Status())
				}
			})
		}
	}
}

// trips runs f and returns how many round trips it took.
func (s *site) trips(f func()) int64 {
	before := s.link.Stats()
	f()
	return s.link.Stats().Sub(before).RoundTrips
}

// settle waits until nothing travels any more.
func (s *site) settle(t *testing.T) {
	t.Helper()
	last := s.link.Stats()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		time.Sleep(60 * time.Millisecond) // six times the round trip: polling what has no event
		now := s.link.Stats()
		if now == last {
			return
		}
		last = now
	}
	t.Error("the link does not become quiet")
}

// What each operation costs in round trips, as the contract states it.
func TestRoundTrips(t *testing.T) {
	s := newSite(t, 10*time.Millisecond, openssh.Options{})
	var c *conn.Client
	dialled := s.trips(func() {
		c = s.dial(t)
		must(t, c.Lstat(s.Dir))
	})
	t.Logf("from nothing to the first answer: %d", dialled)
	if dialled > 16 {
		t.Errorf("the first answer took %d round trips", dialled)
	}
	// The background lane and the shell's answer come behind.
	must(t, c.List(s.Dir, 0, conn.Background, nil))
	s.settle(t)
	name := func(n string) string { return filepath.Join(s.Dir, n) }
	var f conn.File
	for _, row := range []struct {
		what string
		want int64
		do   func()
	}{
		{"mkdir", 1, func() { must(t, c.Mkdir(name("d"), 0o755)) }},
		{"lstat", 1, func() { must(t, c.Lstat(name("d"))) }},
		{"symlink", 1, func() { must(t, c.Symlink("d", name("l"))) }},
		{"readlink", 1, func() { must(t, c.Readlink(name("l"))) }},
		{"create, write, stat, close, rename", 2, func() {
			f, _ := c.Open(name("t"), conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, 0o644)
			wrote := f.WriteAt([]byte("hello"), 0)
			f.Stat()
			f.Close()
			renamed := c.Rename(name("t"), name("f"), true)
			must(t, wrote)
			must(t, renamed)
		}},
		{"open", 1, func() {
			var opened *conn.Call[conn.Attr]
			f, opened = c.Open(name("f"), conn.OpenRead|conn.OpenWrite, 0)
			must(t, opened)
		}},
		{"create without O_EXCL", 1, func() {
			f, opened := c.Open(name("g"), conn.OpenWrite|conn.OpenCreate, 0o644)
			must(t, opened)
			f.Close()
		}},
		// SSH's window is credited amid longer ones, which counts as a round
		// trip that nobody waits for.
		{"write of 64 KiB", 1, func() { must(t, f.WriteAt(make([]byte, 64<<10), 100)) }},
		{"read of 64 KiB", 1, func() { must(t, f.ReadAt(make([]byte, 64<<10), 5)) }},
		{"write, sync", 1, func() { f.WriteAt([]byte("x"), 3); must(t, f.Sync()) }},
		{"truncate", 1, func() { must(t, f.SetAttr(conn.SetAttr{Valid: conn.SetSize})) }},
		{"link", 1, func() { must(t, c.Link(name("f"), name("f2"))) }},
		{"setattr", 1, func() {
			must(t, c.SetAttr(name("f"), conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: 0o600}}))
		}},
		{"list", 2, func() { must(t, c.List(s.Dir, 0, conn.Foreground, nil)) }},
		{"statfs", 1, func() { must(t, c.StatFS(s.Dir)) }},
		{"unlink", 1, func() { must(t, c.Unlink(name("l"))) }},
		{"rmdir", 1, func() { must(t, c.Rmdir(name("d"))) }},
		{"refused mkdir", 2, func() { _, _ = c.Mkdir(name("f"), 0o755).Wait(t.Context()) }},
	} {
		if got := s.trips(row.do); got != row.want {
			t.Errorf("%s: %d round trips, want %d", row.what, got, row.want)
		}
	}
}

// A server without SFTP says so when it is asked, long before the handshake's
// time is over.
func TestServerWithoutSFTP(t *testing.T) {
	s := newSite(t, 10*time.Millisecond, openssh.Options{NoSFTP: true})
	began := time.Now()
	c, err := conn.Dial(t.Context(), s.o)
	if err == nil {
		_ = c.Close(t.Context())
		t.Fatal("it has SFTP")
	}
	var d *conn.DialError
	if !errors.As(err, &d) || d.Reason != conn.NoSFTP || d.Advice == "" || !strings.Contains(err.Error(), "refused the subsystem") {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("told after %v", took)
	}
}

// A big directory costs far fewer round trips than its READDIRs.
func TestListingIsPipelined(t *testing.T) {
	s := newSite(t, 10*time.Millisecond, openssh.Options{})
	for i := range 3000 {
		if err := os.WriteFile(fmt.Sprintf("%s/name%d", s.Dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := s.dial(t)
	best := int64(1000) // answers that a busy machine tears apart only add
	for range 3 {
		best = min(best, s.trips(func() {
			if l := must(t, c.List(s.Dir, 0, conn.Foreground, nil)); len(l.Entries) != 3000 {
				t.Errorf("%d entries", len(l.Entries))
			}
		}))
	}
	if best > 15 { // of 30 READDIRs
		t.Errorf("%d round trips", best)
	}
}

// Big data on several lanes and connections with the link cut again and again:
// what arrives is what was written, and the old sessions are ended first.
func TestBulkSurvivesCuts(t *testing.T) {
	s := newSite(t, 4*time.Millisecond, openssh.Options{})
	s.o.MaxConns, s.o.MaxLanes = 3, 3
	c := s.dial(t)
	data := make([]byte, 64<<20)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range data {
		data[i] = byte(rnd.Uint32() >> 9)
	}
	path := filepath.Join(s.Dir, "big")
	f, opened := c.Open(path, conn.OpenRead|conn.OpenWrite|conn.OpenCreate, 0o600)
	must(t, opened)
	stop := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		for range 6 {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(50+rnd.IntN(200)) * time.Millisecond):
				s.link.Cut()
			}
		}
	})
	var calls []*conn.Call[struct{}]
	for off := 0; off < len(data); off += 1 << 20 {
		calls = append(calls, f.WriteAt(data[off:off+1<<20], int64(off)))
	}
	stat := f.Stat()
	for _, call := range calls {
		must(t, call)
	}
	if a := must(t, stat); a.Size != int64(len(data)) {
		t.Errorf("size %d", a.Size)
	}
	got := make([]byte, len(data)+1)
	if n, err := f.ReadAt(got, 0).Wait(t.Context()); n != len(data) || err != io.EOF {
		t.Errorf("read %d, %v", n, err)
	}
	close(stop)
	cutter.Wait()
	if !bytes.Equal(got[:len(data)], data) {
		t.Error("what was read differs")
	}
	there, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(there, data) {
		t.Errorf("what arrived differs: %v", err)
	}
	t.Logf("%+v", c.Status())
}

// Lines appended while the link is cut arrive once, in order, or their write
// fails.
func TestAppendsSurviveCuts(t *testing.T) {
	s := newSite(t, 2*time.Millisecond, openssh.Options{})
	c := s.dial(t)
	path := filepath.Join(s.Dir, "log")
	f, opened := c.Open(path, conn.OpenWrite|conn.OpenAppend|conn.OpenCreate, 0o600)
	must(t, opened)
	var want []string
	failed := map[string]bool{}
	for i := range 150 {
		line := fmt.Sprintf("line %06d\n", i)
		call := f.WriteAt([]byte(line), 0)
		if i%30 == 17 {
			s.link.Cut()
		}
		if _, err := call.Wait(t.Context()); err != nil {
			t.Logf("line %d: %v", i, err)
			failed[line] = true
		}
		want = append(want, line)
	}
	there, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range want {
		if n := bytes.Count(there, []byte(line)); n > 1 || n == 0 && !failed[line] {
			t.Errorf("%q is there %d times", line, n)
		}
	}
}

// After a cut the first blocked operation is answered within 15 round trips.
func TestRecoveryIsQuick(t *testing.T) {
	const rtt = 30 * time.Millisecond
	s := newSite(t, rtt, openssh.Options{})
	c := s.dial(t)
	must(t, c.Lstat(s.Dir))
	best := int64(1000) // what else goes on over the link only adds
	for range 3 {
		best = min(best, s.trips(func() {
			start := time.Now()
			s.link.Cut()
			must(t, c.Lstat(s.Dir))
			t.Logf("%v", time.Since(start))
		}))
	}
	if best > 15 {
		t.Errorf("%d round trips", best)
	}
}

// The server tells its clock with each connection, and what it told on an
// earlier one is known to be from before.
func TestClock(t *testing.T) {
	s := newSite(t, time.Millisecond, openssh.Options{})
	c := s.dial(t)
	first := clockOf(t, c)
	s.link.Cut()
	must(t, c.Lstat(s.Dir))
	if second := clockOf(t, c); !second.Connected.After(first.Told) {
		t.Errorf("%+v after %+v", second, first)
	}
}

// clockOf waits for the shell's answer.
func clockOf(t *testing.T, c *conn.Client) conn.Clock {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		k := c.Clock()
		if k.Seconds == 0 {
			continue
		}
		if s := time.Unix(k.Seconds, 0); k.Asked.Before(k.Connected) || s.After(k.Told) || s.Before(k.Asked.Add(-time.Second)) {
			t.Errorf("%+v", k)
		}
		return k
	}
	t.Fatal("the server's clock is not told")
	panic("unreachable")
}

// A line much slower than what is written to it: no more stands before it than it
// carries in a while, so that no answer is owed for as long as a server that
// hangs would owe it, and nothing is sent twice.
func TestSlowLine(t *testing.T) {
	t.Parallel()
	s := newSite(t, 40*time.Millisecond, openssh.Options{})
	s.link.Set(40*time.Millisecond, 8<<20) // bits a second
	s.o.Timeout = 3 * time.Second
	c := s.dial(t)
	f, _ := c.Open(filepath.Join(s.Dir, "big"), conn.OpenWrite|conn.OpenCreate|conn.OpenTrunc, 0o600)
	const size = 14 << 20
	var all []*conn.Call[struct{}]
	for off := int64(0); off < size; off += bulkPiece {
		all = append(all, f.WriteAt(make([]byte, bulkPiece), off))
	}
	for _, w := range all {
		must(t, w)
	}
	if st := c.Status(); st.Reconnects != 0 || st.BytesOut > size+size/10 {
		t.Errorf("%d reconnects, %d bytes sent for %d", st.Reconnects, st.BytesOut, size)
	}
}
