package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs/content"
)

// Handle is one open file. All methods may be called by several goroutines at
// once; nothing is called after Release.
type Handle struct {
	f       *file
	flags   conn.OpenFlags
	content *content.Handle
	keep    bool
}

// newHandle makes a handle; attach, where not nil, gives the content what the
// server opened for it. Tree.mu is held.
func (t *Tree) newHandle(n *inode, flags conn.OpenFlags, attach func(*content.File) bool) *Handle {
	f := t.fileOf(n)
	f.handles++
	t.handles++
	t.uses.Add(1)
	t.open[f] = struct{}{}
	h := &Handle{f: f, flags: flags}
	h.content = f.content.Handle(flags)
	if attach != nil && attach(f.content) || flags&conn.OpenTrunc != 0 {
		f.changed()
	}
	if h.keep = f.proven() && f.pages == f.version; !h.keep {
		f.content.Unserved()
	}
	f.pages = f.version
	return h
}

// KeepCache reports whether the kernel may keep the pages that it has of the
// file from earlier opens.
func (h *Handle) KeepCache() bool { return h.keep }

// Direct reports whether the kernel must not cache what goes through this
// handle: it does not know where an append ends up.
func (h *Handle) Direct() bool { return h.flags&conn.OpenAppend != 0 }

// Read returns bytes from off, fewer than len(buf) only at the file's end. They
// are buf's or the cache's own, and must not be changed. 0 round trips where
// they are cached or on their way, else 1.
func (h *Handle) Read(ctx context.Context, buf []byte, off int64) ([]byte, error) {
	h.f.t.uses.Add(1)
	return h.content.ReadAt(ctx, len(buf), off, buf)
}

// Write takes bytes for off, or for the end of the file with an append handle.
// 0 round trips while there is room in the write buffer; 1 in through mode.
func (h *Handle) Write(ctx context.Context, p []byte, off int64) (int, error) {
	h.f.t.uses.Add(1)
	n, err := h.content.WriteAt(ctx, p, off)
	if n > 0 {
		h.f.written(h.Direct())
	}
	return n, err
}

// written takes note of bytes that were written.
func (f *file) written(direct bool) {
	t := f.t
	t.mu.Lock()
	defer t.unlock()
	f.wrote = true
	f.n.attr.Mtime = max(f.n.attr.Mtime, t.clock.now(t.now()).Unix())
	if direct && f.handles > 1 {
		f.version++
		t.noteContent(f.n)
	}
}

// Flush is a close(2): it waits until the server has what was written through
// any handle of the file, and its changes of attributes, and reports what was
// lost. 0 round trips where nothing was written, else 1 after the last write.
//
// In async mode it waits until all of it is on its way, 0 round trips, and
// reports what is known to be lost by then.
func (h *Handle) Flush(ctx context.Context) error {
	t := h.f.t
	t.mu.Lock()
	behind := t.async()
	t.unlock()
	if behind {
		return h.content.Start(ctx)
	}
	return h.finish(ctx, h.content.Flush(ctx))
}

// Sync is an fsync(2): Flush, and the server's kernel has it on its disk. 1
// round trip.
func (h *Handle) Sync(ctx context.Context) error {
	return h.finish(ctx, h.content.Sync(ctx))
}

func (h *Handle) finish(ctx context.Context, err error) error {
	t := h.f.t
	t.mu.Lock()
	defer t.unlock()
	if e := t.settle(ctx, h.f); err == nil {
		err = e
	}
	return err
}

// Release ends the handle. It never waits.
func (h *Handle) Release() {
	h.content.Release()
	t := h.f.t
	t.mu.Lock()
	defer t.unlock()
	f := h.f
	t.handles--
	if f.handles--; f.handles > 0 {
		return
	}
	if f.wrote && !f.dirty() {
		// Written, and not flushed since: what the server says counts again.
		f.wrote, f.n.asked = false, never
	}
	f.rest()
}

// The modes of fallocate(2) that a server without holes can carry out.
const (
	allocKeepSize  = 0x01
	allocPunchHole = 0x02
	allocZeroRange = 0x10
)

// zeros is what Allocate writes at a time.
const zeros = 256 << 10

// Allocate is fallocate(2) with its mode bits. The protocol can neither
// reserve room nor make holes: what a mode asks to be zero is written as zeros,
// and without a mode the file is extended by written zeros, so that there is
// room for them or an error tells that there is none. What exists is taken to
// have its room. As many round trips as it takes to write them.
func (h *Handle) Allocate(ctx context.Context, mode uint32, off, n int64) error {
	size := h.f.content.Size()
	from, to := off, off+n
	switch {
	case off < 0 || n <= 0 || to < off:
		return conn.Invalid
	case mode == 0:
		from = max(off, size) // a gap before off is the hole that it is locally, too
	case mode == allocPunchHole|allocKeepSize, mode == allocZeroRange|allocKeepSize:
		to = min(to, size)
	case mode == allocKeepSize:
		if to > size {
			return conn.Unsupported // room beyond the end can't be had
		}
		return nil
	case mode != allocZeroRange:
		return conn.Unsupported
	}
	for p := make([]byte, zeros); from < to; {
		m, err := h.Write(ctx, p[:min(zeros, to-from)], from)
		if err != nil {
			return err
		}
		from += int64(m)
	}
	if mode != 0 {
		return nil
	}
	return h.f.content.Flush(ctx)
}

// CopyRange copies n bytes between open files, on the server where it can, and
// returns how many: fewer only at src's end. The copying itself costs 1 round
// trip for each piece that the server copies.
func (t *Tree) CopyRange(ctx context.Context, src *Handle, srcOff int64, dst *Handle, dstOff, n int64) (int64, error) {
	m, err := content.CopyRange(ctx, t.remote, src.content, srcOff, dst.content, dstOff, n)
	if m > 0 {
		dst.f.written(false)
	}
	return m, err
}
