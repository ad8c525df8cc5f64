package content

import (
	"context"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// instant is a server that answers at once, with zeros.
type instant struct{ conn.File }

func (instant) ReadAt(p []byte, _ int64) *conn.Call[int]   { return conn.Answered(len(p), nil) }
func (instant) WriteAt([]byte, int64) *conn.Call[struct{}] { return conn.Answered(struct{}{}, nil) }
func (instant) Stat() *conn.Call[conn.Attr]                { return conn.Answered(conn.Attr{}, conn.Kind(conn.Other)) }
func (instant) Close()                                     {}

type instantOpener struct{ size int64 }

func (o instantOpener) OpenRemote(conn.OpenFlags) (conn.File, *conn.Call[conn.Attr]) {
	return instant{}, conn.Answered(conn.Attr{Size: o.size}, nil)
}
func (instantOpener) ResizeRemote(int64) *conn.Call[struct{}] { return conn.Answered(struct{}{}, nil) }
func (instantOpener) Wrote(conn.Attr, time.Time, bool)        {}

const benchSize = 256 << 20

func BenchmarkStreamingRead(b *testing.B) {
	b.SetBytes(kernelRead)
	b.ReportAllocs()
	s := New(Options{})
	buf := make([]byte, kernelRead)
	var h *Handle
	off := int64(benchSize)
	for b.Loop() {
		if off == benchSize {
			off = 0
			h = s.NewFile(conn.Attr{Size: benchSize}, time.Now(), instantOpener{benchSize}).Handle(conn.OpenRead)
		}
		if p, err := h.ReadAt(context.Background(), kernelRead, off, buf); len(p) != kernelRead || err != nil {
			b.Fatal(len(p), err)
		}
		off += kernelRead
	}
}

func BenchmarkReadHit(b *testing.B) {
	b.SetBytes(4096)
	b.ReportAllocs()
	s := New(Options{})
	h := s.NewFile(conn.Attr{Size: 16 << 20}, time.Now(), instantOpener{16 << 20}).Handle(conn.OpenRead)
	buf := make([]byte, 4096)
	off := int64(0)
	for b.Loop() {
		if p, err := h.ReadAt(context.Background(), 4096, off, buf); len(p) != 4096 || err != nil {
			b.Fatal(len(p), err)
		}
		off = (off + 1<<20 + 4096) % (16 << 20)
	}
}

func benchmarkWrite(b *testing.B, n int64, next func(off int64) int64) {
	b.SetBytes(n)
	b.ReportAllocs()
	s := New(Options{})
	p := make([]byte, n)
	var h *Handle
	off := int64(benchSize)
	for i := int64(0); b.Loop(); i++ {
		if i%(benchSize/n) == 0 {
			h = s.NewFile(conn.Attr{}, time.Now(), instantOpener{}).Handle(readWrite)
			off = 0
		}
		if m, err := h.WriteAt(context.Background(), p, off); m != len(p) || err != nil {
			b.Fatal(m, err)
		}
		off = next(off)
	}
}

func BenchmarkStreamingWrite(b *testing.B) {
	benchmarkWrite(b, 1<<20, func(off int64) int64 { return off + 1<<20 })
}

func BenchmarkSmallAppends(b *testing.B) {
	benchmarkWrite(b, 4096, func(off int64) int64 { return off + 4096 })
}

func BenchmarkRandomWrites(b *testing.B) {
	x := uint64(1)
	benchmarkWrite(b, 4096, func(int64) int64 {
		x = x*6364136223846793005 + 1442695040888963407
		return int64(x>>33) % (benchSize / 4096) * 4096
	})
}
