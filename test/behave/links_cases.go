package behave

import (
	"strings"
	"syscall"
)

// linkCases: hard and symbolic links.
var linkCases = []Case{
	{"HardLink", func(c *C) {
		c.Write("a", "shared")
		c.OK(c.S.Link(c.P("a"), c.P("b")), "link")
		a, b := c.Lstat("a"), c.Lstat("b")
		if a.Ino != b.Ino {
			c.Errorf("inodes %d and %d", a.Ino, b.Ino)
		}
		if a.Nlink != 2 || b.Nlink != 2 {
			c.Errorf("nlink %d and %d", a.Nlink, b.Nlink)
		}
		f := c.Open("b", syscall.O_WRONLY)
		c.WriteTo(f, "SHARED and more")
		c.OK(f.Close(), "close")
		c.Holds("a", "SHARED and more")
	}},
	{"HardLinkOutlivesTheFirstName", func(c *C) {
		c.Write("a", "x")
		c.OK(c.S.Link(c.P("a"), c.P("b")), "link")
		c.OK(c.S.Unlink(c.P("a")), "unlink")
		c.Missing("a")
		c.Holds("b", "x")
		if st := c.Lstat("b"); st.Nlink != 1 {
			c.Errorf("nlink %d", st.Nlink)
		}
	}},
	{"HardLinkRefuses", func(c *C) {
		c.Write("a", "x")
		c.Write("b", "y")
		c.Mkdir("d")
		c.Is(c.S.Link(c.P("a"), c.P("b")), syscall.EEXIST, "over a name")
		c.Is(c.S.Link(c.P("none"), c.P("c")), syscall.ENOENT, "of nothing")
		c.Is(c.S.Link(c.P("d"), c.P("c")), syscall.EPERM, "of a directory")
	}},
	{"Symlink", func(c *C) {
		c.Write("a", "target")
		c.OK(c.S.Symlink("a", c.P("l")), "symlink")
		if text, err := c.S.Readlink(c.P("l")); err != nil || text != "a" {
			c.Errorf("readlink %q, %v", text, err)
		}
		st := c.Lstat("l")
		if st.Mode&syscall.S_IFMT != syscall.S_IFLNK || st.Size != 1 {
			c.Errorf("mode %o, size %d", st.Mode, st.Size)
		}
		c.Holds("l", "target")
		c.Is(c.S.Symlink("b", c.P("l")), syscall.EEXIST, "symlink over a name")
		_, err := c.S.Readlink(c.P("a"))
		c.Is(err, syscall.EINVAL, "readlink of a file")
	}},
	{"SymlinkTexts", func(c *C) {
		for i, text := range []string{"nowhere", "../x", "a/b/c", "a b", "./x/.", "ü\xff", strings.Repeat("t", 1000)} {
			name := "l" + string(rune('0'+i))
			c.OK(c.S.Symlink(text, c.P(name)), "symlink %s", brief(text))
			if got, err := c.S.Readlink(c.P(name)); err != nil || got != text {
				c.Errorf("readlink %s, %v; want %s", brief(got), err, brief(text))
			}
			_, err := c.S.Open(c.P(name), syscall.O_RDONLY, 0)
			if err == nil {
				c.Errorf("open through a link to %s succeeds", brief(text))
			}
		}
	}},
	{"SymlinkToDirectory", func(c *C) {
		c.Mkdir("d")
		c.Write("d/a", "x")
		c.OK(c.S.Symlink("d", c.P("l")), "symlink")
		c.Holds("l/a", "x")
		c.Write("l/b", "y")
		c.HasNames("d", "a b")
		c.Is(c.S.Rmdir(c.P("l")), syscall.ENOTDIR, "rmdir of a link")
		c.OK(c.S.Unlink(c.P("l")), "unlink")
		c.HasNames("", "d")
	}},
	{"SymlinkLoop", func(c *C) {
		c.OK(c.S.Symlink("b", c.P("a")), "symlink")
		c.OK(c.S.Symlink("a", c.P("b")), "symlink")
		_, err := c.S.Open(c.P("a"), syscall.O_RDONLY, 0)
		c.Is(err, syscall.ELOOP, "open")
		_, err = c.S.Lstat(c.P("a/x"))
		c.Is(err, syscall.ELOOP, "lstat below")
	}},
	{"SymlinkReplaced", func(c *C) {
		c.Write("one", "1")
		c.Write("two", "2")
		c.OK(c.S.Symlink("one", c.P("l")), "symlink")
		c.Holds("l", "1")
		c.OK(c.S.Symlink("two", c.P("l2")), "symlink")
		c.OK(c.S.Rename(c.P("l2"), c.P("l"), true), "rename")
		if text, err := c.S.Readlink(c.P("l")); err != nil || text != "two" {
			c.Errorf("readlink %q, %v", text, err)
		}
		c.Holds("l", "2")
	}},
}
