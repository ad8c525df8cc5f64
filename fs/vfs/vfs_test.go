package vfs_test

import (
	"context"
	"errors"
	"sort"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

const (
	home = "/home/user"
	rtt  = 20 * time.Millisecond
	ttl  = time.Second
)

// mount is a Tree over a fake server, and what a test needs of both.
type mount struct {
	*testing.T
	server *fake.Server
	remote *fake.Remote
	tree   *vfs.Tree
	ctx    context.Context
	rtt    time.Duration
}

// bubble runs a test with a mount of the server's home, in virtual time.
func bubble(t *testing.T, o vfs.Options, prepare func(*fake.Server), test func(*mount)) {
	t.Helper()
	bubbleAt(t, rtt, o, prepare, test)
}

// bubbleAt is bubble with another round trip time.
func bubbleAt(t *testing.T, rtt time.Duration, o vfs.Options, prepare func(*fake.Server), test func(*mount)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fake.NewServer()
		if prepare != nil {
			prepare(server)
		}
		m := open(t, server, rtt, o)
		test(m)
		m.close()
	})
}

func open(t *testing.T, server *fake.Server, rtt time.Duration, o vfs.Options) *mount {
	t.Helper()
	remote := server.Connect()
	remote.RTT = rtt
	o.Remote = remote
	if o.Root == "" {
		o.Root = home
	}
	switch o.TTL {
	case 0:
		o.TTL = ttl
	case none:
		o.TTL = 0
	}
	tree, err := vfs.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return &mount{T: t, server: server, remote: remote, tree: tree, ctx: t.Context(), rtt: rtt}
}

// none is a TTL that asks each time.
const none = -1

func (m *mount) close() {
	m.Helper()
	if err := m.tree.Close(context.Background()); err != nil {
		m.Errorf("close: %v", err)
	}
	m.remote.Close()
}

// waits counts the round trips for which f keeps its caller waiting.
func (m *mount) waits(f func()) int {
	start := time.Now()
	f()
	return int((time.Since(start) + m.rtt - 1) / m.rtt)
}

// costs fails the test unless f waits for exactly so many round trips.
func (m *mount) costs(what string, want int, f func()) {
	m.Helper()
	if got := m.waits(f); got != want {
		m.Errorf("%s: %d waits, want %d", what, got, want)
	}
}

func (m *mount) must(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

// fails checks an error's kind.
func (m *mount) fails(what string, err error, want conn.Kind) {
	m.Helper()
	if err == nil || vfs.KindOf(err) != want {
		m.Errorf("%s: %v, want %v", what, err, want)
	}
}

// node looks a path below the mount up, as the kernel would with nothing
// cached, and keeps the reference.
func (m *mount) find(path string) (vfs.Entry, error) {
	e := vfs.Entry{Node: vfs.RootID}
	for _, part := range strings.Split(path, "/") {
		if part == "" {
			continue
		}
		var err error
		if e, err = m.tree.Lookup(m.ctx, e.Node, part); err != nil {
			return e, err
		}
		if e.Node == 0 {
			return e, conn.NotExist
		}
	}
	return e, nil
}

func (m *mount) node(path string) vfs.NodeID {
	m.Helper()
	e, err := m.find(path)
	if err != nil {
		m.Fatalf("lookup %s: %v", path, err)
	}
	return e.Node
}

func (m *mount) stat(path string) vfs.Attr {
	m.Helper()
	e, err := m.find(path)
	if err != nil {
		m.Fatalf("lookup %s: %v", path, err)
	}
	if path == "" {
		return m.getattr(vfs.RootID)
	}
	return e.Attr
}

func (m *mount) getattr(id vfs.NodeID) vfs.Attr {
	m.Helper()
	a, err := m.tree.GetAttr(m.ctx, id, nil)
	m.must(err)
	return a
}

// missing checks that a path is not there.
func (m *mount) missing(path string) {
	m.Helper()
	if e, err := m.find(path); !errors.Is(err, conn.NotExist) {
		m.Errorf("lookup %s: node %d, %v; want none", path, e.Node, err)
	}
}

// list reads a directory from the start, as readdirplus does.
func (m *mount) list(id vfs.NodeID) map[string]vfs.DirEntry {
	m.Helper()
	d, err := m.tree.OpenDir(m.ctx, id)
	m.must(err)
	defer d.Release()
	out := map[string]vfs.DirEntry{}
	for told, cookie := -1, uint64(0); told < len(out); {
		told = len(out)
		m.must(d.ReadPlus(m.ctx, cookie, func(e *vfs.DirEntry) bool {
			if _, twice := out[e.Name]; twice {
				m.Errorf("readdir: %q twice", e.Name)
			}
			out[e.Name], cookie = *e, e.Cookie
			return true
		}))
	}
	return out
}

// names is list without "." and "..", sorted.
func (m *mount) names(id vfs.NodeID) []string {
	m.Helper()
	var out []string
	for name := range m.list(id) {
		if name != "." && name != ".." {
			out = append(out, name)
		}
	}
	sort.Strings(out)
	return out
}

func (m *mount) read(path string) string {
	m.Helper()
	h, err := m.tree.Open(m.ctx, m.node(path), conn.OpenRead)
	m.must(err)
	defer h.Release()
	return m.readAll(h)
}

func (m *mount) readAll(h *vfs.Handle) string {
	m.Helper()
	var all []byte
	buf := make([]byte, 128<<10)
	for {
		p, err := h.Read(m.ctx, buf, int64(len(all)))
		m.must(err)
		all = append(all, p...)
		if len(p) < len(buf) {
			return string(all)
		}
	}
}

// create makes a file with this content, and closes it.
func (m *mount) create(parent vfs.NodeID, name, content string) vfs.NodeID {
	m.Helper()
	e, h, err := m.tree.Create(m.ctx, parent, name, conn.OpenWrite, 0o644)
	m.must(err)
	if content != "" {
		_, err = h.Write(m.ctx, []byte(content), 0)
		m.must(err)
	}
	m.must(h.Flush(m.ctx))
	h.Release()
	return e.Node
}

// onServer checks a file's content there.
func (m *mount) onServer(path, want string) {
	m.Helper()
	if got, ok := m.server.ReadFile(home + "/" + path); !ok || got != want {
		m.Errorf("on the server, %s: %q (%v), want %q", path, got, ok, want)
	}
}
