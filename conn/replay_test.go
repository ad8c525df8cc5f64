package conn

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"
)

// Every row of the table of what is replayed: the look's answers, and the
// verdict.
func TestVerdicts(t *testing.T) {
	found := &request{}
	gone := &request{err: &Error{Kind: NotExist}}
	odd := &request{err: &Error{Kind: Permission}}
	link := &request{text: "text"}
	for _, row := range []struct {
		kind  reqKind
		looks []*request
		want  verdict
	}{
		{reqMkdir, []*request{gone}, notDone},
		{reqMkdir, []*request{found}, unclear},
		{reqOpen, []*request{gone}, notDone},
		{reqOpen, []*request{found}, unclear},
		{reqLink, []*request{gone}, notDone},
		{reqLink, []*request{found}, unclear},
		{reqSymlink, []*request{link}, carriedOut},
		{reqSymlink, []*request{gone}, notDone},
		{reqSymlink, []*request{{text: "another"}}, notDone},
		{reqRename, []*request{found, gone}, notDone},
		{reqRename, []*request{gone, found}, carriedOut},
		{reqRename, []*request{gone, gone}, unclear},
		{reqPosixRename, []*request{found, found}, notDone},
		{reqPosixRename, []*request{gone, found}, carriedOut},
		{reqPosixRename, []*request{odd, found}, unclear},
		{reqUnlink, []*request{gone}, carriedOut},
		{reqUnlink, []*request{found}, notDone},
		{reqUnlink, []*request{odd}, unclear},
		{reqRmdir, []*request{gone}, carriedOut},
		{reqRmdir, []*request{found}, notDone},
	} {
		o := &op{q: request{kind: row.kind, path: "/a", to: "text"}}
		if got := lookups[row.kind](o, row.looks); got != row.want {
			t.Errorf("%s with %v: verdict %d, want %d", reqNames[row.kind], row.looks, got, row.want)
		}
	}
}

func TestRules(t *testing.T) {
	sent := &lostError{sent: true}
	for kind, want := range rules {
		if kind == 0 {
			continue
		}
		o := &op{q: request{kind: reqKind(kind)}, file: &file{}, lost: sent}
		if got := ruleOf(o); got != want {
			t.Errorf("%s: rule %d, want %d", reqNames[kind], got, want)
		}
		o.lost = &lostError{}
		if got := ruleOf(o); got == lookUp {
			t.Errorf("%s is looked up although it was not sent", reqNames[kind])
		}
	}
	appending := &op{q: request{kind: reqWrite}, file: &file{flags: OpenWrite | OpenAppend}, lost: sent}
	exclusive := &op{q: request{kind: reqOpen, flags: OpenCreate | OpenExcl}, file: &file{}, lost: sent}
	if ruleOf(appending) != lookUp || ruleOf(exclusive) != lookUp {
		t.Error("an append or an exclusive create is not looked up")
	}
}

// A name that a later lost operation may have made proves nothing.
func TestRemade(t *testing.T) {
	unlink := &op{q: request{kind: reqUnlink, path: "/a"}}
	rename := &op{q: request{kind: reqPosixRename, path: "/t", to: "/a"}}
	other := &op{q: request{kind: reqPosixRename, path: "/t", to: "/b"}}
	if !remade(unlink, []*op{other, rename}) || remade(unlink, []*op{other}) {
		t.Error("wrong")
	}
}

// player does random operations in a directory of its own and knows what must
// come out.
type player struct {
	t     *testing.T
	c     *Client
	rnd   *rand.Rand
	dir   string
	name  string
	file  File
	model []byte
}

func (p *player) wait(what string, err error) bool {
	switch {
	case err == nil:
		return true
	case KindOf(err) == Other || KindOf(err) == Exist || KindOf(err) == NotExist:
		p.t.Logf("%s: %v", what, err) // a name whose fate can't be told: looked at
		return false
	}
	p.t.Errorf("%s: %v", what, err)
	return false
}

func ask2[T any](p *player, c *Call[T]) (T, error) {
	ctx, cancel := context.WithTimeout(p.t.Context(), 40*time.Second)
	defer cancel()
	v, err := c.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		p.t.Errorf("a call hangs: %+v", p.c.Status())
	}
	return v, err
}

func (p *player) play() {
	switch p.rnd.IntN(12) {
	case 0, 1, 2, 3:
		off, n := p.rnd.IntN(100_000), 1+p.rnd.IntN(30_000)
		if p.rnd.IntN(10) == 0 {
			n = 3 << 20
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(p.rnd.Uint32())
		}
		p.model = append(p.model, make([]byte, max(0, off+n-len(p.model)))...)
		copy(p.model[off:], data)
		w := p.file.WriteAt(data, int64(off))
		if p.rnd.IntN(2) == 0 {
			p.file.SetAttr(SetAttr{Valid: SetMode, Attr: Attr{Mode: 0o640}})
		}
		_, err := ask2(p, w)
		if err != nil {
			p.t.Errorf("write: %v", err)
		}
	case 4, 5, 6:
		b := make([]byte, 1+p.rnd.IntN(200_000))
		off := p.rnd.IntN(len(p.model) + 1)
		n, err := ask2(p, p.file.ReadAt(b, int64(off)))
		want := p.model[off:min(off+len(b), len(p.model))]
		if err != nil && err != io.EOF || !bytes.Equal(b[:n], want) {
			p.t.Errorf("read of %d at %d: %d bytes, %v; want %d", len(b), off, n, err, len(want))
		}
	case 7:
		size := p.rnd.IntN(150_000)
		_, err := ask2(p, p.file.SetAttr(SetAttr{Valid: SetSize, Attr: Attr{Size: int64(size)}}))
		if err != nil {
			p.t.Errorf("truncate: %v", err)
		}
		p.model = append(p.model, make([]byte, max(0, size-len(p.model)))...)[:size]
	case 8:
		to := fmt.Sprintf("%s/f%d", p.dir, p.rnd.IntN(1000))
		_, err := ask2(p, p.c.Rename(p.name, to, true))
		if p.wait("rename", err) {
			p.name = to
			p.file.Moved(to)
		} else if a, err := ask2(p, p.c.Lstat(to)); err == nil && a.Mode.IsRegular() {
			p.name = to
			p.file.Moved(to)
		}
	case 9:
		p.file.Close()
		p.open(0)
	case 10:
		d := p.dir + "/d"
		_, err := ask2(p, p.c.Mkdir(d, 0o755))
		p.wait("mkdir", err)
		_, err = ask2(p, p.c.Rmdir(d))
		if !p.wait("rmdir", err) {
			if _, err := ask2(p, p.c.Lstat(d)); err == nil {
				p.t.Errorf("a directory is left")
			}
		}
	case 11:
		a, err := ask2(p, p.file.Stat())
		if err != nil || a.Size != int64(len(p.model)) {
			p.t.Errorf("stat: %d, %v; want %d", a.Size, err, len(p.model))
		}
	}
}

func (p *player) open(flags OpenFlags) {
	var opened *Call[Attr]
	p.file, opened = p.c.Open(p.name, OpenRead|OpenWrite|flags, 0o644)
	if _, err := ask2(p, opened); err != nil {
		p.t.Errorf("open: %v", err)
	}
}

// Random operations with the link cut at random moments: nothing is lost,
// doubled or mixed up, and nothing hangs.
func TestCutsAtRandomMoments(t *testing.T) {
	const players, rounds, cuts = 4, 150, 40
	l := newLab(t)
	l.rtt = 2 * time.Millisecond
	c := l.dialClient(Options{MaxConns: 2, MaxLanes: 4, MaxPause: 10 * time.Millisecond})
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	root := t.TempDir()
	var wg sync.WaitGroup
	for i := range players {
		dir := fmt.Sprintf("%s/p%d", root, i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		p := &player{t: t, c: c, rnd: rand.New(rand.NewPCG(seed, uint64(i))), dir: dir, name: dir + "/f"}
		wg.Go(func() {
			p.open(OpenCreate)
			for range rounds {
				if p.play(); t.Failed() {
					return
				}
			}
			if _, err := ask2(p, p.file.Sync()); err != nil {
				t.Errorf("sync: %v", err)
			}
			there, err := os.ReadFile(p.name)
			if err != nil || !bytes.Equal(there, p.model) {
				t.Errorf("player %d: the server has %d bytes, %v; want %d", i, len(there), err, len(p.model))
			}
		})
	}
	over := make(chan struct{})
	var cutter sync.WaitGroup
	cutter.Go(func() {
		rnd := rand.New(rand.NewPCG(seed, 99))
		for range cuts {
			select {
			case <-over:
				return
			case <-time.After(time.Duration(rnd.IntN(200)) * time.Millisecond):
				l.cut()
			}
		}
	})
	wg.Wait()
	close(over)
	cutter.Wait()
	t.Logf("%+v", c.Status())
}
