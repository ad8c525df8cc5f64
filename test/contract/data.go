package contract

import (
	"bytes"
	"io"
	"math/rand/v2"

	"github.com/sbxmount/sbxmount/conn"
)

func testRead(s *suite) {
	content := pattern(100_000, 1)
	f := s.create("file", content)
	defer f.Close()
	for _, c := range []struct{ off, n, got int64 }{
		{0, 1, 1}, {0, 100_000, 100_000}, {99_999, 1, 1}, {1, 50_000, 50_000},
		{0, 100_001, 100_000}, {99_999, 2, 1}, {100_000, 1, 0}, {100_001, 10, 0}, {1 << 40, 10, 0}, {50_000, 1 << 20, 50_000},
	} {
		buf := make([]byte, c.n)
		n, err := wait(s, f.ReadAt(buf, c.off))
		atEnd := c.got < c.n
		if int64(n) != c.got || atEnd != (err == io.EOF) || !atEnd && err != nil {
			s.Errorf("%d bytes at %d: %d, %v", c.n, c.off, n, err)
			continue
		}
		if n > 0 && !bytes.Equal(buf[:n], content[c.off:c.off+c.got]) {
			s.Errorf("%d bytes at %d are other bytes", c.n, c.off)
		}
	}
	empty := s.create("empty", nil)
	defer empty.Close()
	if n, err := wait(s, empty.ReadAt(make([]byte, 1), 0)); n != 0 || err != io.EOF {
		s.Errorf("an empty file: %d, %v", n, err)
	}
}

// One ReadAt and one WriteAt of many packets and more than a window.
func testBig(s *suite) {
	const n = 9<<20 + 12_345
	content := pattern(n, 2)
	f := s.create("file", content)
	defer f.Close()
	want(s, "the size", s.stat("file").Size, n)
	if !bytes.Equal(s.read(f, 0, n), content) {
		s.Error("other bytes came back")
	}
	if !bytes.Equal(s.read(f, 1_234_567, 3<<20), content[1_234_567:1_234_567+3<<20]) {
		s.Error("other bytes came back from the middle")
	}
}

// Random reads and writes, many in flight, against a model in memory. Writes
// in flight do not overlap one another, nor reads in flight a write.
func testRandom(s *suite) {
	const blocks, block, rounds = 32, 10_000, 40
	random := rand.New(rand.NewPCG(1, 2))
	model := make([]byte, blocks*block)
	f := s.create("file", model)
	defer f.Close()
	for range rounds {
		var writes []*conn.Call[struct{}]
		type pending struct {
			call *conn.Call[int]
			buf  []byte
			off  int
		}
		var reads []pending
		for _, b := range random.Perm(blocks)[:12] {
			off := b*block + random.IntN(block/2)
			n := 1 + random.IntN(block/2)
			if random.IntN(2) == 0 {
				p := pattern(n, byte(random.Uint32()))
				copy(model[off:], p)
				writes = append(writes, f.WriteAt(p, int64(off)))
				continue
			}
			buf := make([]byte, n)
			reads = append(reads, pending{f.ReadAt(buf, int64(off)), buf, off})
		}
		for _, r := range reads {
			ok(s, r.call)
			if !bytes.Equal(r.buf, model[r.off:r.off+len(r.buf)]) {
				s.Fatalf("%d bytes at %d are other bytes", len(r.buf), r.off)
			}
		}
		for _, w := range writes {
			ok(s, w)
		}
	}
	if !bytes.Equal(s.read(f, 0, len(model)), model) {
		s.Error("the file differs from the model")
	}
}

func testSparse(s *suite) {
	const far = 6 << 30
	f := s.create("file", nil)
	defer f.Close()
	ok(s, f.WriteAt([]byte("far"), far))
	want(s, "the size", ok(s, f.Stat()).Size, far+3)
	want(s, "the end", string(s.read(f, far, 3)), "far")
	want(s, "the hole", string(s.read(f, far-4, 4)), "\x00\x00\x00\x00")
}

func testOpenTrunc(s *suite) {
	s.put("file", "content")
	f, opened := s.Remote.Open(s.path("file"), conn.OpenWrite|conn.OpenTrunc, 0)
	want(s, "the size", ok(s, opened).Size, 0)
	f.Close()
	want(s, "the size after closing", s.stat("file").Size, 0)
}

// Two Files that append in turn lose nothing, wherever they think the end is.
func testAppend(s *suite) {
	s.put("file", "start,")
	open := func() conn.File {
		f, opened := s.Remote.Open(s.path("file"), conn.OpenRead|conn.OpenWrite|conn.OpenAppend, 0)
		ok(s, opened)
		return f
	}
	a, b := open(), open()
	defer a.Close()
	defer b.Close()
	ok(s, a.WriteAt([]byte("a1,"), 6))
	ok(s, b.WriteAt([]byte("b1,"), 6)) // its idea of the end is old
	first, second := a.WriteAt([]byte("a2,"), 9), a.WriteAt([]byte("a3,"), 12)
	ok(s, first)
	ok(s, second)
	ok(s, b.WriteAt([]byte("b2"), 0))
	want(s, "the content", s.get("file"), "start,a1,b1,a2,a3,b2")
	want(s, "what an appending File reads", string(s.read(a, 6, 6)), "a1,b1,")
}

func testHandleKinds(s *suite) {
	s.put("file", "x")
	r, opened := s.Remote.Open(s.path("file"), conn.OpenRead, 0)
	ok(s, opened)
	fails(s, r.WriteAt([]byte("y"), 0), conn.BadHandle, conn.Permission)
	r.Close()
	w, opened := s.Remote.Open(s.path("file"), conn.OpenWrite, 0)
	ok(s, opened)
	fails(s, w.ReadAt(make([]byte, 1), 0), conn.BadHandle, conn.Permission)
	w.Close()
	want(s, "the content", s.get("file"), "x")
}

func testClosed(s *suite) {
	f := s.create("file", []byte("x"))
	write := f.WriteAt([]byte("y"), 0)
	f.Close()
	ok(s, write)
	f.Close()
	fails(s, f.ReadAt(make([]byte, 1), 0), conn.BadHandle)
	fails(s, f.WriteAt([]byte("z"), 0), conn.BadHandle)
	fails(s, f.Stat(), conn.BadHandle)
	fails(s, f.Sync(), conn.BadHandle)
	fails(s, f.SetAttr(mode(0o600)), conn.BadHandle)
	want(s, "the content", s.get("file"), "y")
}

func testCopy(s *suite) {
	content := pattern(3_000_000, 3)
	src := s.create("src", content)
	defer src.Close()
	dst := s.create("dst", []byte("0123456789"))
	defer dst.Close()
	if !s.Remote.Info().Copies {
		fails(s, s.Remote.Copy(src, 0, dst, 0, 10), conn.Unsupported)
		return
	}
	want(s, "the number of copied bytes", ok(s, s.Remote.Copy(src, 1000, dst, 5, 2_000_000)), 2_000_000)
	if got := s.read(dst, 0, 2_000_005); string(got[:5]) != "01234" || !bytes.Equal(got[5:], content[1000:2_001_000]) {
		s.Error("other bytes were copied")
	}
	want(s, "the size", ok(s, dst.Stat()).Size, 2_000_005)
	want(s, "the number at the source's end", ok(s, s.Remote.Copy(src, 2_999_990, dst, 0, 100)), 10)
	want(s, "the size after that", ok(s, dst.Stat()).Size, 2_000_005)
	want(s, "the number past the source's end", ok(s, s.Remote.Copy(src, 5_000_000, dst, 0, 100)), 0)
	want(s, "the number of none", ok(s, s.Remote.Copy(src, 0, dst, 0, 0)), 0)
	want(s, "the size after copying nothing", ok(s, dst.Stat()).Size, 2_000_005)

	// Behind writes that were not waited for.
	write := src.WriteAt([]byte("fresh"), 0)
	copied := s.Remote.Copy(src, 0, dst, 0, 5)
	ok(s, write)
	ok(s, copied)
	want(s, "what was copied behind a write", string(s.read(dst, 0, 5)), "fresh")
}
