package survive_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/behave"
	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/link"
	"github.com/sbxmount/sbxmount/test/openssh"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // most tests wait most of the time
		panic(err)
	}
	code := m.Run()
	program.remove()
	if code == 0 {
		// x/crypto's mux forgets a channel that is opened in the moment in which
		// its connection ends: whoever asked for it, and whoever would close it,
		// is never answered.
		if err := goleak.Find(
			goleak.IgnoreTopFunction("golang.org/x/crypto/ssh.(*mux).openChannel"),
			goleak.IgnoreTopFunction("github.com/sbxmount/sbxmount/conn.await[...].func2"),
		); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	fmt.Printf("%d connection cuts\n", cutsMade.Load())
	if whole := flag.Lookup("test.run").Value.String() == ""; code == 0 && long && whole && cutsMade.Load() < manyCuts {
		fmt.Fprintf(os.Stderr, "fewer than %d cuts: this is not the long suite\n", manyCuts)
		code = 1
	}
	os.Exit(code)
}

// cutsMade counts what site.cut and strikes cut, over the whole suite: the
// long one makes manyCuts at least.
var cutsMade atomic.Int64

const manyCuts = 10_000

// long says whether there is time for all.
var long = os.Getenv("SBXMOUNT_FAULTS") == "long"

// choose returns how much a test does, by the time there is.
func choose[T any](short, longer T) T {
	if long {
		return longer
	}
	return short
}

// newSeed is SBXMOUNT_SEED's, or a new one.
func newSeed(t testing.TB) uint64 {
	seed, err := strconv.ParseUint(os.Getenv("SBXMOUNT_SEED"), 10, 64)
	if err != nil {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("SBXMOUNT_SEED=%d", seed)
	return seed
}

// setup is how a site is made. The zero value is the embedded sandbox, without
// delay, in close mode.
type setup struct {
	openssh bool
	rtt     time.Duration
	writes  vfs.WriteMode
	timeout time.Duration // 0: five minutes, so that no wait ends
	conns   int           // 0: 2
	pause   time.Duration // between attempts to connect, at most; 0: 10 ms
	ttl     time.Duration // 0: a minute: the players alone change things; negative: nothing is trusted
	bound   time.Duration // of each operation; 0: see limit
	sftp    faults.SFTP
	api     bool // the embedded sandbox is reached by its id, with an API key
}

func (s setup) String() string {
	if s.openssh {
		return "openssh/" + s.mode()
	}
	return "embedded/" + s.mode()
}

// mode is what --writes calls it.
func (s setup) mode() string {
	return map[vfs.WriteMode]string{vfs.WriteClose: "close", vfs.WriteThrough: "through", vfs.WriteAsync: "async"}[s.writes]
}

// site is a server with a tree on it.
type site struct {
	testing.TB
	setup
	seed   uint64
	dir    string // the server's files, as this process sees them
	root   string // the same as the server calls it
	link   *link.Link
	box    *faults.Running // nil for OpenSSH
	ssh    *openssh.Server // nil for the embedded sandbox
	dialed conn.Options
	client *conn.Client
	tree   *vfs.Tree
	sync   func(context.Context) error // has the server get everything; nil: it has by itself
	log    *tail

	mu      sync.Mutex // guards players
	players []*player
	over    chan struct{} // closed when nothing is watched any more
	watcher sync.WaitGroup
}

// newSite makes a server behind a link, without a tree.
func newSite(t testing.TB, o setup) *site {
	t.Helper()
	s := &site{TB: t, setup: o, seed: newSeed(t), over: make(chan struct{}), log: &tail{}}
	spec, addr := s.serve()
	l, err := link.New(link.Options{Target: addr, RTT: o.rtt})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s.link = l
	target, err := sandbox.Parse(strings.Replace(spec, addr, l.Addr(), 1), sandbox.Options{})
	if o.api {
		target, err = s.byID()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.dialed.Provider = target.Provider
	if s.dialed.MaxConns = o.conns; o.conns == 0 {
		s.dialed.MaxConns = 2
	}
	if s.dialed.MaxPause = o.pause; o.pause == 0 {
		s.dialed.MaxPause = 10 * time.Millisecond
	}
	if s.dialed.Timeout = o.timeout; o.timeout == 0 {
		s.dialed.Timeout = 5 * time.Minute
	}
	s.dialed.Log = slog.New(slog.NewTextHandler(s.log, nil))
	return s
}

// byID reaches the embedded sandbox as E2B's own tools do it for development:
// through the link, with the API beside it.
func (s *site) byID() (sandbox.Target, error) {
	_, port, err := net.SplitHostPort(s.link.Addr())
	if err != nil {
		return sandbox.Target{}, err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return sandbox.Target{}, err
	}
	env := map[string]string{"E2B_DEBUG": "true", "E2B_API_URL": s.box.APIURL(), "E2B_API_KEY": s.box.APIKey()}
	s.dialed.Resume = true
	return sandbox.Parse(s.box.ID(), sandbox.Options{
		Port: n, Getenv: func(name string) string { return env[name] }, Home: s.TempDir(),
	})
}

// serve starts the server and returns its URL and address.
func (s *site) serve() (spec, addr string) {
	if s.openssh {
		s.ssh = openssh.Start(s, openssh.Options{
			Bridge: openssh.Own, MaxStartups: "100",
		})
		s.dir, s.root = s.ssh.Dir, s.ssh.Dir
		s.dialed.User = s.ssh.User
		s.dialed.Auth.Identities = []string{s.ssh.Identity}
		s.dialed.HostKeys = conn.HostKeyOptions{Mode: conn.HostKeyStrict, File: s.ssh.KnownHosts}
		return s.ssh.URL, s.ssh.Addr
	}
	s.dir, s.root = s.TempDir(), "/"
	s.dialed.HostKeys.File = filepath.Join(s.TempDir(), "known_hosts")
	box, err := faults.Server{Sandbox: sandboxd.Options{Dir: s.dir}, SFTP: s.sftp, Shell: true}.Start(context.Background())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = box.Close() })
	s.box = box
	return box.URL(), box.Addr()
}

// open returns a site with a tree, which is closed at the test's end.
func open(t testing.TB, o setup) *site {
	t.Helper()
	s := newSite(t, o)
	var err error
	if s.client, err = conn.Dial(t.Context(), s.dialed); err != nil {
		t.Fatal(err)
	}
	s.Cleanup(s.close)
	if o.ttl == 0 {
		o.ttl = time.Minute
	}
	o.ttl = max(o.ttl, 0)
	s.tree, err = vfs.New(t.Context(), vfs.Options{
		Remote: s.client, Root: s.root, TTL: o.ttl, Writes: o.writes, InoKey: "survive",
		CacheSize: 12 << 20, WriteBuffer: 6 << 20,
		RTT:     func() time.Duration { return s.client.Status().RTT },
		Offline: s.client.Offline, Wake: s.client.Want,
		Log: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.sync = s.tree.Sync
	s.watcher.Go(s.watch)
	return s
}

func (s *site) close() {
	close(s.over)
	s.watcher.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if s.tree != nil {
		_ = s.tree.Close(ctx) // what it could report was waited for by Sync
	}
	if err := s.client.Close(ctx); err != nil && !s.Failed() {
		s.Errorf("closing: %v", err)
	}
	if s.Failed() {
		s.Logf("log:\n%s", s.log)
	}
}

// watch finds operations that take too long.
func (s *site) watch() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-s.over:
			return
		case <-tick.C:
		}
		s.mu.Lock()
		players := s.players
		s.mu.Unlock()
		for _, p := range players {
			what, since := p.doing()
			if what == "" || time.Since(since) < s.limit() {
				continue
			}
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			s.Errorf("%s of %s hangs for %v: %+v\n%s", what, p.dir, time.Since(since), s.client.Status(), stacks)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			_ = s.client.Close(ctx) // so that everybody gets on
			return
		}
	}
}

func (s *site) limit() time.Duration {
	if s.bound > 0 {
		return s.bound
	}
	// Two attempts to connect whose link falls silent in the middle of the
	// handshake, 30 s each, and what a busy machine adds.
	return 90 * time.Second
}

// system is the tree as programs see it.
func (s *site) system() behave.System { return behave.Tree{Tree: s.tree} }

// random returns a generator for one part of a test.
func (s *site) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(s.seed, part)) }

// up waits until the link serves.
func (s *site) up() {
	s.Helper()
	until(s, "the link is up", func() bool { return s.client.Status().State == conn.StateUp })
}

// until polls what can only be watched.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// tail keeps the end of a log.
type tail struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

const tailSize = 32 << 10

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(p)
	if over := l.buf.Len() - tailSize; over > tailSize {
		l.buf.Next(over)
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
