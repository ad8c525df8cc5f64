package behave

import (
	"strings"
	"syscall"
)

// fileCases: opening, creating, and what stands at which offset.
var fileCases = []Case{
	{"CreateWriteRead", func(c *C) {
		c.Write("a", "hello world")
		c.Holds("a", "hello world")
		st := c.Lstat("a")
		if st.Size != 11 || st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Nlink != 1 {
			c.Errorf("size %d, mode %o, nlink %d", st.Size, st.Mode, st.Nlink)
		}
		c.HasNames("", "a")
	}},
	{"CreateEmpty", func(c *C) {
		c.Write("a", "")
		c.Holds("a", "")
		if st := c.Lstat("a"); st.Size != 0 {
			c.Errorf("size %d", st.Size)
		}
	}},
	{"CreateWithMode", func(c *C) {
		for _, mode := range []uint32{0o644, 0o600, 0o755, 0o400, 0o000, 0o777} {
			name := "m" + string(rune('0'+mode>>6)) + string(rune('0'+mode&7))
			f, err := c.S.Open(c.P(name), syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL, mode)
			c.OK(err, "create %o", mode)
			// The mode is for those who come later; this handle may write.
			c.WriteTo(f, "x")
			c.OK(f.Close(), "close")
			if got, want := c.Lstat(name).Perm(), mode&^c.Umask; got != want {
				c.Errorf("created with %o: has %o, want %o", mode, got, want)
			}
		}
	}},
	{"Exclusive", func(c *C) {
		const flags = syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL
		c.Open("a", flags).Close()
		_, err := c.S.Open(c.P("a"), flags, 0o644)
		c.Is(err, syscall.EEXIST, "second exclusive create")
		c.OK(c.S.Symlink("nowhere", c.P("l")), "symlink")
		_, err = c.S.Open(c.P("l"), flags, 0o644)
		c.Is(err, syscall.EEXIST, "exclusive create over a link to nothing")
	}},
	{"CreateOpensWhatIsThere", func(c *C) {
		c.Write("a", "content")
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		if got := c.ReadAll(f); got != "content" {
			c.Errorf("read %q", got)
		}
	}},
	{"OpenTruncates", func(c *C) {
		c.Write("a", "something long")
		f := c.Open("a", syscall.O_RDWR|syscall.O_TRUNC)
		if st, err := f.Stat(); err != nil || st.Size != 0 {
			c.Errorf("size %d, %v", st.Size, err)
		}
		c.WriteTo(f, "short")
		c.OK(f.Close(), "close")
		c.Holds("a", "short")
	}},
	{"AppendGoesToTheEnd", func(c *C) {
		c.Write("a", "one ")
		f := c.Open("a", syscall.O_WRONLY|syscall.O_APPEND)
		c.WriteTo(f, "two ")
		_, err := f.Seek(0, seekSet)
		c.OK(err, "seek")
		c.WriteTo(f, "three")
		c.OK(f.Close(), "close")
		c.Holds("a", "one two three")
	}},
	{"AppendOfTwoWriters", func(c *C) {
		a := c.Open("log", syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT)
		b := c.Open("log", syscall.O_WRONLY|syscall.O_APPEND|syscall.O_CREAT)
		var want strings.Builder
		for i := range 20 {
			line := strings.Repeat(string(rune('a'+i)), 1+i*7) + "\n"
			w := a
			if i%2 == 1 {
				w = b
			}
			c.WriteTo(w, line)
			want.WriteString(line)
		}
		c.OK(a.Close(), "close")
		c.OK(b.Close(), "close")
		c.Holds("log", want.String())
	}},
	{"AppendAndReadBack", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_APPEND|syscall.O_CREAT)
		c.WriteTo(f, "first\n")
		buf := make([]byte, 64)
		if n, err := f.ReadAt(buf, 0); err != nil || string(buf[:n]) != "first\n" {
			c.Errorf("read %q, %v", buf[:n], err)
		}
		c.WriteTo(f, "second\n")
		if n, err := f.ReadAt(buf, 0); err != nil || string(buf[:n]) != "first\nsecond\n" {
			c.Errorf("read %q, %v", buf[:n], err)
		}
		if st, err := f.Stat(); err != nil || st.Size != 13 {
			c.Errorf("size %d, %v", st.Size, err)
		}
	}},
	{"ReadOnlyHandleRefusesWrites", func(c *C) {
		c.Write("a", "x")
		f := c.Open("a", syscall.O_RDONLY)
		_, err := f.Write([]byte("y"))
		c.Is(err, syscall.EBADF, "write")
		c.Is(f.Truncate(0), syscall.EINVAL, "truncate")
		c.Holds("a", "x")
	}},
	{"WriteOnlyHandleRefusesReads", func(c *C) {
		f := c.Open("a", syscall.O_WRONLY|syscall.O_CREAT)
		_, err := f.Read(make([]byte, 1))
		c.Is(err, syscall.EBADF, "read")
	}},
	{"TwoHandlesSeeEachOther", func(c *C) {
		w := c.Open("a", syscall.O_WRONLY|syscall.O_CREAT)
		r := c.Open("a", syscall.O_RDONLY)
		buf := make([]byte, 32)
		for i, part := range []string{"abc", "defg", "hi"} {
			c.WriteTo(w, part)
			n, err := r.Read(buf)
			if err != nil || string(buf[:n]) != part {
				c.Errorf("part %d: read %q, %v", i, buf[:n], err)
			}
		}
		if st, err := r.Stat(); err != nil || st.Size != 9 {
			c.Errorf("size %d, %v", st.Size, err)
		}
	}},
	{"OpenCloseManyTimes", func(c *C) {
		for i := range 200 {
			f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
			if i%3 == 0 {
				_, err := f.WriteAt([]byte{byte('a' + i%26)}, 0)
				c.OK(err, "write")
			}
			c.OK(f.Close(), "close")
		}
		c.Holds("a", string(rune('a'+198%26)))
	}},
	{"Seek", func(c *C) {
		c.Write("a", "0123456789")
		f := c.Open("a", syscall.O_RDWR)
		for _, s := range []struct {
			off    int64
			whence int
			at     int64
			next   string
		}{{4, seekSet, 4, "45"}, {2, seekCur, 8, "89"}, {-3, seekEnd, 7, "78"}, {-1, seekCur, 8, "89"}} {
			at, err := f.Seek(s.off, s.whence)
			if err != nil || at != s.at {
				c.Errorf("seek %d from %d: at %d, %v", s.off, s.whence, at, err)
			}
			buf := make([]byte, 2)
			if _, err := f.Read(buf); err != nil || string(buf) != s.next {
				c.Errorf("read at %d: %q, %v", at, buf, err)
			}
		}
		_, err := f.Seek(-1, seekSet)
		c.Is(err, syscall.EINVAL, "seek before the start")
		at, err := f.Seek(100, seekSet)
		if err != nil || at != 100 {
			c.Errorf("seek beyond the end: %d, %v", at, err)
		}
		if n, err := f.Read(make([]byte, 1)); n != 0 || err != nil {
			c.Errorf("read beyond the end: %d, %v", n, err)
		}
	}},
	{"SeekDataAndHole", func(c *C) {
		const seekData, seekHole = 3, 4
		c.Write("a", strings.Repeat("x", 10000))
		f := c.Open("a", syscall.O_RDONLY)
		if at, err := f.Seek(500, seekData); err != nil || at != 500 {
			c.Errorf("data from 500: %d, %v", at, err)
		}
		if at, err := f.Seek(500, seekHole); err != nil || at != 10000 {
			c.Errorf("hole from 500: %d, %v", at, err)
		}
		for _, whence := range []int{seekData, seekHole} {
			_, err := f.Seek(10001, whence)
			c.Is(err, syscall.ENXIO, "seek %d beyond the end", whence)
		}
	}},
}
