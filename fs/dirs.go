package fs

import (
	"context"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// OpenDir opens a directory for reading.
func (b *bridge) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	d, err := b.tree.OpenDir(r, vfs.NodeID(in.NodeId))
	if err != nil {
		return status(err)
	}
	out.Fh = b.dirs.add(d)
	return fuse.OK
}

// ReadDir returns names from a cookie on, as many as fit.
func (b *bridge) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return b.readDir(cancel, in, (*vfs.DirHandle).Read, func(e *vfs.DirEntry) bool {
		return out.AddDirEntry(direntOf(e))
	})
}

// ReadDirPlus returns names with their attributes, which spares the kernel a
// LOOKUP for each. As by a LOOKUP, the kernel gets a reference to each entry,
// except to "." and "..", which have no node in their entry: it knows them.
func (b *bridge) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return b.readDir(cancel, in, (*vfs.DirHandle).ReadPlus, func(e *vfs.DirEntry) bool {
		entry := out.AddDirLookupEntry(direntOf(e))
		if entry == nil {
			return false
		}
		b.fillEntry(entry, &e.Entry)
		return true
	})
}

func direntOf(e *vfs.DirEntry) fuse.DirEntry {
	return fuse.DirEntry{Name: e.Name, Mode: uint32(e.Mode), Ino: e.Ino, Off: e.Cookie}
}

type readDirFunc func(d *vfs.DirHandle, ctx context.Context, cookie uint64, emit func(*vfs.DirEntry) bool) error

func (b *bridge) readDir(cancel <-chan struct{}, in *fuse.ReadIn, read readDirFunc, emit func(*vfs.DirEntry) bool) fuse.Status {
	d := b.dirs.get(in.Fh)
	if d == nil {
		return fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	emitted := false
	err := read(d, r, in.Offset, func(e *vfs.DirEntry) bool {
		fits := emit(e)
		emitted = emitted || fits
		return fits
	})
	if emitted {
		// Their references are taken, so the kernel must get the entries. It
		// asks again behind the last one and meets the error then.
		return fuse.OK
	}
	return status(err)
}

// ReleaseDir ends the reading of a directory.
func (b *bridge) ReleaseDir(in *fuse.ReleaseIn) {
	if d := b.dirs.remove(in.Fh); d != nil {
		d.Release()
	}
}

// FsyncDir is an fsync(2) of a directory.
func (b *bridge) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	d := b.dirs.get(in.Fh)
	if d == nil {
		return fuse.EBADF
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	return status(d.Sync(r))
}
