package behave

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// Tree runs the cases on a vfs.Tree. It does what the kernel does between a
// system call and a file system: it walks paths, follows links, keeps file
// positions, and refuses what a descriptor is not open for. It holds a
// reference to each inode on the way and gives it back, as the kernel does.
type Tree struct{ *vfs.Tree }

var _ System = Tree{}

// errno makes an error what the kernel would have made of it.
func errno(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w (%w)", fs.Errno(err), err)
}

// walked is an inode that a path leads to, with a reference.
type walked struct {
	node vfs.NodeID
	attr vfs.Attr
}

func (t Tree) drop(w walked) {
	if w.node != 0 && w.node != vfs.RootID {
		t.Forget(w.node, 1)
	}
}

const (
	maxLinks   = 40  // the kernel's bound on links in one path
	maxNameLen = 255 // NAME_MAX, which the adapter checks
)

func (t Tree) lookup(dir walked, name string) (walked, error) {
	if !dir.attr.Mode.IsDir() {
		return walked{}, syscall.ENOTDIR
	}
	if len(name) > maxNameLen {
		return walked{}, syscall.ENAMETOOLONG
	}
	e, err := t.Lookup(context.Background(), dir.node, name)
	if err != nil {
		return walked{}, errno(err)
	}
	if e.Node == 0 {
		return walked{}, syscall.ENOENT
	}
	return walked{e.Node, e.Attr}, nil
}

func (t Tree) root() (walked, error) {
	a, err := t.GetAttr(context.Background(), vfs.RootID, nil)
	return walked{vfs.RootID, a}, errno(err)
}

// walk returns what a path leads to; with follow also through a link at its
// end.
func (t Tree) walk(path string, follow bool) (walked, error) {
	links := 0
	at, err := t.root()
	if err != nil {
		return at, err
	}
	rest := strings.Split(path, "/")
	var dirs []walked // above at, for ".."
	defer func() {
		for _, d := range dirs {
			t.drop(d)
		}
	}()
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			if len(dirs) > 0 {
				t.drop(at)
				at, dirs = dirs[len(dirs)-1], dirs[:len(dirs)-1]
			}
			continue
		}
		next, err := t.lookup(at, name)
		if err != nil {
			t.drop(at)
			return walked{}, err
		}
		if !next.attr.Mode.IsSymlink() || len(rest) == 0 && !follow {
			dirs = append(dirs, at)
			at = next
			continue
		}
		text, err := t.Tree.Readlink(context.Background(), next.node)
		t.drop(next)
		if links++; err == nil && links > maxLinks {
			err = conn.LinkLoop
		}
		if err == nil && strings.HasPrefix(text, "/") {
			err = conn.NotExist // leads out of the tree
		}
		if err != nil {
			t.drop(at)
			return walked{}, errno(err)
		}
		rest = append(strings.Split(text, "/"), rest...)
	}
	return at, nil
}

// parent returns the directory of a path's last name, and that name.
func (t Tree) parent(path string) (walked, string, error) {
	path = strings.TrimRight(path, "/")
	dir, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, name = path[:i], path[i+1:]
	}
	w, err := t.walk(dir, true)
	switch {
	case err != nil:
	case !w.attr.Mode.IsDir():
		err = syscall.ENOTDIR
	case len(name) > maxNameLen:
		err = syscall.ENAMETOOLONG
	}
	if err != nil {
		t.drop(w)
		return walked{}, "", err
	}
	return w, name, nil
}

// in runs f on the directory and the name that a path ends in.
func (t Tree) in(path string, f func(dir vfs.NodeID, name string) error) error {
	dir, name, err := t.parent(path)
	if err != nil {
		return err
	}
	defer t.drop(dir)
	return errno(f(dir.node, name))
}

// on runs f on the inode that a path leads to.
func (t Tree) on(path string, f func(w walked) error) error {
	w, err := t.walk(path, false)
	if err != nil {
		return err
	}
	defer t.drop(w)
	return f(w)
}

// Open implements System. What was replaced between its lookup and its open is
// looked up again: the kernel does so once, and the adapter keeps names from
// being replaced meanwhile.
func (t Tree) Open(path string, flags int, perm uint32) (f File, err error) {
	for range 100 {
		if f, err = t.open(path, flags, perm); !errors.Is(err, syscall.ESTALE) {
			break
		}
	}
	return f, err
}

func (t Tree) open(path string, flags int, perm uint32) (File, error) {
	if flags&syscall.O_CREAT != 0 {
		if f, err := t.create(path, flags, perm); f != nil || err != nil {
			return f, err
		}
	}
	w, err := t.walk(path, true)
	if err != nil {
		return nil, err
	}
	if w.attr.Mode.IsDir() && flags&(syscall.O_ACCMODE|syscall.O_CREAT) != 0 {
		t.drop(w)
		return nil, syscall.EISDIR
	}
	h, err := t.Tree.Open(context.Background(), w.node, openFlags(flags))
	if err != nil {
		t.drop(w)
		return nil, errno(err)
	}
	return &treeFile{tree: t, node: w.node, handle: h, flags: flags}, nil
}

// create returns nil, nil where the path is there already and may be opened.
func (t Tree) create(path string, flags int, perm uint32) (File, error) {
	dir, name, err := t.parent(path)
	if err != nil {
		return nil, err
	}
	defer t.drop(dir)
	old, err := t.lookup(dir, name)
	if err == nil {
		t.drop(old)
		if flags&syscall.O_EXCL != 0 {
			return nil, syscall.EEXIST
		}
		return nil, nil
	}
	create := openFlags(flags) | conn.OpenCreate
	if flags&syscall.O_EXCL != 0 {
		create |= conn.OpenExcl
	}
	e, h, err := t.Tree.Create(context.Background(), dir.node, name, create, conn.Mode(perm))
	if err != nil {
		return nil, errno(err)
	}
	return &treeFile{tree: t, node: e.Node, handle: h, flags: flags}, nil
}

func openFlags(flags int) (f conn.OpenFlags) {
	switch flags & syscall.O_ACCMODE {
	case syscall.O_RDONLY:
		f = conn.OpenRead
	case syscall.O_WRONLY:
		f = conn.OpenWrite
	default:
		f = conn.OpenRead | conn.OpenWrite
	}
	if flags&syscall.O_APPEND != 0 {
		f |= conn.OpenAppend
	}
	if flags&syscall.O_TRUNC != 0 {
		f |= conn.OpenTrunc
	}
	return f
}

func statFrom(a vfs.Attr) Stat {
	return Stat{
		Ino: a.Ino, Nlink: uint64(a.Nlink), Mode: uint32(a.Mode), UID: a.UID, GID: a.GID,
		Size: a.Size, Blocks: a.Blocks, Atime: a.Atime, Mtime: a.Mtime, Ctime: a.Ctime,
	}
}

// Lstat implements System.
func (t Tree) Lstat(path string) (st Stat, err error) {
	err = t.on(path, func(w walked) error {
		a, err := t.GetAttr(context.Background(), w.node, nil)
		st = statFrom(a)
		return errno(err)
	})
	return st, err
}

func (t Tree) set(path string, set vfs.SetAttr) error {
	return t.on(path, func(w walked) error {
		if set.Valid&vfs.SetSize != 0 && w.attr.Mode.IsDir() {
			return syscall.EISDIR
		}
		_, err := t.SetAttr(context.Background(), w.node, nil, set)
		return errno(err)
	})
}

// Chmod implements System.
func (t Tree) Chmod(path string, perm uint32) error {
	return t.set(path, vfs.SetAttr{Valid: vfs.SetMode, Mode: conn.Mode(perm)})
}

// Chown implements System.
func (t Tree) Chown(path string, uid, gid int) error {
	set := vfs.SetAttr{UID: uint32(uid), GID: uint32(gid)}
	if uid >= 0 {
		set.Valid |= vfs.SetUID
	}
	if gid >= 0 {
		set.Valid |= vfs.SetGID
	}
	return t.set(path, set)
}

func setTimes(atime, mtime *time.Time) (set vfs.SetAttr) {
	if atime != nil {
		set.Valid |= vfs.SetAtime
		set.Atime = *atime
	}
	if mtime != nil {
		set.Valid |= vfs.SetMtime
		set.Mtime = *mtime
	}
	return set
}

// Chtimes implements System.
func (t Tree) Chtimes(path string, atime, mtime *time.Time) error {
	return t.set(path, setTimes(atime, mtime))
}

// Truncate implements System.
func (t Tree) Truncate(path string, size int64) error {
	if size < 0 {
		return syscall.EINVAL
	}
	return t.set(path, vfs.SetAttr{Valid: vfs.SetSize, Size: size})
}

// Mkdir implements System.
func (t Tree) Mkdir(path string, perm uint32) error {
	return t.in(path, func(dir vfs.NodeID, name string) error {
		e, err := t.Tree.Mkdir(context.Background(), dir, name, conn.Mode(perm))
		if err == nil {
			t.Forget(e.Node, 1)
		}
		return err
	})
}

// Rmdir implements System.
func (t Tree) Rmdir(path string) error {
	return t.in(path, func(dir vfs.NodeID, name string) error {
		return t.Tree.Rmdir(context.Background(), dir, name)
	})
}

// Unlink implements System.
func (t Tree) Unlink(path string) error {
	return t.in(path, func(dir vfs.NodeID, name string) error {
		return t.Tree.Unlink(context.Background(), dir, name)
	})
}

// Rename implements System.
func (t Tree) Rename(oldPath, newPath string, replace bool) error {
	return t.in(oldPath, func(dir vfs.NodeID, name string) error {
		return t.in(newPath, func(newDir vfs.NodeID, newName string) error {
			return t.Tree.Rename(context.Background(), dir, name, newDir, newName, replace)
		})
	})
}

// Link implements System.
func (t Tree) Link(oldPath, newPath string) error {
	return t.on(oldPath, func(w walked) error {
		if w.attr.Mode.IsDir() {
			return syscall.EPERM
		}
		return t.in(newPath, func(dir vfs.NodeID, name string) error {
			e, err := t.Tree.Link(context.Background(), w.node, dir, name)
			if err == nil {
				t.Forget(e.Node, 1)
			}
			return err
		})
	})
}

// Symlink implements System.
func (t Tree) Symlink(text, path string) error {
	return t.in(path, func(dir vfs.NodeID, name string) error {
		e, err := t.Tree.Symlink(context.Background(), dir, name, text)
		if err == nil {
			t.Forget(e.Node, 1)
		}
		return err
	})
}

// Readlink implements System.
func (t Tree) Readlink(path string) (text string, err error) {
	err = t.on(path, func(w walked) (err error) {
		if !w.attr.Mode.IsSymlink() {
			return syscall.EINVAL
		}
		text, err = t.Tree.Readlink(context.Background(), w.node)
		return errno(err)
	})
	return text, err
}

// StatFS implements System.
func (t Tree) StatFS(path string) (st StatFS, err error) {
	err = t.on(path, func(w walked) error {
		s, err := t.Tree.StatFS(context.Background(), w.node)
		st = StatFS{BlockSize: int64(s.BlockSize), Blocks: s.Blocks, Free: s.BlocksFree, Avail: s.BlocksAvail, NameMax: maxNameLen}
		return errno(err)
	})
	return st, err
}

// treeFile is an open file with a position.
type treeFile struct {
	tree   Tree
	node   vfs.NodeID
	handle *vfs.Handle
	flags  int

	mu  sync.Mutex // guards pos, and orders what moves it
	pos int64
}

func (f *treeFile) ReadAt(p []byte, off int64) (int, error) {
	if f.flags&syscall.O_ACCMODE == syscall.O_WRONLY {
		return 0, syscall.EBADF
	}
	got, err := f.handle.Read(context.Background(), p, off)
	return copy(p, got), errno(err)
}

func (f *treeFile) Read(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *treeFile) WriteAt(p []byte, off int64) (int, error) {
	if f.flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		return 0, syscall.EBADF
	}
	n, err := f.handle.Write(context.Background(), p, off)
	return n, errno(err)
}

func (f *treeFile) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	if st, serr := f.Stat(); f.flags&syscall.O_APPEND != 0 && serr == nil {
		f.pos = st.Size
	}
	return n, err
}

func (f *treeFile) Seek(off int64, whence int) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	switch whence {
	case seekSet:
	case seekCur:
		off += f.pos
	case seekEnd:
		off += st.Size
	default: // data and holes, which the adapter answers
		if off > st.Size {
			return 0, syscall.ENXIO
		}
		if whence == 4 {
			off = st.Size
		}
	}
	if off < 0 {
		return 0, syscall.EINVAL
	}
	f.pos = off
	return off, nil
}

func (f *treeFile) Stat() (Stat, error) {
	a, err := f.tree.GetAttr(context.Background(), f.node, f.handle)
	return statFrom(a), errno(err)
}

func (f *treeFile) set(set vfs.SetAttr) error {
	_, err := f.tree.SetAttr(context.Background(), f.node, f.handle, set)
	return errno(err)
}

func (f *treeFile) Chmod(perm uint32) error {
	return f.set(vfs.SetAttr{Valid: vfs.SetMode, Mode: conn.Mode(perm)})
}

func (f *treeFile) Chtimes(atime, mtime *time.Time) error { return f.set(setTimes(atime, mtime)) }

func (f *treeFile) Truncate(size int64) error {
	if f.flags&syscall.O_ACCMODE == syscall.O_RDONLY {
		return syscall.EINVAL
	}
	return f.set(vfs.SetAttr{Valid: vfs.SetSize, Size: size})
}

func (f *treeFile) Allocate(mode uint32, off, n int64) error {
	return errno(f.handle.Allocate(context.Background(), mode, off, n))
}

// CopyTo copies as the kernel does: by reading and writing where the file
// system can't.
func (f *treeFile) CopyTo(dst File, srcOff, dstOff, n int64) (int64, error) {
	to := unwrap(dst).(*treeFile)
	copied, err := f.tree.CopyRange(context.Background(), f.handle, srcOff, to.handle, dstOff, n)
	if vfs.KindOf(err) != conn.Unsupported || err == nil {
		return copied, errno(err)
	}
	buf := make([]byte, n)
	got, err := f.ReadAt(buf, srcOff)
	if err != nil || got == 0 {
		return 0, err
	}
	wrote, err := to.WriteAt(buf[:got], dstOff)
	return int64(wrote), err
}

func (f *treeFile) Sync() error { return errno(f.handle.Sync(context.Background())) }

func (f *treeFile) Close() error {
	err := f.handle.Flush(context.Background())
	f.handle.Release()
	f.tree.drop(walked{node: f.node})
	return errno(err)
}

// OpenDir implements System.
func (t Tree) OpenDir(path string) (Dir, error) {
	w, err := t.walk(path, true)
	if err == nil && !w.attr.Mode.IsDir() {
		err = syscall.ENOTDIR
	}
	if err != nil {
		t.drop(w)
		return nil, err
	}
	d, err := t.Tree.OpenDir(context.Background(), w.node)
	if err != nil {
		t.drop(w)
		return nil, errno(err)
	}
	return &treeDir{tree: t, node: w.node, handle: d}, nil
}

type treeDir struct {
	tree   Tree
	node   vfs.NodeID
	handle *vfs.DirHandle
	cookie uint64
	plain  bool // whether the next reading is without attributes
}

// Next reads with and without attributes by turns: both must tell the same,
// and the first gives a reference to each entry.
func (d *treeDir) Next(max int) (names []Name, err error) {
	var taken []vfs.NodeID // given back once the reading is over, as by the kernel
	defer func() {
		for _, id := range taken {
			d.tree.Forget(id, 1)
		}
	}()
	emit := func(e *vfs.DirEntry) bool {
		if len(names) == max {
			return false
		}
		names = append(names, Name{Name: e.Name, Type: uint32(e.Mode.Type()), Ino: e.Ino, Cookie: int64(e.Cookie)})
		d.cookie = e.Cookie
		if e.Entry.Node != 0 {
			if e.Entry.Attr.Ino != e.Ino || e.Entry.Attr.Mode.Type() != e.Mode.Type() {
				err = fmt.Errorf("%q: %+v does not agree with its attributes", e.Name, e)
			}
			taken = append(taken, e.Entry.Node)
		}
		return true
	}
	read := d.handle.ReadPlus
	if d.plain {
		read = d.handle.Read
	}
	d.plain = !d.plain
	if rerr := read(context.Background(), d.cookie, emit); rerr != nil {
		return names, errno(rerr)
	}
	return names, err
}

func (d *treeDir) Rewind(cookie int64) error {
	d.cookie = uint64(cookie)
	return nil
}

func (d *treeDir) Sync() error { return errno(d.handle.Sync(context.Background())) }

func (d *treeDir) Close() error {
	d.handle.Release()
	d.tree.drop(walked{node: d.node})
	return nil
}
