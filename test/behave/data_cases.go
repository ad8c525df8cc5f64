package behave

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"syscall"
)

// dataCases: bytes, sizes and holes.
var dataCases = []Case{
	{"Overwrite", func(c *C) {
		c.Write("a", "0123456789")
		f := c.Open("a", syscall.O_RDWR)
		_, err := f.WriteAt([]byte("XYZ"), 4)
		c.OK(err, "write")
		c.OK(f.Close(), "close")
		c.Holds("a", "0123XYZ789")
	}},
	{"WriteBehindTheEnd", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		_, err := f.WriteAt([]byte("end"), 5000)
		c.OK(err, "write")
		want := strings.Repeat("\x00", 5000) + "end"
		if got := c.ReadAll(f); got != want {
			c.Errorf("read %s", brief(got))
		}
		c.OK(f.Close(), "close")
		c.Holds("a", want)
	}},
	{"TruncateDown", func(c *C) {
		c.Write("a", "0123456789")
		c.OK(c.S.Truncate(c.P("a"), 4), "truncate")
		c.Holds("a", "0123")
		c.OK(c.S.Truncate(c.P("a"), 0), "truncate")
		c.Holds("a", "")
	}},
	{"TruncateUp", func(c *C) {
		c.Write("a", "0123")
		c.OK(c.S.Truncate(c.P("a"), 8), "truncate")
		c.Holds("a", "0123\x00\x00\x00\x00")
	}},
	{"TruncateDownAndUp", func(c *C) {
		// What was cut off must not come back.
		c.Write("a", strings.Repeat("secret", 1000))
		f := c.Open("a", syscall.O_RDWR)
		c.ReadAll(f)
		c.OK(f.Truncate(10), "truncate down")
		c.OK(f.Truncate(6000), "truncate up")
		c.OK(f.Close(), "close")
		c.Holds("a", "secretsecr"+strings.Repeat("\x00", 5990))
	}},
	{"TruncateWhileOpen", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		g := c.Open("a", syscall.O_RDONLY)
		c.WriteTo(f, "0123456789")
		c.OK(f.Truncate(3), "truncate")
		if got := c.ReadAll(g); got != "012" {
			c.Errorf("the other handle reads %q", got)
		}
		if st, err := g.Stat(); err != nil || st.Size != 3 {
			c.Errorf("the other handle has size %d, %v", st.Size, err)
		}
		// The first handle's position stays behind the end.
		c.WriteTo(f, "X")
		c.OK(f.Close(), "close")
		c.Holds("a", "012\x00\x00\x00\x00\x00\x00\x00X")
	}},
	{"TruncateRefusesNegative", func(c *C) {
		c.Write("a", "x")
		c.Is(c.S.Truncate(c.P("a"), -1), syscall.EINVAL, "truncate to -1")
	}},
	{"ManySizes", func(c *C) {
		for _, n := range []int{1, 4095, 4096, 4097, 65536, 255<<10 - 1, 255 << 10, 255<<10 + 1, 1 << 20, 1<<20 + 1, 3<<20 + 12345} {
			want := pattern(n)
			c.Write("a", want)
			c.Holds("a", want)
			if st := c.Lstat("a"); st.Size != int64(n) {
				c.Errorf("size %d, want %d", st.Size, n)
			}
		}
	}},
	{"RandomReadsAndWrites", func(c *C) {
		const size = 600 << 10
		rng := rand.New(rand.NewPCG(1, 2))
		model := []byte(pattern(size))
		c.Write("a", string(model))
		f := c.Open("a", syscall.O_RDWR)
		for range 300 {
			off, n := rng.IntN(size), 1+rng.IntN(40<<10)
			n = min(n, size-off)
			if rng.IntN(2) == 0 {
				p := []byte(pattern(n + 7))[7:]
				_, err := f.WriteAt(p, int64(off))
				c.OK(err, "write %d at %d", n, off)
				copy(model[off:], p)
				continue
			}
			buf := make([]byte, n)
			got, err := f.ReadAt(buf, int64(off))
			c.OK(err, "read %d at %d", n, off)
			if !bytes.Equal(buf[:got], model[off:off+got]) || got != n {
				c.Fatalf("read %d at %d: %d bytes, wrong", n, off, got)
			}
		}
		c.OK(f.Close(), "close")
		c.Holds("a", string(model))
	}},
	{"Sparse", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		for i := range 8 {
			_, err := f.WriteAt([]byte{byte('a' + i)}, int64(i)<<20)
			c.OK(err, "write")
		}
		c.OK(f.Close(), "close")
		got := c.Read("a")
		if len(got) != 7<<20+1 {
			c.Fatalf("size %d", len(got))
		}
		for i := range 8 {
			if got[i<<20] != byte('a'+i) {
				c.Errorf("byte %d is %q", i<<20, got[i<<20])
			}
		}
		if n := strings.Count(got, "\x00"); n != len(got)-8 {
			c.Errorf("%d zeros of %d", n, len(got))
		}
	}},
	{"OverFourGiB", func(c *C) {
		const at = 5<<30 + 7
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		_, err := f.WriteAt([]byte("far out"), at)
		c.OK(err, "write at %d", int64(at))
		buf := make([]byte, 16)
		if n, err := f.ReadAt(buf, at-4); err != nil || string(buf[:n]) != "\x00\x00\x00\x00far out" {
			c.Errorf("read %q, %v", buf[:n], err)
		}
		c.OK(f.Close(), "close")
		if st := c.Lstat("a"); st.Size != at+7 {
			c.Errorf("size %d", st.Size)
		}
		c.OK(c.S.Truncate(c.P("a"), 4<<30+1), "truncate")
		f = c.Open("a", syscall.O_RDONLY)
		if n, err := f.ReadAt(buf, 4<<30-2); err != nil || n != 3 {
			c.Errorf("read %d bytes over the 4 GiB line, %v", n, err)
		}
	}},
	{"Fsync", func(c *C) {
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		c.WriteTo(f, "kept")
		c.OK(f.Sync(), "fsync")
		c.OK(f.Sync(), "fsync of nothing")
		c.OK(f.Close(), "close")
		c.Holds("a", "kept")
	}},
	{"CopyRange", func(c *C) {
		want := pattern(700 << 10)
		c.Write("a", want)
		src, dst := c.Open("a", syscall.O_RDONLY), c.Open("b", syscall.O_RDWR|syscall.O_CREAT)
		var at int64
		for at < int64(len(want)) {
			n, err := src.CopyTo(dst, at, at, int64(len(want))-at)
			c.OK(err, "copy at %d", at)
			if n == 0 {
				break
			}
			at += n
		}
		c.OK(dst.Close(), "close")
		c.Holds("b", want)
		if n, err := src.CopyTo(c.Open("b", syscall.O_RDWR), int64(len(want)), 0, 10); n != 0 || err != nil {
			c.Errorf("copy behind the end: %d, %v", n, err)
		}
	}},
	{"CopyRangeSeesWhatWasJustWritten", func(c *C) {
		src := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		dst := c.Open("b", syscall.O_RDWR|syscall.O_CREAT)
		c.WriteTo(src, "fresh bytes")
		c.WriteTo(dst, "old old old old")
		if n, err := src.CopyTo(dst, 6, 4, 5); n != 5 || err != nil {
			c.Fatalf("copied %d, %v", n, err)
		}
		if got := c.readFrom(dst, 0); got != "old bytesld old" {
			c.Errorf("read %q", got)
		}
		c.OK(dst.Close(), "close")
		c.Holds("b", "old bytesld old")
	}},
	{"Allocate", func(c *C) {
		// Room can't be reserved through SFTP. What can't be done honestly is
		// refused, so that posix_fallocate falls back to writing.
		f := c.Open("a", syscall.O_RDWR|syscall.O_CREAT)
		c.WriteTo(f, "0123456789")
		err := f.Allocate(0, 0, 4096)
		if err == nil {
			if st, _ := f.Stat(); st.Size != 4096 {
				c.Errorf("size %d after a success", st.Size)
			}
		} else {
			c.Is(err, syscall.EOPNOTSUPP, "fallocate")
			if st, _ := f.Stat(); st.Size != 10 {
				c.Errorf("size %d after a failure", st.Size)
			}
		}
		buf := make([]byte, 10)
		if _, err := f.ReadAt(buf, 0); err != nil || string(buf) != "0123456789" {
			c.Errorf("read %q, %v", buf, err)
		}
	}},
}

func (c *C) readFrom(f File, off int64) string {
	c.Helper()
	_, err := f.Seek(off, seekSet)
	c.OK(err, "seek")
	return c.ReadAll(f)
}

// pattern is n bytes that differ from each other wherever they might be
// mistaken for each other.
func pattern(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8*31 ^ i>>16*17)
	}
	return string(b)
}
