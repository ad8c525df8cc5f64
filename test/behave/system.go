package behave

import "time"

// System is a file system as programs see it. Paths are relative to its root,
// with slashes. Errors are, or wrap, the syscall.Errno that a program gets.
// Nothing follows a symbolic link in the last component, except Open.
type System interface {
	// Open is open(2) with its flags.
	Open(path string, flags int, perm uint32) (File, error)

	Lstat(path string) (Stat, error)
	Chmod(path string, perm uint32) error
	Chown(path string, uid, gid int) error // -1 leaves one as it is
	// Chtimes sets a time where it is not nil.
	Chtimes(path string, atime, mtime *time.Time) error
	Truncate(path string, size int64) error

	Mkdir(path string, perm uint32) error
	Rmdir(path string) error
	Unlink(path string) error
	// Rename is renameat2(2): with replace it may take the place of newPath.
	Rename(oldPath, newPath string, replace bool) error
	Link(oldPath, newPath string) error
	Symlink(text, path string) error
	Readlink(path string) (string, error)

	OpenDir(path string) (Dir, error)
	StatFS(path string) (StatFS, error)
}

// File is an open file. Read and Write go from its position; a file opened
// with O_APPEND writes at the end.
type File interface {
	Read(p []byte) (int, error) // 0, nil at the end
	Write(p []byte) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	WriteAt(p []byte, off int64) (int, error)
	Seek(off int64, whence int) (int64, error)
	Stat() (Stat, error)
	Chmod(perm uint32) error
	Chtimes(atime, mtime *time.Time) error
	Truncate(size int64) error
	Allocate(mode uint32, off, n int64) error
	CopyTo(dst File, srcOff, dstOff, n int64) (int64, error)
	Sync() error
	Close() error
}

// Dir is an open directory.
type Dir interface {
	// Next returns up to about max further names, with "." and ".."; none at
	// the end.
	Next(max int) ([]Name, error)
	// Rewind begins again, with a cookie of 0, or goes on behind the name
	// that had the cookie.
	Rewind(cookie int64) error
	Sync() error
	Close() error
}

// Name is an entry of a directory.
type Name struct {
	Name   string
	Type   uint32 // the type bits of st_mode
	Ino    uint64
	Cookie int64
}

// Stat is what stat(2) tells.
type Stat struct {
	Ino, Nlink          uint64
	Mode                uint32 // with the type bits
	UID, GID            uint32
	Size, Blocks        int64
	Atime, Mtime, Ctime time.Time
}

// Perm returns the permission bits.
func (s Stat) Perm() uint32 { return s.Mode & 0o7777 }

// StatFS is what statfs(2) tells.
type StatFS struct {
	BlockSize           int64
	Blocks, Free, Avail uint64
	NameMax             int64
}
