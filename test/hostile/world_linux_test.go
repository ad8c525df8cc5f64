package hostile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/faults"
)

const (
	timeout = time.Second / 4  // of an operation on a dead link
	bound   = 15 * time.Second // what each operation ends within, whatever it meets
	memory  = 768 << 20        // of the test's process, the server included
	inodes  = 50_000           // of each tree: a listing without end is over it
)

// content is what the files hold: no two pages are the same.
var content = func() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 300<<10; i++ {
		fmt.Fprintf(&b, "%015d\n", i)
	}
	return b.Bytes()
}()

// world is a sandbox with faults, and the client's side of it.
type world struct {
	*testing.T
	dir    string
	server *faults.Running
	tree   *vfs.Tree
	client *conn.Client
	ctx    context.Context
	log    *panics
	worst  atomic.Int64 // the longest operation, in nanoseconds
}

// panics is a log that fails the test for a panic that was caught.
type panics struct{ t *testing.T }

func (p *panics) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte("panic")) {
		p.t.Errorf("%s", line)
	}
	return len(line), nil
}

// newWorld connects while the sandbox still tells the truth.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), ctx: context.Background(), log: &panics{t}}
	w.fill()
	var err error
	w.server, err = faults.Server{Sandbox: sandboxd.Options{Dir: w.dir}}.Start(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.server.Close() })
	target, err := sandbox.Parse(w.server.URL(), sandbox.Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	w.client, err = conn.Dial(w.ctx, conn.Options{
		Provider: target.Provider, HostKeys: conn.HostKeyOptions{Mode: conn.HostKeyOff}, Timeout: timeout, Log: log,
		MaxPause: 20 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ends("closing the client", w.client.Close) })
	w.tree, err = vfs.New(w.ctx, vfs.Options{
		Remote: w.client, Root: "/home", TTL: 10 * time.Millisecond, Outside: true, Log: log,
		MaxInodes: inodes, CacheSize: 32 << 20, WriteBuffer: 8 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.ends("closing the tree", w.tree.Close) })
	return w
}

func (w *world) fill() {
	home := filepath.Join(w.dir, "home")
	err := errors.Join(os.MkdirAll(home+"/d/e", 0o755), os.WriteFile(home+"/small", content[:1000], 0o644),
		os.WriteFile(home+"/large", content, 0o644), os.WriteFile(home+"/d/inside", content[:500], 0o644),
		os.Symlink("small", home+"/link"), os.Symlink("d/../small", home+"/middle"), os.Symlink("/etc", home+"/out"))
	if err != nil {
		w.Fatal(err)
	}
}

// ends runs what must end within the bound, with an error or without.
func (w *world) ends(what string, f func(context.Context) error) error {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, bound)
	defer cancel()
	done, start := make(chan error, 1), time.Now()
	go func() { done <- f(ctx) }()
	select {
	case err := <-done:
		w.worst.Store(max(w.worst.Load(), int64(time.Since(start))))
		if ctx.Err() != nil {
			w.Errorf("%s ends with its caller's patience alone: %v", what, err)
		}
		return err
	case <-time.After(bound + 5*time.Second):
		buf := make([]byte, 1<<20)
		w.Fatalf("%s does not end\n%s", what, buf[:runtime.Stack(buf, true)])
		return nil
	}
}

// watchMemory fails the test where the process grows over the bound.
func watchMemory(t *testing.T) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var m runtime.MemStats
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			if runtime.ReadMemStats(&m); m.HeapInuse > memory {
				t.Errorf("the heap has %d MiB", m.HeapInuse>>20)
				return
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}
