package conn

import (
	"math"
	"sync"
)

// copyPiece is how much one COPY-DATA copies: it holds its lane up for some
// milliseconds at most.
const copyPiece = 4 << 20

// Copy implements Remote.
func (c *Client) Copy(src File, srcOff int64, dst File, dstOff, n int64) *Call[int64] {
	from, ok1 := src.(*file)
	to, ok2 := dst.(*file)
	switch {
	case !ok1 || !ok2 || srcOff < 0 || dstOff < 0 || n < 0:
		return Answered(int64(0), error(&Error{Op: "copy", Kind: Invalid}))
	case !c.able.copyData || from.flags&OpenBackground != to.flags&OpenBackground:
		return refuse[int64]("copy", "")
	case n == 0:
		return Answered(int64(0), nil)
	}
	k := &copying{src: from, dst: to, srcOff: srcOff, dstOff: dstOff, n: n, end: math.MaxInt64, call: NewCall[int64](nil)}
	k.next()
	k.next()
	return k.call
}

// copying is a copy in pieces, two of them in flight. Servers say OK to a copy
// from beyond the source's end (OpenSSH does, of less than its buffer), so that
// the source's size, asked before and behind each piece on the same lane, tells
// how much there was.
type copying struct {
	src, dst       *file
	srcOff, dstOff int64
	call           *Call[int64]

	mu      sync.Mutex // guards all below; nothing is locked within it
	n       int64      // left to start
	at      int64      // started
	end     int64      // the lowest size of the source that was told
	flight  int
	failure error
}

// next starts another piece, or answers when there is none and none in flight.
func (k *copying) next() {
	k.mu.Lock()
	size := min(k.n, copyPiece)
	if size == 0 || k.failure != nil || k.srcOff+k.at >= k.end {
		last := k.flight == 0
		k.mu.Unlock()
		if last {
			k.answer()
		}
		return
	}
	at := k.at
	k.at, k.n = k.at+size, k.n-size
	k.flight += 3
	k.mu.Unlock()
	k.src.Stat().Then(k.told)
	o := &op{q: request{kind: reqCopy, off: k.srcOff + at, dstOff: k.dstOff + at, size: size}, src: k.src}
	o.finish = func(_ *request, _ Attr, err error) {
		if s := statusOf(err); s != nil && s.code == fxEOF {
			err = nil // what the size says, too
		}
		k.took(math.MaxInt64, err)
	}
	k.dst.do(o)
	k.src.Stat().Then(k.told)
}

func (k *copying) told(a Attr, err error) { k.took(a.Size, err) }

// took takes an answer, and the source's size by it.
func (k *copying) took(size int64, err error) {
	k.mu.Lock()
	k.flight--
	if err == nil {
		k.end = min(k.end, size)
	} else if k.failure == nil {
		k.failure = err
	}
	more := k.flight%3 == 0
	k.mu.Unlock()
	if more {
		k.next()
	}
}

func (k *copying) answer() {
	if k.failure != nil {
		k.call.Finish(0, k.failure)
		return
	}
	k.call.Finish(max(0, min(k.at, k.end-k.srcOff)), nil)
}
