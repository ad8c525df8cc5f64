package contract

import (
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

func testInfo(s *suite) {
	i := s.Remote.Info()
	if !strings.HasPrefix(i.Home, "/") || i.MaxRead < 4096 || i.MaxWrite < 4096 {
		s.Errorf("Info tells %+v", i)
	}
	if i != s.Remote.Info() {
		s.Error("Info changed")
	}
}

func testLstat(s *suite) {
	s.put("file", "12345")
	a := s.stat("file")
	if !a.Mode.IsRegular() || a.Size != 5 || a.Mtime == 0 {
		s.Errorf("a file is %+v", a)
	}
	if i := s.Remote.Info(); i.OwnerKnown && a.UID != i.UID {
		s.Errorf("a new file is %d's, not the login user's %d", a.UID, i.UID)
	}
	if a := ok(s, s.Remote.Lstat(s.Dir)); !a.Mode.IsDir() {
		s.Errorf("a directory is %+v", a)
	}
	fails(s, s.Remote.Lstat(s.path("missing")), conn.NotExist)
	fails(s, s.Remote.Lstat(s.path("file/below")), conn.NotDir, conn.NotExist)
	fails(s, s.Remote.Lstat(s.path(strings.Repeat("x", 256))), conn.NameTooLong)
}

func testCreate(s *suite) {
	const create = conn.OpenWrite | conn.OpenCreate
	f, opened := s.Remote.Open(s.path("new"), create|conn.OpenExcl, 0o640)
	a := ok(s, opened)
	f.Close()
	want(s, "the new file's size", a.Size, 0)
	want(s, "the new file's mode", a.Mode, conn.TypeRegular|0o640)

	_, again := s.Remote.Open(s.path("new"), create|conn.OpenExcl, 0o640)
	fails(s, again, conn.Exist)

	s.put("old", "content")
	ok(s, s.Remote.SetAttr(s.path("old"), conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: 0o600}}))
	f, opened = s.Remote.Open(s.path("old"), create, 0o666)
	a = ok(s, opened)
	f.Close()
	want(s, "the size of a file that was there", a.Size, 7)
	want(s, "the mode of a file that was there", a.Mode.Perm(), 0o600)

	ok(s, s.Remote.Symlink("old", s.path("link")))
	_, through := s.Remote.Open(s.path("link"), create|conn.OpenExcl, 0o644)
	fails(s, through, conn.Exist)
}

func testOpenKinds(s *suite) {
	_, missing := s.Remote.Open(s.path("missing"), conn.OpenRead, 0)
	fails(s, missing, conn.NotExist)
	_, dir := s.Remote.Open(s.Dir, conn.OpenWrite, 0)
	fails(s, dir, conn.IsDir)
	_, long := s.Remote.Open(s.path(strings.Repeat("x", 256)), conn.OpenWrite|conn.OpenCreate, 0o644)
	fails(s, long, conn.NameTooLong)
}

func testMkdirRmdir(s *suite) {
	a := ok(s, s.Remote.Mkdir(s.path("dir"), 0o700))
	want(s, "the new directory's mode", a.Mode, conn.TypeDir|0o700)
	fails(s, s.Remote.Mkdir(s.path("dir"), 0o755), conn.Exist)
	s.put("dir/file", "x")
	fails(s, s.Remote.Rmdir(s.path("dir")), conn.NotEmpty)
	fails(s, s.Remote.Rmdir(s.path("dir/file")), conn.NotDir)
	ok(s, s.Remote.Unlink(s.path("dir/file")))
	ok(s, s.Remote.Rmdir(s.path("dir")))
	fails(s, s.Remote.Rmdir(s.path("dir")), conn.NotExist)
	fails(s, s.Remote.Lstat(s.path("dir")), conn.NotExist)
	s.put("file", "x")
	fails(s, s.Remote.Mkdir(s.path("file"), 0o755), conn.Exist)
}

func testUnlink(s *suite) {
	s.put("file", "x")
	ok(s, s.Remote.Unlink(s.path("file")))
	fails(s, s.Remote.Lstat(s.path("file")), conn.NotExist)
	fails(s, s.Remote.Unlink(s.path("file")), conn.NotExist)
	ok(s, s.Remote.Mkdir(s.path("dir"), 0o755))
	fails(s, s.Remote.Unlink(s.path("dir")), conn.IsDir, conn.NotPermitted)
	want(s, "the directory is a directory", s.stat("dir").Mode.IsDir(), true)
	ok(s, s.Remote.Symlink("dir", s.path("link")))
	ok(s, s.Remote.Unlink(s.path("link"))) // the link, not what it leads to
	want(s, "the link's directory is a directory", s.stat("dir").Mode.IsDir(), true)
}

// An unlinked file works as long as it is open.
func testUnlinkedOpen(s *suite) {
	f := s.create("file", []byte("before"))
	defer f.Close()
	ok(s, s.Remote.Unlink(s.path("file")))
	f.Moved("")
	s.put("file", "another one")
	ok(s, f.WriteAt([]byte("after!"), 6))
	want(s, "its content", string(s.read(f, 0, 100)), "beforeafter!")
	want(s, "its size", ok(s, f.Stat()).Size, 12)
	ok(s, f.SetAttr(conn.SetAttr{Valid: conn.SetSize, Attr: conn.Attr{Size: 3}}))
	want(s, "its size when cut", ok(s, f.Stat()).Size, 3)
	want(s, "the other's content", s.get("file"), "another one")
}

func testRename(s *suite) {
	s.put("a", "A")
	s.put("b", "B")
	fails(s, s.Remote.Rename(s.path("a"), s.path("b"), false), conn.Exist)
	want(s, "b after a refused rename", s.get("b"), "B")
	ok(s, s.Remote.Rename(s.path("a"), s.path("b"), true))
	want(s, "b", s.get("b"), "A")
	fails(s, s.Remote.Lstat(s.path("a")), conn.NotExist)
	ok(s, s.Remote.Rename(s.path("b"), s.path("c"), false))
	want(s, "c", s.get("c"), "A")
	ok(s, s.Remote.Rename(s.path("c"), s.path("c"), true))
	want(s, "c onto itself", s.get("c"), "A")
	fails(s, s.Remote.Rename(s.path("missing"), s.path("d"), true), conn.NotExist)
	fails(s, s.Remote.Rename(s.path("missing"), s.path("d"), false), conn.NotExist)

	f := s.create("open", []byte("open"))
	defer f.Close()
	ok(s, s.Remote.Rename(s.path("open"), s.path("moved"), true))
	f.Moved(s.path("moved"))
	ok(s, f.WriteAt([]byte("MOVED"), 0))
	want(s, "a file that was renamed while open", s.get("moved"), "MOVED")

	ok(s, s.Remote.Symlink("c", s.path("link")))
	ok(s, s.Remote.Rename(s.path("link"), s.path("link2"), true))
	want(s, "a renamed link", ok(s, s.Remote.Readlink(s.path("link2"))), "c")
}

func testRenameDirs(s *suite) {
	ok(s, s.Remote.Mkdir(s.path("d1"), 0o755))
	ok(s, s.Remote.Mkdir(s.path("d2"), 0o755))
	s.put("d1/f", "x")
	s.put("file", "x")
	ok(s, s.Remote.Rename(s.path("d1"), s.path("d2"), true)) // over an empty one
	want(s, "d2/f", s.get("d2/f"), "x")
	ok(s, s.Remote.Mkdir(s.path("d3"), 0o755))
	fails(s, s.Remote.Rename(s.path("d3"), s.path("d2"), true), conn.NotEmpty, conn.Exist)
	fails(s, s.Remote.Rename(s.path("d3"), s.path("file"), true), conn.NotDir)
	fails(s, s.Remote.Rename(s.path("file"), s.path("d3"), true), conn.IsDir)
	fails(s, s.Remote.Rename(s.path("d2"), s.path("d2/below"), true), conn.Invalid)
	ok(s, s.Remote.Rename(s.path("d2"), s.path("d4"), false))
	want(s, "d4/f", s.get("d4/f"), "x")
}

// strange are names that servers and shells trip over; every byte but "/" and
// NUL stands in one of them.
func strange() []string {
	names := []string{
		"...", " ", "-rf", "~", "*", "a b", "new\nline", "tab\t", "\\", "\"'`$(x)", "C:\\x", "\xff\xfe", "ü", "u\u0308",
		strings.Repeat("x", 255), strings.Repeat("\xc3", 255), ".hidden", "ends.", "%2f", "#", "\x7f", "\x01",
	}
	for b := 1; b < 256; b += 51 {
		var name []byte
		for c := b; c < min(b+51, 256); c++ {
			if c != '/' {
				name = append(name, byte(c))
			}
		}
		names = append(names, string(name))
	}
	return names
}

func testStrangeNames(s *suite) {
	names := strange()
	for _, n := range names {
		s.put(n, n)
	}
	listed := map[string]bool{}
	for _, e := range ok(s, s.Remote.List(s.Dir, 0, conn.Foreground, nil)).Entries {
		listed[e.Name] = true
	}
	want(s, "the number of names", len(listed), len(names))
	for _, n := range names {
		if !listed[n] {
			s.Errorf("%q is not listed", n)
		}
		want(s, "the content", s.get(n), n)
		ok(s, s.Remote.Unlink(s.path(n)))
	}
	ok(s, s.Remote.Symlink("\xff \n*", s.path("link")))
	want(s, "the link's text", ok(s, s.Remote.Readlink(s.path("link"))), "\xff \n*")
}

func testMissingParents(s *suite) {
	below := s.path("missing/x")
	fails(s, s.Remote.Mkdir(below, 0o755), conn.NotExist)
	fails(s, s.Remote.Symlink("x", below), conn.NotExist)
	fails(s, s.Remote.Unlink(below), conn.NotExist)
	fails(s, s.Remote.Rmdir(below), conn.NotExist)
	fails(s, s.Remote.SetAttr(below, conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: 0o600}}), conn.NotExist)
	fails(s, s.Remote.List(below, 0, conn.Foreground, nil), conn.NotExist)
	fails(s, s.Remote.Readlink(below), conn.NotExist)
	s.put("file", "x")
	fails(s, s.Remote.Rename(s.path("file"), below, true), conn.NotExist)
	fails(s, s.Remote.Rename(s.path("file"), below, false), conn.NotExist)
	if s.Remote.Info().Links {
		fails(s, s.Remote.Link(s.path("file"), below), conn.NotExist)
	}
	_, opened := s.Remote.Open(below, conn.OpenWrite|conn.OpenCreate, 0o644)
	fails(s, opened, conn.NotExist)
}
