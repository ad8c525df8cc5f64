package behave

import (
	"fmt"
	"strings"
	"syscall"
)

// dirCases: directories and their reading.
var dirCases = []Case{
	{"MkdirRmdir", func(c *C) {
		c.Mkdir("d")
		st := c.Lstat("d")
		if st.Mode != syscall.S_IFDIR|0o755&^c.Umask {
			c.Errorf("mode %o", st.Mode)
		}
		c.HasNames("d", "")
		c.OK(c.S.Rmdir(c.P("d")), "rmdir")
		c.Missing("d")
	}},
	{"MkdirModes", func(c *C) {
		for i, mode := range []uint32{0o700, 0o755, 0o777, 0o500} {
			name := fmt.Sprint("d", i)
			c.OK(c.S.Mkdir(c.P(name), mode), "mkdir %o", mode)
			if got := c.Lstat(name).Perm(); got != mode&^c.Umask {
				c.Errorf("mode %o, want %o", got, mode)
			}
		}
	}},
	{"RmdirRefuses", func(c *C) {
		c.Mkdir("d")
		c.Write("d/a", "x")
		c.Is(c.S.Rmdir(c.P("d")), syscall.ENOTEMPTY, "a full directory")
		c.Is(c.S.Rmdir(c.P("d/a")), syscall.ENOTDIR, "a file")
		c.Is(c.S.Rmdir(c.P("none")), syscall.ENOENT, "nothing")
		c.HasNames("d", "a")
		c.OK(c.S.Unlink(c.P("d/a")), "unlink")
		c.OK(c.S.Rmdir(c.P("d")), "rmdir")
	}},
	{"DirectoryLinkCounts", func(c *C) {
		// find(1) may skip what it thinks are leaves: 1 says that the number
		// of subdirectories is not told.
		c.Mkdir("d")
		c.Mkdir("d/x")
		c.Mkdir("d/y")
		if n := c.Lstat("d").Nlink; n != 4 && n != 1 && n != 2 {
			c.Errorf("nlink %d", n)
		}
	}},
	{"ManyEntries", func(c *C) {
		const n = 500
		for i := range n {
			c.Write(fmt.Sprintf("file-%03d-%s", i, strings.Repeat("x", i%60)), "")
		}
		if got := len(c.Entries("")); got != n {
			c.Errorf("%d entries, want %d", got, n)
		}
	}},
	{"RewindAndSeek", func(c *C) {
		for i := range 60 {
			c.Write(fmt.Sprintf("file%02d", i), "")
		}
		d, err := c.S.OpenDir(c.dir)
		c.OK(err, "opendir")
		defer d.Close()
		first := c.rest(d)
		c.OK(d.Rewind(0), "rewinddir")
		again := c.rest(d)
		if len(first) != 62 || len(again) != 62 {
			c.Fatalf("%d and %d entries", len(first), len(again))
		}
		for i := range first {
			if first[i].Name != again[i].Name {
				c.Errorf("entry %d: %q, then %q", i, first[i].Name, again[i].Name)
			}
		}
		for _, i := range []int{0, 1, 30, 60} {
			c.OK(d.Rewind(first[i].Cookie), "seekdir")
			if next := c.rest(d); len(next) != 61-i || next[0].Name != first[i+1].Name {
				c.Errorf("behind entry %d: %d entries", i, len(next))
			}
		}
	}},
	{"ReadingWhileItChanges", func(c *C) {
		// readdir(3): what is neither made nor removed meanwhile is told
		// exactly once.
		for i := range 200 {
			c.Write(fmt.Sprintf("stays%03d", i), "")
			c.Write(fmt.Sprintf("goes%03d", i), "")
		}
		d, err := c.S.OpenDir(c.dir)
		c.OK(err, "opendir")
		defer d.Close()
		seen := map[string]int{}
		for round := 0; ; round++ {
			some, err := d.Next(10)
			c.OK(err, "readdir")
			if len(some) == 0 {
				break
			}
			for _, e := range some {
				seen[e.Name]++
			}
			if round < 150 {
				c.OK(c.S.Unlink(c.P(fmt.Sprintf("goes%03d", round))), "unlink")
				c.Write(fmt.Sprintf("new%03d", round), "")
			}
		}
		for i := range 200 {
			if n := seen[fmt.Sprintf("stays%03d", i)]; n != 1 {
				c.Errorf("stays%03d told %d times", i, n)
			}
		}
		for name, n := range seen {
			if n != 1 {
				c.Errorf("%s told %d times", name, n)
			}
		}
	}},
	{"RemovingWhatIsRead", func(c *C) {
		// rm -r: remove while reading, then the directory is empty.
		c.Mkdir("d")
		for i := range 300 {
			c.Write(fmt.Sprintf("d/file%03d", i), "")
		}
		d, err := c.S.OpenDir(c.P("d"))
		c.OK(err, "opendir")
		defer d.Close()
		for {
			some, err := d.Next(20)
			c.OK(err, "readdir")
			if len(some) == 0 {
				break
			}
			for _, e := range some {
				if e.Name != "." && e.Name != ".." {
					c.OK(c.S.Unlink(c.P("d/"+e.Name)), "unlink %s", e.Name)
				}
			}
		}
		c.HasNames("d", "")
		c.OK(c.S.Rmdir(c.P("d")), "rmdir")
	}},
	{"ListingFollowsChanges", func(c *C) {
		c.HasNames("", "")
		c.Write("b", "")
		c.HasNames("", "b")
		c.Mkdir("a")
		c.HasNames("", "a b")
		c.OK(c.S.Rename(c.P("b"), c.P("c"), true), "rename")
		c.HasNames("", "a c")
		c.OK(c.S.Link(c.P("c"), c.P("d")), "link")
		c.OK(c.S.Symlink("c", c.P("e")), "symlink")
		c.HasNames("", "a c d e")
		c.OK(c.S.Unlink(c.P("c")), "unlink")
		c.OK(c.S.Rmdir(c.P("a")), "rmdir")
		c.HasNames("", "d e")
	}},
	{"FsyncDirectory", func(c *C) {
		c.Write("a", "x")
		d, err := c.S.OpenDir(c.dir)
		c.OK(err, "opendir")
		c.OK(d.Sync(), "fsync")
		c.OK(d.Close(), "close")
	}},
}

func (c *C) rest(d Dir) (all []Name) {
	c.Helper()
	for {
		some, err := d.Next(7)
		c.OK(err, "readdir")
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
	}
}
