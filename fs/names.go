package fs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// nameMax is the longest name of Linux file systems, in bytes. The kernel lets
// longer ones through to FUSE.
const nameMax = 255

func checkName(name string) error {
	if len(name) > nameMax {
		return conn.NameTooLong
	}
	return nil
}

// Lookup finds a name in a directory.
func (b *bridge) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if err := checkName(name); err != nil {
		return status(err)
	}
	r := b.request(cancel, h)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	b.stale.lookup(h.Pid)
	e, err := b.tree.Lookup(r, vfs.NodeID(h.NodeId), name)
	if err != nil {
		return status(err)
	}
	b.fillEntry(out, &e)
	return fuse.OK
}

// Forget drops references that Lookup and its like gave. It never waits.
// go-fuse takes batches apart.
func (b *bridge) Forget(node, n uint64) { b.tree.Forget(vfs.NodeID(node), n) }

// Mknod makes an empty regular file, which is how NFS and old programs create;
// the protocol has no other kinds to make.
func (b *bridge) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	switch in.Mode & syscall.S_IFMT {
	case 0, syscall.S_IFREG:
	case syscall.S_IFIFO, syscall.S_IFSOCK, syscall.S_IFCHR, syscall.S_IFBLK:
		return fuse.EPERM // as mknod(2) has it for a file system without that type
	default:
		return fuse.EINVAL
	}
	return b.make(cancel, &in.InHeader, name, in.Mode, out, func(ctx context.Context, parent vfs.NodeID, perm conn.Mode) (vfs.Entry, error) {
		e, h, err := b.tree.Create(ctx, parent, name, conn.OpenWrite|conn.OpenCreate|conn.OpenExcl, perm)
		if err == nil {
			h.Release()
		}
		return e, err
	})
}

// Mkdir makes a directory.
func (b *bridge) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return b.make(cancel, &in.InHeader, name, in.Mode|syscall.S_IFDIR, out, func(ctx context.Context, parent vfs.NodeID, perm conn.Mode) (vfs.Entry, error) {
		return b.tree.Mkdir(ctx, parent, name, perm)
	})
}

// Symlink makes a symbolic link.
func (b *bridge) Symlink(cancel <-chan struct{}, h *fuse.InHeader, text, name string, out *fuse.EntryOut) fuse.Status {
	return b.make(cancel, h, name, syscall.S_IFLNK|0o777, out, func(ctx context.Context, parent vfs.NodeID, _ conn.Mode) (vfs.Entry, error) {
		return b.tree.Symlink(ctx, parent, name, text)
	})
}

// make runs what makes a new inode, whose reference the kernel gets, and gives
// it to the caller where the mapping asks for that.
func (b *bridge) make(cancel <-chan struct{}, h *fuse.InHeader, name string, mode uint32, out *fuse.EntryOut,
	build func(ctx context.Context, parent vfs.NodeID, perm conn.Mode) (vfs.Entry, error)) fuse.Status {
	if err := checkName(name); err != nil {
		return status(err)
	}
	r := b.request(cancel, h)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	caller, parent := h.Owner, vfs.NodeID(h.NodeId)
	e, err := complete(r, func(ctx context.Context) (vfs.Entry, error) {
		e, err := build(ctx, parent, conn.Mode(mode).Perm())
		if err == nil {
			b.giveAway(ctx, caller, parent, nil, mode, &e)
		}
		return e, err
	}, func(e vfs.Entry) { b.tree.Forget(e.Node, 1) })
	if err != nil {
		return status(err)
	}
	b.fillEntry(out, &e)
	return fuse.OK
}

// giveAway makes what root's login created on the sandbox the caller's, as if
// the caller had created it there: the group is the directory's where that is
// set-gid. What fails is logged, since the file was created all the same.
func (b *bridge) giveAway(ctx context.Context, caller fuse.Owner, parent vfs.NodeID, h *vfs.Handle, mode uint32, e *vfs.Entry) {
	if !b.ids.givesAway(caller.Uid, caller.Gid) {
		return
	}
	set := vfs.SetAttr{Valid: vfs.SetUID | vfs.SetGID, UID: caller.Uid, GID: caller.Gid}
	if dir, err := b.tree.GetAttr(ctx, parent, nil); err == nil && dir.Mode&syscall.S_ISGID != 0 {
		set.GID = e.Attr.GID
	}
	if mode&syscall.S_IFMT != syscall.S_IFDIR && mode&(syscall.S_ISUID|syscall.S_ISGID) != 0 {
		// The server's chown takes these bits away, and it sets modes before
		// owners: a second change puts them back.
		defer b.change(ctx, e, h, vfs.SetAttr{Valid: vfs.SetMode, Mode: conn.Mode(mode).Perm()})
	}
	b.change(ctx, e, h, set)
}

func (b *bridge) change(ctx context.Context, e *vfs.Entry, h *vfs.Handle, set vfs.SetAttr) {
	a, err := b.tree.SetAttr(ctx, e.Node, h, set)
	if err != nil {
		b.log.Warn("a new file could not be given to its creator", "uid", set.UID, "gid", set.GID, "err", err)
		return
	}
	e.Attr = a
}

// Link gives a file another name.
func (b *bridge) Link(cancel <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if err := checkName(name); err != nil {
		return status(err)
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	old, parent := vfs.NodeID(in.Oldnodeid), vfs.NodeID(in.NodeId)
	e, err := complete(r, func(ctx context.Context) (vfs.Entry, error) {
		return b.tree.Link(ctx, old, parent, name)
	}, func(e vfs.Entry) { b.tree.Forget(e.Node, 1) })
	if err != nil {
		return status(err)
	}
	b.fillEntry(out, &e)
	return fuse.OK
}

// Readlink returns a symbolic link's text.
func (b *bridge) Readlink(cancel <-chan struct{}, h *fuse.InHeader) ([]byte, fuse.Status) {
	r := b.request(cancel, h)
	defer r.finish()
	if r.refused {
		return nil, tooMany
	}
	text, err := b.tree.Readlink(r, vfs.NodeID(h.NodeId))
	return []byte(text), status(err)
}

// Unlink removes a name that is no directory.
func (b *bridge) Unlink(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	parent := vfs.NodeID(h.NodeId)
	return b.remove(cancel, h, name, func(ctx context.Context) error { return b.tree.Unlink(ctx, parent, name) })
}

// Rmdir removes an empty directory.
func (b *bridge) Rmdir(cancel <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	parent := vfs.NodeID(h.NodeId)
	return b.remove(cancel, h, name, func(ctx context.Context) error { return b.tree.Rmdir(ctx, parent, name) })
}

func (b *bridge) remove(cancel <-chan struct{}, h *fuse.InHeader, name string, remove func(context.Context) error) fuse.Status {
	if err := checkName(name); err != nil {
		return status(err)
	}
	r := b.request(cancel, h)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	b.stale.standBack(r)
	return status(finishOnly(r, remove))
}

// finishOnly is complete for a change that gives nothing back.
func finishOnly(r *request, change func(context.Context) error) error {
	_, err := complete(r, func(ctx context.Context) (struct{}, error) { return struct{}{}, change(ctx) }, nil)
	return err
}

// The flags of renameat2(2).
const (
	renameNoReplace = 1 << 0
	renameExchange  = 1 << 1
)

// Rename moves a name, over what is there unless RENAME_NOREPLACE is given.
// The protocol can't exchange two names at once, nor leave a whiteout.
func (b *bridge) Rename(cancel <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags&^renameNoReplace != 0 {
		return fuse.EINVAL // as renameat2(2) has it for a file system without that flag
	}
	if err := checkName(newName); err != nil {
		return status(err)
	}
	r := b.request(cancel, &in.InHeader)
	defer r.finish()
	if r.refused {
		return tooMany
	}
	b.stale.standBack(r)
	from, to, replace := vfs.NodeID(in.NodeId), vfs.NodeID(in.Newdir), in.Flags&renameNoReplace == 0
	_, err := complete(r, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, b.tree.Rename(ctx, from, oldName, to, newName, replace)
	}, func(struct{}) { b.tree.RenamedUnheard(to, newName) })
	return status(err)
}
