package contract

import "github.com/sbxmount/sbxmount/conn"

func mode(m conn.Mode) conn.SetAttr {
	return conn.SetAttr{Valid: conn.SetMode, Attr: conn.Attr{Mode: m}}
}

func times(atime, mtime int64) conn.SetAttr {
	return conn.SetAttr{Valid: conn.SetTimes, Attr: conn.Attr{Atime: atime, Mtime: mtime}}
}

func size(n int64) conn.SetAttr {
	return conn.SetAttr{Valid: conn.SetSize, Attr: conn.Attr{Size: n}}
}

// A new file or directory has the mode that was asked for, also where the
// server's umask would take something away.
func testModes(s *suite) {
	for _, m := range []conn.Mode{0o600, 0o644, 0o666, 0o777, 0o444, 0o070, 0o640} {
		name := numbered(int(m))
		f, opened := s.Remote.Open(s.path("f"+name), conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, m)
		want(s, "the mode that a creation tells", ok(s, opened).Mode, conn.TypeRegular|m)
		f.Close()
		want(s, "a new file's mode", s.stat("f"+name).Mode, conn.TypeRegular|m)
		want(s, "the mode that mkdir tells", ok(s, s.Remote.Mkdir(s.path("d"+name), m|0o700)).Mode, conn.TypeDir|m|0o700)
		want(s, "a new directory's mode", s.stat("d"+name).Mode, conn.TypeDir|m|0o700)
	}
	for _, m := range []conn.Mode{0, 0o400, 0o755, 0o4755, 0o1777, 0o7777, 0o644} {
		s.put("file", "")
		ok(s, s.Remote.SetAttr(s.path("file"), mode(m)))
		want(s, "a changed mode", s.stat("file").Mode, conn.TypeRegular|m)
		ok(s, s.Remote.SetAttr(s.path("file"), mode(0o644)))
	}
	ok(s, s.Remote.Mkdir(s.path("dir"), 0o755))
	ok(s, s.Remote.SetAttr(s.path("dir"), mode(0o1750)))
	want(s, "a directory's changed mode", s.stat("dir").Mode, conn.TypeDir|0o1750)
}

func testTimes(s *suite) {
	s.put("file", "x")
	for _, at := range []int64{0, 1, 1_000_000_000, 2_000_000_000, 1<<31 - 1, 1 << 31, -1, -86_400 * 365} {
		ok(s, s.Remote.SetAttr(s.path("file"), times(at, at+1)))
		a := s.stat("file")
		if a.Atime != at || a.Mtime != at+1 {
			s.Errorf("times %d and %d became %d and %d", at, at+1, a.Atime, a.Mtime)
		}
	}
	want(s, "the mode", s.stat("file").Mode, conn.TypeRegular|0o644)
	want(s, "the size", s.stat("file").Size, 1)
	ok(s, s.Remote.Mkdir(s.path("dir"), 0o755))
	ok(s, s.Remote.SetAttr(s.path("dir"), times(10, 20)))
	want(s, "a directory's time", s.stat("dir").Mtime, 20)
	fails(s, s.Remote.SetAttr(s.path("missing"), times(1, 1)), conn.NotExist)
}

func testSizes(s *suite) {
	s.put("file", "12345")
	for _, n := range []int64{3, 10, 0, 100_000, 5 << 30} {
		ok(s, s.Remote.SetAttr(s.path("file"), size(n)))
		want(s, "the size", s.stat("file").Size, n)
	}
	ok(s, s.Remote.SetAttr(s.path("file"), size(0)))
	ok(s, s.Remote.SetAttr(s.path("file"), size(4)))
	want(s, "what a file grew by", s.get("file"), "\x00\x00\x00\x00")
	fails(s, s.Remote.SetAttr(s.path("missing"), size(1)), conn.NotExist)
}

// A change to a link is one to the link, or none.
func testLinkAttrs(s *suite) {
	s.put("file", "x")
	ok(s, s.Remote.SetAttr(s.path("file"), times(100, 100)))
	ok(s, s.Remote.Symlink("file", s.path("link")))
	set := s.Remote.SetAttr(s.path("link"), times(200, 200))
	if s.Lacks.LinkAttrs {
		fails(s, set, conn.Unsupported)
	} else {
		ok(s, set)
		want(s, "the link's time", s.stat("link").Mtime, 200)
	}
	want(s, "the file's time", s.stat("file").Mtime, 100)
}

// Attributes of an open file, in the order of its writes.
func testOpenAttrs(s *suite) {
	f := s.create("file", []byte("12345"))
	defer f.Close()
	write := f.WriteAt([]byte("67890"), 5)
	cut := f.SetAttr(size(7))
	after := f.Stat()
	ok(s, write)
	ok(s, cut)
	want(s, "the size behind a write and a cut", ok(s, after).Size, 7)
	ok(s, f.SetAttr(mode(0o600)))
	ok(s, f.SetAttr(times(300, 400)))
	ok(s, f.Sync())
	a := ok(s, f.Stat())
	if a.Mode != conn.TypeRegular|0o600 || a.Atime != 300 || a.Mtime != 400 {
		s.Errorf("the open file is %+v", a)
	}
	a.Nlink = 0
	want(s, "what the name tells", s.stat("file"), a)
}

func testStatFS(s *suite) {
	v := ok(s, s.Remote.StatFS(s.Dir))
	if v.BlockSize == 0 || v.Blocks == 0 || v.BlocksFree > v.Blocks || v.BlocksAvail > v.BlocksFree || v.NameMax < 100 || v.ReadOnly {
		s.Errorf("the file system is %+v", v)
	}
	fails(s, s.Remote.StatFS(s.path("missing")), conn.NotExist)
}
