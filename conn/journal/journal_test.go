package journal_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/journal"
	"github.com/sbxmount/sbxmount/test/fake"
)

const (
	home    = "/home/user"
	sandbox = "sandbox"
)

// lab is a server, a journal, and a connection by way of it that dies when cut
// is called: what arrives then is carried out no more, and not answered.
type lab struct {
	*testing.T
	server *fake.Server
	raw    *fake.Remote
	remote conn.Remote
	j      *journal.Journal
	dir    string
	dead   chan struct{}
}

func newLab(t *testing.T) *lab {
	l := &lab{T: t, server: fake.NewServer(), dir: t.TempDir(), dead: make(chan struct{})}
	l.raw = l.server.Connect()
	l.raw.Before = func(fake.Request) error {
		select {
		case <-l.dead:
			return conn.Closed
		default:
			return nil
		}
	}
	var err error
	if l.j, err = journal.Create(journal.Options{Dir: l.dir, Name: "one", Of: sandbox}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.j.Close() })
	t.Cleanup(l.raw.Close)
	l.remote = l.j.Wrap(l.raw)
	return l
}

func (l *lab) cut() { close(l.dead) }

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func wait[T any](l *lab, c *conn.Call[T]) T {
	l.Helper()
	v, err := c.Wait(l.Context())
	l.must(err)
	return v
}

// replay ends the journal and has another connection deliver what it has.
func (l *lab) replay() journal.Report {
	l.Helper()
	l.j.Close()
	r := l.server.Connect()
	defer r.Close()
	report, err := journal.Replay(l.Context(), r, l.dir, sandbox, slog.New(slog.DiscardHandler))
	l.must(err)
	return report
}

func (l *lab) has(want map[string]string) {
	l.Helper()
	have := l.server.Tree(home)
	for p, text := range want {
		if have[home+"/"+p] != text {
			l.Errorf("%s is %q, want %q", p, have[home+"/"+p], text)
		}
	}
	if len(have) != len(want)+1 {
		l.Errorf("the server has %v", have)
	}
}

func (l *lab) files() []string {
	l.Helper()
	entries, err := os.ReadDir(l.dir)
	l.must(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestReplay: what was started and not carried out is delivered by the next
// mount, in order.
func TestReplay(t *testing.T) {
	l := newLab(t)
	l.server.WriteFile(home+"/old", "old")
	l.server.WriteFile(home+"/away", "x")
	l.server.WriteFile(home+"/was", "kept")
	l.cut()
	l.remote.Mkdir(home+"/d", 0o755)
	f, _ := l.remote.Open(home+"/d/tmp", conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, 0o600)
	f.WriteAt([]byte("hello"), 0)
	f.WriteAt([]byte(" world"), 5)
	f.Close()
	l.remote.Rename(home+"/d/tmp", home+"/d/new", true)
	l.remote.Symlink("new", home+"/d/link")
	l.remote.SetAttr(home+"/old", conn.SetAttr{Valid: conn.SetSize, Attr: conn.Attr{Size: 2}})
	l.remote.Unlink(home + "/away")
	l.remote.Rename(home+"/was", home+"/is", true)
	last := l.remote.SetAttr(home+"/is", conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: 0o640}})
	if _, err := last.Wait(t.Context()); conn.KindOf(err) != conn.Closed {
		t.Fatal(err)
	}
	if r := l.replay(); r.Failed > 0 || r.Done < 8 || r.Torn {
		t.Errorf("%+v", r)
	}
	l.has(map[string]string{"d": "dir", "d/new": "hello world", "d/link": "-> new", "old": "ol", "is": "kept"})
	if a, _ := l.server.Stat(home + "/is"); a.Mode.Perm() != 0o640 {
		t.Errorf("mode %o", a.Mode)
	}
	if names := l.files(); len(names) > 0 {
		t.Errorf("left: %v", names)
	}
}

// TestReplayOfWhatWasDone: changes that were carried out, and whose answers
// nobody noted, are found done.
func TestReplayOfWhatWasDone(t *testing.T) {
	l := newLab(t)
	l.server.WriteFile(home+"/away", "x")
	f, _ := l.remote.Open(home+"/tmp", conn.OpenWrite|conn.OpenCreate, 0o600)
	written := f.WriteAt([]byte("hello"), 0)
	wait(l, written)
	calls := []*conn.Call[struct{}]{l.remote.Rename(home+"/tmp", home+"/new", true), l.remote.Unlink(home + "/away")}
	before := copyOf(l, "one.journal")
	for _, c := range calls {
		wait(l, c)
	}
	l.j.Close()
	l.must(os.WriteFile(filepath.Join(l.dir, "two.journal"), before, 0o600))
	if r := l.replay(); r.Failed > 0 {
		t.Errorf("%+v", r)
	}
	l.has(map[string]string{"new": "hello"})
}

func copyOf(l *lab, name string) []byte {
	l.Helper()
	b, err := os.ReadFile(filepath.Join(l.dir, name))
	l.must(err)
	return b
}

// TestAppends: an append is done once, whether it was before or not; where
// somebody else appended it is kept.
func TestAppends(t *testing.T) {
	for _, tt := range []struct{ there, want string }{
		{"log", "log+more"}, {"log+more", "log+more"}, {"log+more+others", "log+more+others"}, {"log-others", "log-others"},
	} {
		l := newLab(t)
		l.server.WriteFile(home+"/f", "log")
		f, opened := l.remote.Open(home+"/f", conn.OpenWrite|conn.OpenAppend, 0)
		wait(l, opened)
		l.cut()
		<-f.WriteAt([]byte("+more"), 3).Done()
		l.server.WriteFile(home+"/f", tt.there)
		r := l.replay()
		l.has(map[string]string{"f": tt.want})
		if failed := tt.there == "log-others"; (r.Failed == 1) != failed || (len(r.Kept) == 1) != failed {
			t.Errorf("%q: %+v", tt.there, r)
		}
	}
}

// TestKept: what fails is reported and not replayed, and can be written out.
func TestKept(t *testing.T) {
	l := newLab(t)
	f, opened := l.remote.Open(home+"/full", conn.OpenWrite|conn.OpenCreate, 0o600)
	wait(l, opened)
	l.server.SetRoom(0)
	if _, err := f.WriteAt([]byte("no room"), 10).Wait(t.Context()); conn.KindOf(err) != conn.NoSpace {
		t.Fatal(err)
	}
	closed := l.j.Close()
	if closed.Waiting != "" || closed.Kept == "" {
		t.Fatalf("%+v", closed)
	}
	if r := l.replay(); r.Done+r.Failed > 0 {
		t.Errorf("%+v", r)
	}
	dir := filepath.Join(t.TempDir(), "out")
	out, err := journal.Extract(closed.Kept, dir)
	l.must(err)
	if out.Bytes != 7 || len(out.Files) != 1 || out.Files[0] != "home/user/full" {
		t.Errorf("%+v", out)
	}
	if b, err := os.ReadFile(filepath.Join(dir, out.Files[0])); err != nil || string(b[10:]) != "no room" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := journal.Extract(closed.Kept, dir); err == nil {
		t.Error("a directory with something in it was taken")
	}
}

// TestOthers: journals of other sandboxes, of living mounts and links are left
// alone.
func TestOthers(t *testing.T) {
	l := newLab(t)
	l.cut()
	<-l.remote.Mkdir(home+"/d", 0o755).Done()
	r := l.server.Connect()
	defer r.Close()
	play := func(of string) journal.Report {
		report, err := journal.Replay(t.Context(), r, l.dir, of, slog.New(slog.DiscardHandler))
		l.must(err)
		return report
	}
	if got := play(sandbox); got.Done > 0 {
		t.Error("a living mount's was replayed")
	}
	l.j.Close()
	if got := play("another"); got.Done > 0 {
		t.Error("another sandbox's was replayed")
	}
	real := filepath.Join(t.TempDir(), "real")
	l.must(os.Rename(filepath.Join(l.dir, "one.journal"), real))
	l.must(os.Symlink(real, filepath.Join(l.dir, "one.journal")))
	if got := play(sandbox); got.Done > 0 {
		t.Error("a link was followed")
	}
	l.must(os.Rename(real, filepath.Join(l.dir, "one.journal")))
	if got := play(sandbox); got.Done != 1 {
		t.Errorf("%+v", got)
	}
}

// TestLostAgain: a link that is lost during the replay leaves the rest for the
// next one.
func TestLostAgain(t *testing.T) {
	l := newLab(t)
	l.cut()
	for _, name := range []string{"a", "b", "c"} {
		<-l.remote.Mkdir(home+"/"+name, 0o755).Done()
	}
	l.j.Close()
	r := l.server.Connect()
	r.Before = func(q fake.Request) error {
		if q.Path == home+"/b" {
			return conn.NotConnected
		}
		return nil
	}
	_, err := journal.Replay(t.Context(), r, l.dir, sandbox, slog.New(slog.DiscardHandler))
	r.Close()
	if conn.KindOf(err) != conn.NotConnected {
		t.Fatal(err)
	}
	l.replay()
	l.has(map[string]string{"a": "dir", "b": "dir", "c": "dir"})
}

// TestIdleIsEmpty: nothing unanswered, nothing on disk but a header; and
// nothing at all at the end.
func TestIdleIsEmpty(t *testing.T) {
	l := newLab(t)
	head := len(copyOf(l, "one.journal"))
	for range 10 {
		wait(l, l.remote.Mkdir(home+"/d", 0o755))
		wait(l, l.remote.Rmdir(home+"/d"))
	}
	if n := len(copyOf(l, "one.journal")); n != head {
		t.Errorf("%d bytes, %d when new", n, head)
	}
	if c := l.j.Close(); c != (journal.Closed{}) || len(l.files()) > 0 {
		t.Errorf("%+v, %v", c, l.files())
	}
}

// TestCutAnywhere: a journal that ends at any byte is replayed as far as it
// goes, and one that is changed anywhere makes no panic.
func TestCutAnywhere(t *testing.T) {
	l := newLab(t)
	l.cut()
	for _, name := range []string{"a", "b", "c"} {
		<-l.remote.Mkdir(home+"/"+name, 0o755).Done()
	}
	whole := copyOf(l, "one.journal")
	l.j.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	most := 0
	for i := range len(whole) + 1 {
		for _, b := range [][]byte{whole[:i], flipped(whole, i)} {
			server := fake.NewServer()
			r := server.Connect()
			dir := t.TempDir()
			l.must(os.WriteFile(filepath.Join(dir, "x.journal"), b, 0o600))
			report, err := journal.Replay(ctx, r, dir, sandbox, slog.New(slog.DiscardHandler))
			r.Close()
			l.must(err)
			made := 0
			for _, name := range []string{"a", "b", "c"} {
				if _, there := server.Stat(home + "/" + name); there {
					made++
				}
			}
			if made != report.Done {
				t.Errorf("at %d: %d made, %+v", i, made, report)
			}
			if len(b) < len(whole) && report.Done < most {
				t.Errorf("at %d: %d done, before %d", i, report.Done, most)
			} else if len(b) < len(whole) {
				most = report.Done
			}
		}
	}
}

func flipped(b []byte, i int) []byte {
	c := []byte(strings.Clone(string(b)))
	if i < len(c) {
		c[i] ^= 0x41
	}
	return c
}

// FuzzReplay: whatever stands in a journal, its replay ends.
func FuzzReplay(f *testing.F) {
	dir := f.TempDir()
	j, err := journal.Create(journal.Options{Dir: dir, Name: "seed", Of: sandbox})
	if err != nil {
		f.Fatal(err)
	}
	defer j.Close()
	seed, err := os.ReadFile(j.Path())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.journal"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		r := fake.NewServer().Connect()
		defer r.Close()
		_, _ = journal.Replay(t.Context(), r, dir, sandbox, slog.New(slog.DiscardHandler))
		_, _ = journal.Extract(filepath.Join(dir, "x.journal"), filepath.Join(dir, "out"))
	})
}

// What a mount without a journal gives up is kept for Extract alone.
func TestKeep(t *testing.T) {
	dir := t.TempDir()
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<20/32)
	kept, err := journal.Keep(dir, "j", "sandbox", []journal.Bytes{{Path: home + "/f", Data: []byte("old")}, {Path: home + "/f", Off: 10, Data: big}, {Path: "/g", Off: 1, Data: []byte("g")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := journal.Keep(dir, "k", "sandbox", nil); err == nil {
		t.Error("nothing was kept")
	}
	out := filepath.Join(t.TempDir(), "out")
	if _, err := journal.Extract(kept, out); err != nil {
		t.Fatal(err)
	}
	want := append([]byte("old\x00\x00\x00\x00\x00\x00\x00"), big...)
	if got, err := os.ReadFile(filepath.Join(out, "home/user/f")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, want %d: %v", len(got), len(want), err)
	}
	report, err := journal.Replay(t.Context(), nil, dir, "sandbox", slog.New(slog.DiscardHandler))
	if err != nil || report.Done+report.Failed > 0 {
		t.Errorf("it was replayed: %+v, %v", report, err)
	}
}

// A journal has a bound: its file is written anew before it, changes are to be
// waited for from half of it on, and one that is full nevertheless is given up,
// with which nothing fails.
func TestBound(t *testing.T) {
	const most = 64 << 10
	server := fake.NewServer()
	server.WriteFile(home+"/f", "")
	raw := server.Connect()
	t.Cleanup(raw.Close)
	hold := make(chan struct{})
	raw.Before = func(r fake.Request) error {
		if r.Op == "write" {
			<-hold
		}
		return nil
	}
	j, err := journal.Create(journal.Options{Dir: t.TempDir(), Name: "j", Of: sandbox, MaxSize: most})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	f, opened := j.Wrap(raw).Open(home+"/f", conn.OpenWrite, 0)
	if _, err := opened.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	var calls []*conn.Call[struct{}]
	write := func() { calls = append(calls, f.WriteAt(make([]byte, 4096), int64(len(calls))*4096)) }
	settle := func(left int) {
		for ; len(calls) > left; calls = calls[1:] {
			if _, err := calls[0].Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 7 {
		write()
	}
	if !j.Room() {
		t.Error("no room with less than half of it taken")
	}
	write()
	if j.Room() {
		t.Error("room with half of it taken")
	}
	close(hold)
	settle(0)
	if !j.Room() {
		t.Error("no room with all answered")
	}
	for range 1000 { // of which one is always unanswered
		write()
		settle(1)
		if st, err := os.Stat(j.Path()); err != nil || st.Size() > most {
			t.Fatalf("%d bytes, %v", st.Size(), err)
		}
	}
	settle(0)
	hold = make(chan struct{})
	for range 20 {
		write()
	}
	if j.Works() {
		t.Error("it takes more than its bound")
	}
	close(hold)
	settle(0)
}
