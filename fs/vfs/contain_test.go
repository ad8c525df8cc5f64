package vfs_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

var errEscaped = errors.New("up out of the mount")

// follow finds a path as the kernel does: it knows directories by the way it
// came, and a ".." in the mount's root leads to the local machine.
func (m *mount) follow(p string, last bool) (vfs.Entry, error) {
	way := []vfs.Entry{{Node: vfs.RootID, Attr: vfs.Attr{Mode: conn.TypeDir}}}
	rest, links := strings.Split(p, "/"), 0
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if way = way[:len(way)-1]; len(way) == 0 {
				return vfs.Entry{}, errEscaped
			}
			continue
		}
		at := way[len(way)-1]
		if !at.Attr.Mode.IsDir() {
			return vfs.Entry{}, conn.NotDir
		}
		e, err := m.tree.Lookup(m.ctx, at.Node, name)
		switch {
		case err != nil:
			return e, err
		case e.Node == 0:
			return e, conn.NotExist
		case !e.Attr.Mode.IsSymlink() || len(rest) == 0 && !last:
			way = append(way, e)
			continue
		}
		text, err := m.tree.Readlink(m.ctx, e.Node)
		if err != nil {
			return e, err
		}
		if int64(len(text)) != e.Attr.Size {
			m.Errorf("%s: size %d, but shows %q", p, e.Attr.Size, text)
		}
		if strings.HasPrefix(text, "/") {
			return vfs.Entry{}, errEscaped
		}
		if links++; links > 40 {
			return e, conn.LinkLoop
		}
		rest = append(strings.Split(text, "/"), rest...)
	}
	return way[len(way)-1], nil
}

func (m *mount) shows(p, want string) {
	m.Helper()
	e, err := m.follow(p, false)
	m.must(err)
	text, err := m.tree.Readlink(m.ctx, e.Node)
	if err != nil || text != want || e.Attr.Size != int64(len(want)) {
		m.Errorf("%s shows %q (size %d), %v; want %q", p, text, e.Attr.Size, err, want)
	}
}

func (m *mount) reads(p, want string) {
	m.Helper()
	e, err := m.follow(p, true)
	if err != nil {
		m.Errorf("%s: %v", p, err)
		return
	}
	h, err := m.tree.Open(m.ctx, e.Node, conn.OpenRead)
	m.must(err)
	defer h.Release()
	if got := m.readAll(h); got != want {
		m.Errorf("%s holds %q, want %q", p, got, want)
	}
}

func sandboxWithLinks(s *fake.Server) {
	s.MkdirAll("/usr/bin")
	s.MkdirAll(home + "/a/b")
	s.WriteFile("/usr/bin/python3", "the sandbox's python")
	s.WriteFile("/usr/bin/x", "beside it")
	s.WriteFile(home+"/f", "inside")
	s.WriteFile(home+"/a/b/f", "deep inside")
	s.Symlink("/usr/bin/python3", home+"/a/b/python")
	s.Symlink(home+"/f", home+"/a/absolute")
	s.Symlink("../../../usr/bin/x", home+"/a/climbs")
	s.Symlink("b/../../f", home+"/a/middle")
	s.Symlink(home+"/a/b", "/usr/bin/back")
	s.Symlink("python3", "/usr/bin/python")
	s.Symlink("python", home+"/.sbxmount-root")
}

var outside = vfs.Options{Outside: true}

func TestLinksLeadWhereTheyLeadOnTheSandbox(t *testing.T) {
	bubble(t, outside, sandboxWithLinks, func(m *mount) {
		m.shows("a/b/python", "../../.sbxmount-root/usr/bin/python3")
		m.shows("a/absolute", "../f")
		m.shows("a/climbs", "../.sbxmount-root/usr/bin/x")
		m.shows("a/middle", "../f")
		m.reads("a/b/python", "the sandbox's python")
		m.reads("a/absolute", "inside")
		m.reads("a/climbs", "beside it")
		m.reads("a/middle", "inside")
		m.reads(".sbxmount-root/usr/bin/python", "the sandbox's python")
		m.shows(".sbxmount-root/usr/bin/back", "../../../a/b")
		m.reads(".sbxmount-root/usr/bin/back/f", "deep inside")
		m.reads(".sbxmount-root/usr/bin/back/../../f", "inside")
	})
}

func TestOutsideView(t *testing.T) {
	bubble(t, outside, sandboxWithLinks, func(m *mount) {
		if got := m.names(vfs.RootID); fmt.Sprint(got) != "[a f]" {
			t.Errorf("the root lists %v", got)
		}
		out, err := m.follow(".sbxmount-root", false)
		m.must(err)
		if got := m.names(out.Node); fmt.Sprint(got) != "[home usr]" {
			t.Errorf("the outside lists %v", got)
		}
		homes, err := m.follow(".sbxmount-root/home", false)
		m.must(err)
		back := m.list(homes.Node)["user"]
		if !back.Mode.IsSymlink() || back.Entry.Attr.Size != 5 {
			t.Errorf("the mounted directory is %+v in its own directory", back)
		}
		m.shows(".sbxmount-root/home/user", "../..")
		m.reads(".sbxmount-root/home/user/f", "inside")

		m.create(homes.Node, "beside", "new")
		if got, _ := m.server.ReadFile("/home/beside"); got != "new" {
			t.Errorf("made outside: %q", got)
		}
		m.must(m.tree.Rename(m.ctx, homes.Node, "beside", vfs.RootID, "moved", true))
		m.onServer("moved", "new")
		m.reads("moved", "new")

		// What belongs to the mount stays.
		m.fails("rename of the way back", m.tree.Rename(m.ctx, homes.Node, "user", homes.Node, "x", true), conn.Busy)
		m.fails("unlink of the way back", m.tree.Unlink(m.ctx, homes.Node, "user"), conn.Busy)
		m.fails("rename over it", m.tree.Rename(m.ctx, vfs.RootID, "f", homes.Node, "user", true), conn.Busy)
		m.fails("rename of what is above", m.tree.Rename(m.ctx, out.Node, "home", out.Node, "x", true), conn.Busy)
		m.fails("rename of the outside", m.tree.Rename(m.ctx, vfs.RootID, vfs.OutsideName, vfs.RootID, "x", true), conn.Busy)
		m.fails("rmdir of the outside", m.tree.Rmdir(m.ctx, vfs.RootID, vfs.OutsideName), conn.Busy)
		_, err = m.tree.Mkdir(m.ctx, vfs.RootID, vfs.OutsideName, 0o755)
		m.fails("mkdir of the outside", err, conn.Exist)
		_, err = m.tree.SetAttr(m.ctx, back.Entry.Node, nil, vfs.SetAttr{Valid: vfs.SetMode, Mode: 0})
		m.fails("chmod of the way back", err, conn.NotPermitted)
		_, err = m.tree.Link(m.ctx, back.Entry.Node, vfs.RootID, "x")
		m.fails("link to the way back", err, conn.NotPermitted)
		if a, ok := m.server.Stat(home); !ok || a.Mode.Perm() != 0o755 {
			t.Errorf("the mounted directory: %+v", a)
		}
		m.tree.Changed("/usr/bin/python3")
		m.reads("a/b/python", "the sandbox's python")
	})
}

func TestNoOutside(t *testing.T) {
	bubble(t, vfs.Options{}, sandboxWithLinks, func(m *mount) {
		m.shows("a/b/python", "../../.sbxmount-root/usr/bin/python3")
		_, err := m.follow("a/b/python", true)
		m.fails("following it", err, conn.NotPermitted)
		m.reads("a/absolute", "inside")
		if got := m.names(vfs.RootID); fmt.Sprint(got) != "[a f]" {
			t.Errorf("the root lists %v", got)
		}
	})
}

func TestRawLinks(t *testing.T) {
	bubble(t, vfs.Options{Links: vfs.LinksRaw, Outside: true}, sandboxWithLinks, func(m *mount) {
		m.shows("a/b/python", "/usr/bin/python3")
		m.shows("a/middle", "b/../../f")
		m.shows(".sbxmount-root", "python")
	})
}

func TestMountedRootNeedsNoOutside(t *testing.T) {
	bubble(t, vfs.Options{Root: "/", Outside: true}, sandboxWithLinks, func(m *mount) {
		m.shows("home/user/a/b/python", "../../../../usr/bin/python3")
		m.reads("home/user/a/b/python", "the sandbox's python")
		_, err := m.follow(".sbxmount-root", false)
		m.fails("the outside", err, conn.NotExist)
	})
}

// A root that is reached through links is shown by its real path, so that
// links to it are recognised.
func TestRootThroughLinks(t *testing.T) {
	prepare := func(s *fake.Server) {
		sandboxWithLinks(s)
		s.Symlink("home", "/homes")
		s.Symlink("../homes/user/./a/..", "/usr/mounted")
	}
	for _, root := range []string{"/homes/user", "/usr/mounted", "/usr/../home/user/", "/home//user"} {
		bubble(t, vfs.Options{Root: root, Outside: true}, prepare, func(m *mount) {
			m.shows("a/absolute", "../f")
		})
	}
}

// A listing's links cost one round trip together, and none when they are read.
func TestLinksOfADirectoryAreReadTogether(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 300 {
			s.Symlink(fmt.Sprint("/usr/", i), fmt.Sprintf("%s/l%d", home, i))
		}
	}
	bubble(t, outside, prepare, func(m *mount) {
		m.costs("ls -l", 3, func() { m.list(vfs.RootID) })
		m.costs("readlink", 0, func() {
			for i := range 300 {
				m.shows(fmt.Sprint("l", i), fmt.Sprint(".sbxmount-root/usr/", i))
			}
		})
		time.Sleep(3 * ttl)
		m.costs("one that may have changed since", 2, func() { m.shows("l7", ".sbxmount-root/usr/7") })
		time.Sleep(3 * ttl)
		m.costs("one that is stale", 1, func() { m.shows("l7", ".sbxmount-root/usr/7") })
	})
}

// A link that is made or copied here is stored as the sandbox needs it, and
// shows what was given.
func TestLinksComeBack(t *testing.T) {
	bubble(t, outside, sandboxWithLinks, func(m *mount) {
		a := m.node("a")
		for i, c := range []struct{ text, stored string }{
			{"../.sbxmount-root/usr/bin/x", "/usr/bin/x"},
			{"../f", "../f"},
			{"b/f", "b/f"},
		} {
			name := fmt.Sprint("made", i)
			e, err := m.tree.Symlink(m.ctx, a, name, c.text)
			m.must(err)
			if e.Attr.Size != int64(len(c.text)) {
				t.Errorf("%s: size %d", c.text, e.Attr.Size)
			}
			m.shows("a/"+name, c.text)
			remote, err := m.remote.Readlink(home + "/a/" + name).Wait(m.ctx)
			if err != nil || remote != c.stored {
				t.Errorf("%s is stored as %q, %v", c.text, remote, err)
			}
		}
		_, err := m.tree.Symlink(m.ctx, a, "middle", "b/../f")
		m.fails("over a name", err, conn.Exist)
		_, err = m.tree.Symlink(m.ctx, a, "long", strings.Repeat("x", 4096))
		m.fails("a long one", err, conn.Invalid)
	})
}

// What a link shows follows it when it, or what it is in, moves.
func TestMovedLinks(t *testing.T) {
	bubble(t, outside, sandboxWithLinks, func(m *mount) {
		m.shows("a/b/python", "../../.sbxmount-root/usr/bin/python3")
		m.must(m.tree.Rename(m.ctx, m.node("a"), "b", vfs.RootID, "b", true))
		m.shows("b/python", "../.sbxmount-root/usr/bin/python3")
		m.must(m.tree.Rename(m.ctx, m.node("b"), "python", vfs.RootID, "python", true))
		m.shows("python", ".sbxmount-root/usr/bin/python3")

		// Up to where it could before, but not from here.
		m.server.Symlink("../../f", home+"/a/up")
		time.Sleep(2 * ttl)
		m.shows("a/up", "../.sbxmount-root/home/f")
		m.must(m.tree.Rename(m.ctx, m.node("a"), "up", m.node("b"), "up", true))
		m.shows("b/up", "../.sbxmount-root/home/f")
		_, err := m.tree.Mkdir(m.ctx, m.node("b"), "c", 0o755)
		m.must(err)
		m.must(m.tree.Rename(m.ctx, m.node("b"), "up", m.node("b/c"), "up", true))
		m.shows("b/c/up", "../../f")
		m.reads("b/c/up", "inside")

		// A hard link shows what it must where it is.
		e, err := m.tree.Link(m.ctx, m.node("b/c/up"), vfs.RootID, "hard")
		m.must(err)
		m.shows("hard", ".sbxmount-root/f")
		m.shows("b/c/up", "../../f")
		if first, err := m.follow("b/c/up", false); err != nil || first.Node == e.Node {
			t.Errorf("two places share a link's inode: %v", err)
		}
	})
}

// What the kernel still has at a link's old place, since it did not hear that
// the link was moved deeper, shows nothing.
func TestMovedUnheard(t *testing.T) {
	bubble(t, outside, sandboxWithLinks, func(m *mount) {
		a, b := m.node("a"), m.node("a/b")
		m.server.Symlink("../../f", home+"/a/b/up")
		m.server.Symlink("../f", home+"/a/sub")
		time.Sleep(2 * ttl)
		m.shows("a/b/up", "../../f")
		m.shows("a/sub", "../f")
		link, err := m.follow("a/b/up", false)
		m.must(err)
		moved, err := m.follow("a/sub", false)
		m.must(err)
		m.must(m.tree.Rename(m.ctx, vfs.RootID, "f", b, "f2", true))
		m.tree.RenamedUnheard(b, "f2") // a file: no harm in it
		m.must(m.tree.Rename(m.ctx, a, "sub", b, "sub", true))
		m.tree.RenamedUnheard(b, "sub")
		_, err = m.tree.Readlink(m.ctx, moved.Node)
		m.fails("a link moved unheard", err, conn.Stale)
		m.must(m.tree.Rename(m.ctx, a, "b", vfs.RootID, "b", true))
		m.tree.RenamedUnheard(vfs.RootID, "b")
		_, err = m.tree.Readlink(m.ctx, link.Node)
		m.fails("a link in a directory moved unheard", err, conn.Stale)
		_, err = m.tree.Lookup(m.ctx, b, "up")
		m.fails("a name in it", err, conn.NotExist)
		m.shows("b/up", "../.sbxmount-root/home/f")
		m.shows("b/sub", "../f")
		m.reads("b/f2", "inside")
	})
}

// A sandbox that takes its time with each of many questions keeps neither who
// reads a link, nor who reads another one, for longer than one answer may take.
func TestSlowlyResolved(t *testing.T) {
	prepare := func(s *fake.Server) {
		for i := range 39 {
			s.Symlink(fmt.Sprintf("c%d/.././c%d", i+1, i+1), fmt.Sprintf("%s/c%d", home, i))
		}
		s.MkdirAll(home + "/c39")
		for i := range 20 {
			s.Symlink(fmt.Sprintf("c%d/../x", i), fmt.Sprintf("%s/l%02d", home, i))
		}
	}
	bubbleAt(t, 25*time.Second, vfs.Options{Outside: true, TTL: time.Hour}, prepare, func(m *mount) {
		var nodes []vfs.NodeID
		for i := range 20 {
			nodes = append(nodes, m.node(fmt.Sprintf("l%02d", i)))
		}
		for i, id := range nodes {
			start := time.Now()
			_, err := m.tree.Readlink(m.ctx, id)
			if took := time.Since(start); took > 2*time.Minute {
				t.Errorf("link %d took %v: %v", i, took, err)
			}
		}
	})
}

// A link that can't be shown is there all the same, and can be removed.
func TestLinksThatCantBeShown(t *testing.T) {
	prepare := func(s *fake.Server) {
		s.Symlink(strings.Repeat("/x", 2045), home+"/long")
		s.Symlink("self/../x", home+"/self")
		s.Symlink("self", home+"/plain")
	}
	bubble(t, outside, prepare, func(m *mount) {
		if got := m.names(vfs.RootID); len(got) != 3 {
			t.Errorf("listed: %v", got)
		}
		for name, kind := range map[string]conn.Kind{"long": conn.Protocol, "self": conn.LinkLoop} {
			_, err := m.tree.Readlink(m.ctx, m.node(name))
			m.fails(name, err, kind)
			m.must(m.tree.Unlink(m.ctx, vfs.RootID, name))
			m.missing(name)
		}
		m.shows("plain", "self")
	})
}

// A ".." behind a name is resolved anew once the names on the way may have
// changed.
func TestLinkThroughWhatChanges(t *testing.T) {
	bubble(t, outside, sandboxWithLinks, func(m *mount) {
		m.shows("a/middle", "../f")
		m.server.Remove(home + "/a/b/python")
		m.server.Remove(home + "/a/b/f")
		m.server.Remove(home + "/a/b")
		m.server.Symlink("/usr/bin", home+"/a/b")
		time.Sleep(2 * ttl)
		m.shows("a/middle", "../.sbxmount-root/f")
	})
}

// Whatever links a sandbox has, and however it swaps them while they are
// followed, nothing leads out of the mount.
func TestNothingLeadsOut(t *testing.T) {
	dirs := []string{home, home + "/a", home + "/a/b", "/usr", "/usr/bin", "/"}
	parts := []string{"..", "..", "..", "a", "b", "usr", "bin", "l0", "l1", "l2", ".", "", "home", "user", ".sbxmount-root", "..."}
	text := func(r *rand.Rand) string {
		var p []string
		for range 1 + r.IntN(6) {
			p = append(p, parts[r.IntN(len(parts))])
		}
		s := strings.Join(p, "/")
		if s == "" || r.IntN(4) == 0 {
			s = "/" + s
		}
		return s
	}
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 0))
		swap := func(s *fake.Server) {
			dir, name := dirs[r.IntN(len(dirs))], fmt.Sprint("l", r.IntN(3))
			s.Remove(path.Join(dir, name))
			s.Symlink(text(r), path.Join(dir, name))
		}
		prepare := func(s *fake.Server) {
			s.MkdirAll(home + "/a/b")
			s.MkdirAll("/usr/bin")
			for range 12 {
				swap(s)
			}
		}
		o := outside
		if seed%3 == 0 {
			o.TTL = none
		}
		bubble(t, o, prepare, func(m *mount) {
			for range 60 {
				if r.IntN(3) == 0 {
					swap(m.server)
				}
				p := strings.TrimLeft(text(r), "/")
				if !strings.HasPrefix(path.Join("/x", p), "/x") || strings.Contains(p, "..") {
					continue // it is the program itself that goes out
				}
				if _, err := m.follow(p, true); errors.Is(err, errEscaped) {
					t.Errorf("seed %d: %s leads out of the mount", seed, p)
				}
			}
		})
	}
}
