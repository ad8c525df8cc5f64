package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// openFlags translates open(2)'s flags. What stays with the kernel (O_DIRECT,
// O_NOFOLLOW, O_SYNC's waiting ...) is left out. O_CREAT and O_EXCL come with
// CREATE only.
func openFlags(flags uint32) (f conn.OpenFlags) {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		f = conn.OpenRead
	case syscall.O_WRONLY:
		f = conn.OpenWrite
	default:
		f = conn.OpenRead | conn.OpenWrite
	}
	if flags&syscall.O_APPEND != 0 && f&conn.OpenWrite != 0 {
		f |= conn.OpenAppend
	}
	if flags&syscall.O_TRUNC != 0 && f&conn.OpenWrite != 0 {
		f |= conn.OpenTrunc
	}
	return f
}

func (b *bridge) fillOpen(out *fuse.OpenOut, h *vfs.Handle) {
	out.Fh = b.files.add(h)
	if h.KeepCache() {
		out.OpenFlags |= fuse.FOPEN_KEEP_CACHE
	}
	if h.Direct() {
		out.OpenFlags |= fuse.FOPEN_DIRECT_IO
	}
}

// Open opens a regular file.
func (b *bridge) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	node, flags := vfs.NodeID(in.NodeId), openFlags(in.Flags)
	h, err := complete(r, func(ctx context.Context) (*vfs.Handle, error) {
		return b.tree.Open(ctx, node, flags)
	}, (*vfs.Handle).Release)
	if err := b.stale.opened(in.Pid, err); err != nil {
		return status(err)
	}
	b.fillOpen(out, h)
	return fuse.OK
}

// created is what Create hands from the tree to the kernel.
type created struct {
	entry  vfs.Entry
	handle *vfs.Handle
}

// Create makes a regular file and opens it, or opens what is there already
// unless O_EXCL is given.
func (b *bridge) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if err := checkName(name); err != nil {
		return status(err)
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	flags := openFlags(in.Flags) | conn.OpenCreate
	if in.Flags&syscall.O_EXCL != 0 {
		flags |= conn.OpenExcl
	}
	caller, parent, mode := in.Owner, vfs.NodeID(in.NodeId), in.Mode
	defer b.stale.opened(in.Pid, nil)
	c, err := complete(r, func(ctx context.Context) (c created, err error) {
		c.entry, c.handle, err = b.tree.Create(ctx, parent, name, flags, conn.Mode(mode).Perm())
		if err == nil {
			b.giveAway(ctx, caller, parent, c.handle, mode, &c.entry)
		}
		return c, err
	}, func(c created) {
		c.handle.Release()
		b.tree.Forget(c.entry.Node, 1)
	})
	if err != nil {
		return status(err)
	}
	b.fillEntry(&out.EntryOut, &c.entry)
	b.fillOpen(&out.OpenOut, c.handle)
	return fuse.OK
}

// Read returns bytes of an open file; fewer than asked for only at its end.
func (b *bridge) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	h := b.files.get(in.Fh)
	if h == nil {
		return nil, fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return nil, tooMany
	}
	p, err := h.Read(r, buf, int64(in.Offset))
	if err != nil {
		return nil, status(err)
	}
	return fuse.ReadResultData(p), fuse.OK
}

// Write takes bytes of an open file; the handle says whether they go to the
// offset or to the end.
func (b *bridge) Write(cancel <-chan struct{}, in *fuse.WriteIn, p []byte) (uint32, fuse.Status) {
	h := b.files.get(in.Fh)
	if h == nil {
		return 0, fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return 0, tooMany
	}
	n, err := h.Write(r, p, int64(in.Offset))
	if n > 0 {
		err = nil // what was taken counts; the next write meets the error
	}
	return uint32(n), status(err)
}

// Flush is a close(2): it waits for what was written and reports what was
// lost. A killed program's data is delivered behind.
func (b *bridge) Flush(cancel <-chan struct{}, in *fuse.FlushIn) fuse.Status {
	h := b.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	r.closing = true
	return status(h.Flush(r))
}

// Fsync is an fsync(2) or fdatasync(2), which cost the same here.
func (b *bridge) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	h := b.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	return status(h.Sync(r))
}

// Release ends an open file. It never waits.
func (b *bridge) Release(_ <-chan struct{}, in *fuse.ReleaseIn) {
	if h := b.files.remove(in.Fh); h != nil {
		h.Release()
	}
}

// Fallocate reserves room, in the ways that the handle can do honestly.
func (b *bridge) Fallocate(cancel <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	h := b.files.get(in.Fh)
	if h == nil {
		return fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	mode, off, n := in.Mode, int64(in.Offset), int64(in.Length)
	return status(finishOnly(r, func(ctx context.Context) error { return h.Allocate(ctx, mode, off, n) }))
}

// The whence of lseek(2) that reaches a file system.
const (
	seekData = 3
	seekHole = 4
)

// Lseek finds data and holes. The protocol tells no holes, so that a file is
// data from its start to its end, with the hole that every file has there.
func (b *bridge) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	a, err := b.tree.GetAttr(r, vfs.NodeID(in.NodeId), b.files.get(in.Fh))
	if err != nil {
		return status(err)
	}
	switch {
	case in.Whence != seekData && in.Whence != seekHole:
		return fuse.EINVAL
	case in.Offset >= uint64(a.Size):
		return fuse.Status(syscall.ENXIO)
	case in.Whence == seekData:
		out.Offset = in.Offset
	default:
		out.Offset = uint64(a.Size)
	}
	return fuse.OK
}

// maxCopy is the most that one request says it copied: its answer has 32 bits.
const maxCopy = 1 << 30

// CopyFileRange copies between open files, on the server where that can.
func (b *bridge) CopyFileRange(cancel <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	src, dst := b.files.get(in.FhIn), b.files.get(in.FhOut)
	if src == nil || dst == nil {
		return 0, fuse.EBADF
	}
	if in.Flags != 0 {
		return 0, fuse.EINVAL
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return 0, tooMany
	}
	from, to, n := int64(in.OffIn), int64(in.OffOut), int64(min(in.Len, maxCopy))
	copied, err := complete(r, func(ctx context.Context) (int64, error) {
		return b.tree.CopyRange(ctx, src, from, dst, to, n)
	}, nil)
	return uint32(copied), status(err)
}

// Ioctl knows none.
func (b *bridge) Ioctl(<-chan struct{}, *fuse.IoctlIn, []byte, *fuse.IoctlOut, []byte) fuse.Status {
	return fuse.Status(syscall.ENOTTY)
}
