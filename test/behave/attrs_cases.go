package behave

import (
	"syscall"
	"time"
)

func at(sec int64) *time.Time {
	t := time.Unix(sec, 0)
	return &t
}

// attrCases: modes, owners, times, capacity.
var attrCases = []Case{
	{"Chmod", func(c *C) {
		c.Write("a", "x")
		for _, mode := range []uint32{0o600, 0o755, 0o444, 0o4755, 0o2755, 0o1777, 0} {
			c.OK(c.S.Chmod(c.P("a"), mode), "chmod %o", mode)
			if got := c.Lstat("a").Perm(); got != mode {
				c.Errorf("mode %o, want %o", got, mode)
			}
		}
		c.Mkdir("d")
		c.OK(c.S.Chmod(c.P("d"), 0o1777), "chmod of a directory")
		if got := c.Lstat("d").Perm(); got != 0o1777 {
			c.Errorf("mode %o", got)
		}
		c.Is(c.S.Chmod(c.P("none"), 0o600), syscall.ENOENT, "chmod of nothing")
	}},
	{"ChmodOfAnOpenFile", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		c.OK(f.Chmod(0o400), "fchmod")
		c.WriteTo(f, "may still write")
		c.OK(f.Close(), "close")
		if got := c.Lstat("a").Perm(); got != 0o400 {
			c.Errorf("mode %o", got)
		}
		c.Holds("a", "may still write")
	}},
	{"ChmodAfterUnlink", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		c.OK(c.S.Unlink(c.P("a")), "unlink")
		c.OK(f.Chmod(0o640), "fchmod")
		if st, err := f.Stat(); err != nil || st.Perm() != 0o640 {
			c.Errorf("mode %o, %v", st.Perm(), err)
		}
		if !c.Carried(f.Chtimes(at(1000), at(2000)), "futimens") {
			return
		}
		if st, err := f.Stat(); err != nil || st.Mtime.Unix() != 2000 {
			c.Errorf("mtime %v, %v", st.Mtime, err)
		}
	}},
	{"Chown", func(c *C) {
		c.Write("a", "x")
		st := c.Lstat("a")
		c.OK(c.S.Chown(c.P("a"), int(st.UID), int(st.GID)), "chown to the same")
		c.OK(c.S.Chown(c.P("a"), -1, -1), "chown of nothing")
		err := c.S.Chown(c.P("a"), 4242, 4343)
		if !c.Root {
			if err == nil {
				c.Error("giving a file away succeeds")
			}
			return
		}
		c.OK(err, "chown")
		if st := c.Lstat("a"); st.UID != 4242 || st.GID != 4343 {
			c.Errorf("owner %d:%d", st.UID, st.GID)
		}
		c.OK(c.S.Chown(c.P("a"), -1, 77), "chgrp")
		if st := c.Lstat("a"); st.UID != 4242 || st.GID != 77 {
			c.Errorf("owner %d:%d", st.UID, st.GID)
		}
		c.OK(c.S.Symlink("a", c.P("l")), "symlink")
		if !c.Carried(c.S.Chown(c.P("l"), 99, 98), "lchown") {
			return
		}
		if st := c.Lstat("l"); st.UID != 99 || st.GID != 98 {
			c.Errorf("link's owner %d:%d", st.UID, st.GID)
		}
		if st := c.Lstat("a"); st.UID != 4242 {
			c.Errorf("lchown reached the target: %d", st.UID)
		}
	}},
	{"Times", func(c *C) {
		c.Write("a", "x")
		for _, sec := range []int64{0, 1, 1_000_000_000, 1<<31 - 1, 1 << 31, 3_000_000_000} {
			c.OK(c.S.Chtimes(c.P("a"), at(sec/2), at(sec)), "utimens %d", sec)
			st := c.Lstat("a")
			if st.Mtime.Unix() != sec || st.Atime.Unix() != sec/2 {
				c.Errorf("set %d and %d, got %d and %d", sec/2, sec, st.Atime.Unix(), st.Mtime.Unix())
			}
		}
	}},
	{"TimesOneAlone", func(c *C) {
		c.Write("a", "x")
		c.OK(c.S.Chtimes(c.P("a"), at(1111), at(2222)), "utimens")
		c.OK(c.S.Chtimes(c.P("a"), nil, at(3333)), "mtime")
		c.OK(c.S.Chtimes(c.P("a"), at(4444), nil), "atime")
		if st := c.Lstat("a"); st.Atime.Unix() != 4444 || st.Mtime.Unix() != 3333 {
			c.Errorf("atime %d, mtime %d", st.Atime.Unix(), st.Mtime.Unix())
		}
	}},
	{"TimesBeyondTheProtocol", func(c *C) {
		// SFTP version 3 has 32 bits: what does not fit is refused or kept
		// near, never wrapped around to another age.
		if c.Local {
			return
		}
		c.Write("a", "x")
		for _, sec := range []int64{-1, -86400 * 365, -1 << 40, 1 << 32, 1 << 34} {
			c.OK(c.S.Chtimes(c.P("a"), at(5000), at(5000)), "utimens")
			err := c.S.Chtimes(c.P("a"), nil, at(sec))
			got := c.Lstat("a").Mtime.Unix()
			switch {
			case err != nil && got != 5000:
				c.Errorf("refused %d (%v), but the time is %d", sec, err, got)
			case err == nil && (sec < 0 && got > 0 || sec > 0 && got < 1<<31):
				c.Errorf("set %d, got %d", sec, got)
			}
		}
	}},
	{"TimesOfAnOpenFile", func(c *C) {
		// As rsync and tar do: the times are set after the writes and must
		// stay when these reach the server.
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		c.WriteTo(f, pattern(300<<10))
		c.OK(f.Chtimes(at(7000), at(7001)), "futimens")
		c.OK(f.Chmod(0o640), "fchmod")
		c.OK(f.Close(), "close")
		st := c.Lstat("a")
		if st.Mtime.Unix() != 7001 || st.Perm() != 0o640 || st.Size != 300<<10 {
			c.Errorf("mtime %d, mode %o, size %d", st.Mtime.Unix(), st.Perm(), st.Size)
		}
	}},
	{"TimesOfALink", func(c *C) {
		c.Write("a", "x")
		c.OK(c.S.Chtimes(c.P("a"), at(100), at(200)), "utimens")
		c.OK(c.S.Symlink("a", c.P("l")), "symlink")
		if !c.Carried(c.S.Chtimes(c.P("l"), at(300), at(400)), "lutimes") {
			return
		}
		if got := c.Lstat("l").Mtime.Unix(); got != 400 {
			c.Errorf("link's mtime %d", got)
		}
		if got := c.Lstat("a").Mtime.Unix(); got != 200 {
			c.Errorf("target's mtime %d", got)
		}
	}},
	{"TimesOfADirectory", func(c *C) {
		c.Mkdir("d")
		c.Write("d/a", "x")
		c.OK(c.S.Chtimes(c.P("d"), at(100), at(200)), "utimens")
		if got := c.Lstat("d").Mtime.Unix(); got != 200 {
			c.Errorf("mtime %d", got)
		}
	}},
	{"WritingChangesMtime", func(c *C) {
		c.Write("a", "x")
		c.OK(c.S.Chtimes(c.P("a"), at(100), at(100)), "utimens")
		f := c.Open("a", syscall.O_WRONLY)
		c.WriteTo(f, "y")
		c.OK(f.Close(), "close")
		if got := c.Lstat("a").Mtime; time.Since(got) > time.Hour {
			c.Errorf("mtime %v", got)
		}
	}},
	{"ReadingKeepsMtime", func(c *C) {
		c.Write("a", "x")
		c.OK(c.S.Chtimes(c.P("a"), at(100), at(200)), "utimens")
		c.Read("a")
		if got := c.Lstat("a").Mtime.Unix(); got != 200 {
			c.Errorf("mtime %d", got)
		}
	}},
	{"AttributesOfListingAndLookupAgree", func(c *C) {
		c.Write("f", "x")
		c.Mkdir("d")
		c.OK(c.S.Symlink("f", c.P("l")), "symlink")
		for name, e := range c.Entries("") {
			st := c.Lstat(name)
			if e.Ino != st.Ino || e.Type != st.Mode&syscall.S_IFMT {
				c.Errorf("%s: listed as %d %o, lstat says %d %o", name, e.Ino, e.Type, st.Ino, st.Mode)
			}
		}
	}},
	{"InodesStayAndDiffer", func(c *C) {
		seen := map[uint64]string{}
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			c.Write(name, "x")
			ino := c.Lstat(name).Ino
			if other := seen[ino]; other != "" {
				c.Errorf("%s and %s are both inode %d", name, other, ino)
			}
			seen[ino] = name
		}
		c.Names("")
		for ino, name := range seen {
			if got := c.Lstat(name).Ino; got != ino {
				c.Errorf("%s: inode %d became %d", name, ino, got)
			}
		}
	}},
	{"StatFS", func(c *C) {
		s, err := c.S.StatFS(c.dir)
		c.OK(err, "statfs")
		if s.BlockSize <= 0 || s.NameMax != 255 || s.Free > s.Blocks || s.Avail > s.Blocks {
			c.Errorf("%+v", s)
		}
	}},
}
