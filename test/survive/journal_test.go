package survive_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/journal"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// crash is a program at work on a tree in async mode, whose daemon is killed at
// some moment: of what was on its way the server carries out some, from the
// first on, and answers some of that. What the journal's file held at the moment
// is all that the next mount has.
type crash struct {
	*testing.T
	r      *rand.Rand
	server *fake.Server
	tree   *vfs.Tree
	files  map[string]string // what the program made of it
	left   atomic.Int64      // requests that are still carried out; negative: all
	steps  []string
}

const crashHome = "/home/user"

// TestKilledWhileAsync: whatever the moment, the next mount makes of it what the
// program had written.
func TestKilledWhileAsync(t *testing.T) {
	seed := newSeed(t)
	for i := range choose(1500, 20_000) {
		synctest.Test(t, func(t *testing.T) {
			killOnce(t, rand.New(rand.NewPCG(seed, uint64(i))))
		})
		if t.Failed() {
			t.Fatalf("in round %d", i)
		}
	}
}

func killOnce(t *testing.T, r *rand.Rand) {
	x := &crash{T: t, r: r, server: fake.NewServer(), files: map[string]string{}}
	x.left.Store(-1)
	remote := x.server.Connect()
	remote.RTT = 20 * time.Millisecond
	remote.Before = func(fake.Request) error {
		if n := x.left.Load(); n == 0 {
			return conn.Closed
		} else if n > 0 {
			x.left.Add(-1)
		}
		return nil
	}
	dir := t.TempDir()
	j, err := journal.Create(journal.Options{Dir: dir, Name: "j", Of: "sandbox"})
	if err != nil {
		t.Fatal(err)
	}
	x.tree, err = vfs.New(t.Context(), vfs.Options{
		Remote: j.Wrap(remote), Root: crashHome, TTL: time.Minute, Writes: vfs.WriteAsync, Ahead: j.Works,
	})
	if err != nil {
		t.Fatal(err)
	}
	x.work()

	held := x.held(j.Path())
	x.left.Store(int64(r.IntN(30)))
	_ = x.tree.Close(context.Background())
	remote.Close()
	j.Close()

	next := t.TempDir()
	if err := os.WriteFile(filepath.Join(next, "j.journal"), held, 0o600); err != nil {
		t.Fatal(err)
	}
	again := x.server.Connect()
	defer again.Close()
	report, err := journal.Replay(t.Context(), again, next, "sandbox", slog.New(slog.DiscardHandler))
	if err != nil || report.Failed > 0 || report.Torn {
		t.Errorf("replay: %+v %v", report, err)
	}
	x.compare()
}

// held is what the journal's file has at one moment: a read that another one
// confirms, since answers are noted meanwhile.
func (x *crash) held(path string) []byte {
	x.Helper()
	var last []byte
	for {
		b, err := os.ReadFile(path)
		x.must(err)
		if last != nil && bytes.Equal(b, last) {
			return b
		}
		last = b
	}
}

// work does some things, each of which the program was told is done.
func (x *crash) work() {
	d, err := x.tree.OpenDir(x.Context(), vfs.RootID)
	x.must(err)
	d.Release()
	for range 1 + x.r.IntN(25) {
		names := slices.Sorted(maps.Keys(x.files))
		name := fmt.Sprint("f", x.r.IntN(6))
		text, there := x.files[name]
		switch op := x.r.IntN(8); {
		case op < 3 && !there:
			x.write(name, conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, 0)
		case op == 3 && there:
			x.write(name, conn.OpenWrite, x.r.IntN(len(text)+1))
		case op == 4 && len(names) > 0: // an editor's save, or a rotation
			from := names[x.r.IntN(len(names))]
			if from != name {
				x.must(x.tree.Rename(x.Context(), vfs.RootID, from, vfs.RootID, name, true))
				x.files[name] = x.files[from]
				delete(x.files, from)
				x.did("rename %s %s", from, name)
			}
		case op == 5 && there:
			x.must(x.tree.Unlink(x.Context(), vfs.RootID, name))
			delete(x.files, name)
			x.did("unlink %s", name)
		case op == 6 && there:
			_, err := x.tree.SetAttr(x.Context(), x.node(name), nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: conn.Mode(0o600 + x.r.IntN(8))})
			x.must(err)
			x.did("chmod %s", name)
		case op == 7:
			time.Sleep(time.Duration(x.r.IntN(30)) * time.Millisecond)
		}
	}
}

func (x *crash) did(format string, args ...any) {
	x.steps = append(x.steps, fmt.Sprintf(format, args...))
}

func (x *crash) must(err error) {
	x.Helper()
	if err != nil {
		x.Fatalf("%v after\n%s", err, strings.Join(x.steps, "\n"))
	}
}

func (x *crash) node(name string) vfs.NodeID {
	x.Helper()
	e, err := x.tree.Lookup(x.Context(), vfs.RootID, name)
	x.must(err)
	return e.Node
}

func (x *crash) write(name string, flags conn.OpenFlags, off int) {
	x.Helper()
	var h *vfs.Handle
	var err error
	if flags&conn.OpenCreate != 0 {
		_, h, err = x.tree.Create(x.Context(), vfs.RootID, name, flags, 0o600)
	} else {
		h, err = x.tree.Open(x.Context(), x.node(name), flags)
	}
	x.must(err)
	text := strings.Repeat(string(rune('a'+x.r.IntN(26))), 1+x.r.IntN(1000))
	_, err = h.Write(x.Context(), []byte(text), int64(off))
	x.must(err)
	if x.r.IntN(4) == 0 {
		x.must(h.Sync(x.Context()))
	}
	x.must(h.Flush(x.Context()))
	h.Release()
	old := x.files[name]
	x.files[name] = old[:off] + text + old[min(len(old), off+len(text)):]
	x.did("write %s: %d bytes at %d", name, len(text), off)
}

func (x *crash) compare() {
	x.Helper()
	have := x.server.Tree(crashHome)
	for name, text := range x.files {
		if got, there := have[crashHome+"/"+name]; got != text {
			x.Errorf("%s has %d bytes (%v), want %d; after\n%s", name, len(got), there, len(text), strings.Join(x.steps, "\n"))
		}
	}
	if len(have) != len(x.files)+1 {
		x.Errorf("the server has %d names, want %d; after\n%s", len(have)-1, len(x.files), strings.Join(x.steps, "\n"))
	}
}
