package behave

import (
	"fmt"
	"strings"
	"syscall"
)

// nameCases: making, moving and removing names.
var nameCases = []Case{
	{"Unlink", func(c *C) {
		c.Write("a", "x")
		c.OK(c.S.Unlink(c.P("a")), "unlink")
		c.Missing("a")
		c.Is(c.S.Unlink(c.P("a")), syscall.ENOENT, "unlink again")
		c.HasNames("", "")
	}},
	{"UnlinkWhileOpen", func(c *C) {
		c.Write("a", "before")
		f := c.Open("a", syscall.O_RDWR)
		c.OK(c.S.Unlink(c.P("a")), "unlink")
		c.Missing("a")
		if got := c.ReadAll(f); got != "before" {
			c.Errorf("read %q", got)
		}
		c.WriteTo(f, " and after")
		if got := c.readFrom(f, 0); got != "before and after" {
			c.Errorf("read %q", got)
		}
		if st, err := f.Stat(); err != nil || st.Nlink != 0 || st.Size != 16 {
			c.Errorf("nlink %d, size %d, %v", st.Nlink, st.Size, err)
		}
		c.OK(f.Truncate(3), "truncate")
		c.OK(f.Close(), "close")
		c.HasNames("", "")
	}},
	{"UnlinkAndCreateAgain", func(c *C) {
		c.Write("a", "old")
		f := c.Open("a", syscall.O_RDONLY)
		c.OK(c.S.Unlink(c.P("a")), "unlink")
		c.Write("a", "new one")
		if got := c.ReadAll(f); got != "old" {
			c.Errorf("the old file reads %q", got)
		}
		c.Holds("a", "new one")
	}},
	{"Rename", func(c *C) {
		c.Write("a", "x")
		ino := c.Lstat("a").Ino
		c.OK(c.S.Rename(c.P("a"), c.P("b"), true), "rename")
		c.Missing("a")
		c.Holds("b", "x")
		if got := c.Lstat("b").Ino; got != ino {
			c.Errorf("inode %d became %d", ino, got)
		}
	}},
	{"RenameReplaces", func(c *C) {
		c.Write("a", "new")
		c.Write("b", "old")
		c.OK(c.S.Rename(c.P("a"), c.P("b"), true), "rename")
		c.HasNames("", "b")
		c.Holds("b", "new")
	}},
	{"RenameNoReplace", func(c *C) {
		c.Write("a", "new")
		c.Write("b", "old")
		c.Is(c.S.Rename(c.P("a"), c.P("b"), false), syscall.EEXIST, "rename")
		c.Holds("a", "new")
		c.Holds("b", "old")
		c.OK(c.S.Rename(c.P("a"), c.P("c"), false), "rename to a free name")
		c.HasNames("", "b c")
	}},
	{"RenameOverAnOpenFile", func(c *C) {
		c.Write("a", "new")
		c.Write("b", "old content")
		f := c.Open("b", syscall.O_RDWR)
		c.OK(c.S.Rename(c.P("a"), c.P("b"), true), "rename")
		if got := c.ReadAll(f); got != "old content" {
			c.Errorf("the replaced file reads %q", got)
		}
		c.WriteTo(f, "!")
		if st, err := f.Stat(); err != nil || st.Nlink != 0 || st.Size != 12 {
			c.Errorf("the replaced file has nlink %d, size %d, %v", st.Nlink, st.Size, err)
		}
		c.OK(f.Close(), "close")
		c.Holds("b", "new")
	}},
	{"RenameOfAnOpenFile", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		c.WriteTo(f, "one")
		c.OK(c.S.Rename(c.P("a"), c.P("b"), true), "rename")
		c.Holds("b", "one")
		c.WriteTo(f, " two")
		if got := c.readFrom(f, 0); got != "one two" {
			c.Errorf("read %q", got)
		}
		c.OK(f.Chmod(0o600), "fchmod")
		c.OK(f.Close(), "close")
		c.Holds("b", "one two")
		if got := c.Lstat("b").Perm(); got != 0o600 {
			c.Errorf("mode %o", got)
		}
	}},
	{"RenameAcrossDirectories", func(c *C) {
		c.Mkdir("d")
		c.Mkdir("e")
		c.Write("d/a", "x")
		c.OK(c.S.Rename(c.P("d/a"), c.P("e/b"), true), "rename")
		c.HasNames("d", "")
		c.HasNames("e", "b")
		c.Holds("e/b", "x")
	}},
	{"RenameDirectory", func(c *C) {
		c.Mkdir("d")
		c.Mkdir("d/sub")
		c.Write("d/sub/a", "x")
		f := c.Open("d/sub/a", syscall.O_RDWR)
		ino := c.Lstat("d/sub/a").Ino
		c.OK(c.S.Rename(c.P("d"), c.P("e"), true), "rename")
		c.Missing("d")
		c.Holds("e/sub/a", "x")
		if got := c.Lstat("e/sub/a").Ino; got != ino {
			c.Errorf("inode %d became %d", ino, got)
		}
		c.WriteTo(f, "yy")
		c.OK(f.Close(), "close")
		c.Holds("e/sub/a", "yy")
		c.Write("e/sub/b", "z")
		c.HasNames("e/sub", "a b")
	}},
	{"RenameDirectoryOverDirectory", func(c *C) {
		c.Mkdir("d")
		c.Write("d/a", "x")
		c.Mkdir("empty")
		c.Mkdir("full")
		c.Write("full/b", "y")
		c.Is(c.S.Rename(c.P("d"), c.P("full"), true), syscall.ENOTEMPTY, "rename over a full directory")
		c.OK(c.S.Rename(c.P("d"), c.P("empty"), true), "rename over an empty directory")
		c.HasNames("", "empty full")
		c.HasNames("empty", "a")
	}},
	{"RenameRefuses", func(c *C) {
		c.Write("f", "x")
		c.Mkdir("d")
		c.Mkdir("d/e")
		c.Is(c.S.Rename(c.P("f"), c.P("d"), true), syscall.EISDIR, "a file over a directory")
		c.Is(c.S.Rename(c.P("d"), c.P("f"), true), syscall.ENOTDIR, "a directory over a file")
		c.Is(c.S.Rename(c.P("d"), c.P("d/e/x"), true), syscall.EINVAL, "a directory below itself")
		c.Is(c.S.Rename(c.P("nothing"), c.P("x"), true), syscall.ENOENT, "nothing")
		c.Is(c.S.Rename(c.P("f"), c.P("nodir/x"), true), syscall.ENOENT, "into nothing")
		c.OK(c.S.Rename(c.P("f"), c.P("f"), true), "onto itself")
		c.Holds("f", "x")
	}},
	{"RenameOntoAnotherNameOfItself", func(c *C) {
		// rename(2): both names of one file: nothing happens.
		c.Write("a", "x")
		c.OK(c.S.Link(c.P("a"), c.P("b")), "link")
		c.OK(c.S.Rename(c.P("a"), c.P("b"), true), "rename")
		c.Holds("b", "x")
	}},
	{"SaveAsEditorsDo", func(c *C) {
		c.Write("doc", "version 0")
		for i := range 10 {
			want := fmt.Sprintf("version %d", i+1)
			f := c.Open(".doc.swp", syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL)
			c.WriteTo(f, want)
			c.OK(f.Sync(), "fsync")
			c.OK(f.Close(), "close")
			c.OK(c.S.Rename(c.P(".doc.swp"), c.P("doc"), true), "rename")
			c.Holds("doc", want)
		}
		c.HasNames("", "doc")
	}},
	{"EveryByteInNames", func(c *C) {
		var want []string
		for b := 1; b < 256; b++ {
			if b == '/' {
				continue
			}
			name := "n" + string([]byte{byte(b)}) + "x"
			want = append(want, name)
			c.Write(name, name)
		}
		got := c.Entries("")
		for _, name := range want {
			if _, ok := got[name]; !ok {
				c.Errorf("%q is not listed", name)
			}
			c.Holds(name, name)
		}
		if len(got) != len(want) {
			c.Errorf("%d names, want %d", len(got), len(want))
		}
	}},
	{"StrangeNames", func(c *C) {
		for _, name := range []string{"...", "..a", ".a", " ", "-rf", "a b", "*", "a\nb", "\\", "~", "$HOME", "ünïcödé", "日本語",
			"e\u0301", "\u00e9", "\xff\xfe", "\xe6\x97", "con", "a:b", "A", "a", strings.Repeat("x", 255)} {
			c.Write(name, "in "+name)
			c.Holds(name, "in "+name)
			c.OK(c.S.Rename(c.P(name), c.P("moved"), true), "rename %q", name)
			c.OK(c.S.Unlink(c.P("moved")), "unlink")
		}
		c.HasNames("", "")
	}},
	{"LongNames", func(c *C) {
		c.Write(strings.Repeat("n", 255), "x")
		long := strings.Repeat("n", 256)
		_, err := c.S.Open(c.P(long), syscall.O_WRONLY|syscall.O_CREAT, 0o644)
		c.Is(err, syscall.ENAMETOOLONG, "create")
		c.Is(c.S.Mkdir(c.P(long), 0o755), syscall.ENAMETOOLONG, "mkdir")
		c.Is(c.S.Symlink("x", c.P(long)), syscall.ENAMETOOLONG, "symlink")
		c.Is(c.S.Rename(c.P(strings.Repeat("n", 255)), c.P(long), true), syscall.ENAMETOOLONG, "rename")
		_, err = c.S.Lstat(c.P(long))
		c.Is(err, syscall.ENAMETOOLONG, "lstat")
		c.Is(c.S.Unlink(c.P(long)), syscall.ENAMETOOLONG, "unlink")
	}},
	{"DeepPaths", func(c *C) {
		dir := ""
		for range 60 {
			dir += "/directory"
			c.Mkdir(dir[1:])
		}
		c.Write(dir[1:]+"/leaf", "deep")
		c.Holds(dir[1:]+"/leaf", "deep")
		c.HasNames(dir[1:], "leaf")
	}},
}
