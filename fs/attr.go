package fs

import (
	"context"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// blockSize is st_blksize. Standard I/O libraries buffer as much before they
// write, and each write is a request to this process.
const blockSize = 128 << 10

func (b *bridge) fillEntry(out *fuse.EntryOut, e *vfs.Entry) {
	out.NodeId = uint64(e.Node) // never used again for another file, so Generation stays 0
	out.SetEntryTimeout(e.Valid)
	if e.Node == 0 {
		return // a name that may be taken as missing for that long
	}
	out.SetAttrTimeout(e.Attr.Valid)
	b.fillAttr(&out.Attr, &e.Attr)
}

func (b *bridge) fillAttr(out *fuse.Attr, a *vfs.Attr) {
	out.Ino = a.Ino
	out.Size = uint64(a.Size)
	out.Blocks = uint64(a.Blocks)
	out.Mode = uint32(a.Mode&conn.TypeMask) | b.ids.perm(uint32(a.Mode.Perm()))
	out.Nlink = a.Nlink
	out.Uid, out.Gid = b.ids.owner(a.UID, a.GID)
	out.Blksize = blockSize
	out.SetTimes(&a.Atime, &a.Mtime, &a.Ctime)
}

// GetAttr returns a file's attributes, by its open handle where the caller has
// one.
func (b *bridge) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	var h *vfs.Handle
	if in.Flags()&fuse.FUSE_GETATTR_FH != 0 {
		h = b.files.get(in.Fh())
	}
	a, err := b.tree.GetAttr(r, vfs.NodeID(in.NodeId), h)
	if err != nil {
		return status(err)
	}
	b.fillAttr(&out.Attr, &a)
	out.SetTimeout(a.Valid)
	return fuse.OK
}

// SetAttr changes attributes, each alone or several at once, and returns what
// they are then.
func (b *bridge) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	set, err := b.wanted(&in.SetAttrInCommon)
	if err != nil {
		return status(err)
	}
	var h *vfs.Handle
	if fh, ok := in.GetFh(); ok {
		h = b.files.get(fh)
	}
	node := vfs.NodeID(in.NodeId)
	a, err := complete(r, func(ctx context.Context) (vfs.Attr, error) {
		return b.tree.SetAttr(ctx, node, h, set)
	}, nil)
	if err != nil {
		return status(err)
	}
	b.fillAttr(&out.Attr, &a)
	out.SetTimeout(a.Valid)
	return fuse.OK
}

func (b *bridge) wanted(in *fuse.SetAttrInCommon) (set vfs.SetAttr, err error) {
	if size, ok := in.GetSize(); ok {
		if size > 1<<63-1 {
			return set, conn.TooBig
		}
		set.Valid |= vfs.SetSize
		set.Size = int64(size)
	}
	if mode, ok := in.GetMode(); ok {
		set.Valid |= vfs.SetMode
		set.Mode = conn.Mode(mode)
	}
	if uid, ok := in.GetUID(); ok {
		set.Valid |= vfs.SetUID
		set.UID = b.ids.uid(uid)
	}
	if gid, ok := in.GetGID(); ok {
		set.Valid |= vfs.SetGID
		set.GID = b.ids.gid(gid)
	}
	if in.Valid&fuse.FATTR_ATIME != 0 {
		set.Valid |= vfs.SetAtime
		set.Atime = time.Unix(int64(in.Atime), int64(in.Atimensec))
		if in.Valid&fuse.FATTR_ATIME_NOW != 0 {
			set.Valid |= vfs.SetAtimeNow
		}
	}
	if in.Valid&fuse.FATTR_MTIME != 0 {
		set.Valid |= vfs.SetMtime
		set.Mtime = time.Unix(int64(in.Mtime), int64(in.Mtimensec))
		if in.Valid&fuse.FATTR_MTIME_NOW != 0 {
			set.Valid |= vfs.SetMtimeNow
		}
	}
	return set, nil
}

// Access answers access(2) and chdir(2) where the kernel does not check modes
// itself. The server decides when it comes to it; this is what the mode says
// of its login user, so that an editor knows beforehand that a file can't be
// written. The login user's further groups are not known: where only the group
// stands in the way, the answer is yes.
func (b *bridge) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	a, err := b.tree.GetAttr(r, vfs.NodeID(in.NodeId), nil)
	if err != nil {
		return status(err)
	}
	if b.ids.allows(uint32(a.Mode), a.UID, in.Mask) {
		return fuse.OK
	}
	return fuse.EACCES
}

// allows says whether the login user may have mask (R_OK, W_OK, X_OK) of a
// file with this mode and owner.
func (m *IDMap) allows(mode, uid, mask uint32) bool {
	mask &= 0o7
	switch {
	case !m.LoginKnown:
		return true
	case m.LoginUID == 0: // everything, except running what nobody may run
		return mask&fuse.X_OK == 0 || mode&0o111 != 0 || mode&syscall.S_IFMT == syscall.S_IFDIR
	case uid == m.LoginUID:
		return mode>>6&mask == mask
	}
	return (mode>>3|mode)&mask == mask
}

// StatFs returns the capacity of what the file lies on; zeros from a server
// that can't tell, as from file systems that have no such thing.
func (b *bridge) StatFs(cancel <-chan struct{}, h *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	r := b.request(cancel, h)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	s, err := b.tree.StatFS(r, vfs.NodeID(h.NodeId))
	if err != nil && vfs.KindOf(err) != conn.Unsupported {
		return status(err)
	}
	if s.BlockSize == 0 || s.BlockSize > 1<<30 {
		s = conn.StatFS{BlockSize: 4096} // nothing that programs could divide by
	}
	*out = fuse.StatfsOut{
		Blocks: s.Blocks, Bfree: s.BlocksFree, Bavail: s.BlocksAvail,
		Files: s.Files, Ffree: s.FilesFree,
		Bsize: uint32(s.BlockSize), Frsize: uint32(s.BlockSize), NameLen: nameMax,
	}
	return fuse.OK
}
