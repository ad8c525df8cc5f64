package contract

import (
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

func testSymlinks(s *suite) {
	for name, text := range map[string]string{
		"relative": "target", "absolute": "/etc/passwd", "dangling": "nowhere/at/all", "up": "../../x", "self": "self",
		"long": strings.Repeat("x/", 400), "odd": " \xff\n", "dot": ".",
	} {
		a := ok(s, s.Remote.Symlink(text, s.path(name)))
		if !a.Mode.IsSymlink() || a.Size != int64(len(text)) {
			s.Errorf("a link to %q is %+v", text, a)
		}
		want(s, "the text", ok(s, s.Remote.Readlink(s.path(name))), text)
		want(s, "the type", s.stat(name).Mode.Type(), conn.TypeSymlink)
	}
	fails(s, s.Remote.Symlink("other", s.path("relative")), conn.Exist)
	want(s, "the text after a refused link", ok(s, s.Remote.Readlink(s.path("relative"))), "target")
	s.put("file", "x")
	fails(s, s.Remote.Symlink("x", s.path("file")), conn.Exist)
	fails(s, s.Remote.Readlink(s.path("file")), conn.Invalid)
	fails(s, s.Remote.Readlink(s.path("missing")), conn.NotExist)
}

func testLinks(s *suite) {
	s.put("file", "shared")
	if !s.Remote.Info().Links {
		fails(s, s.Remote.Link(s.path("file"), s.path("other")), conn.Unsupported)
		return
	}
	a := ok(s, s.Remote.Link(s.path("file"), s.path("other")))
	if !a.Mode.IsRegular() || a.Size != 6 {
		s.Errorf("the new name's attributes are %+v", a)
	}
	f, opened := s.Remote.Open(s.path("other"), conn.OpenWrite, 0)
	ok(s, opened)
	ok(s, f.WriteAt([]byte("SHARED"), 0))
	f.Close()
	want(s, "the first name's content", s.get("file"), "SHARED")
	for _, e := range ok(s, s.Remote.List(s.Dir, 0, conn.Foreground, nil)).Entries {
		counted := uint32(2)
		if s.Lacks.LinkCounts {
			counted = 0
		}
		want(s, "the link count of "+e.Name, e.Attr.Nlink, counted)
	}
	fails(s, s.Remote.Link(s.path("file"), s.path("other")), conn.Exist)
	fails(s, s.Remote.Link(s.path("missing"), s.path("x")), conn.NotExist)
	ok(s, s.Remote.Mkdir(s.path("dir"), 0o755))
	fails(s, s.Remote.Link(s.path("dir"), s.path("dir2")), conn.NotPermitted)
	ok(s, s.Remote.Unlink(s.path("file")))
	want(s, "the other name's content", s.get("other"), "SHARED")
}
