package behave

import (
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Kernel is the file system below a local directory, by system calls. It uses
// the calls themselves and not package os, whose files would be polled and
// whose retries would hide errors.
type Kernel struct{ Root string }

var _ System = Kernel{}

func (k Kernel) at(path string) string { return filepath.Join(k.Root, path) }

// Open implements System.
func (k Kernel) Open(path string, flags int, perm uint32) (File, error) {
	fd, err := unix.Open(k.at(path), flags|unix.O_CLOEXEC, perm)
	if err != nil {
		return nil, err
	}
	return kernelFile(fd), nil
}

// Lstat implements System.
func (k Kernel) Lstat(path string) (Stat, error) {
	var st unix.Stat_t
	if err := unix.Lstat(k.at(path), &st); err != nil {
		return Stat{}, err
	}
	return statOf(&st), nil
}

func statOf(st *unix.Stat_t) Stat {
	return Stat{
		Ino: st.Ino, Nlink: uint64(st.Nlink), Mode: st.Mode, UID: st.Uid, GID: st.Gid,
		Size: st.Size, Blocks: st.Blocks,
		Atime: time.Unix(st.Atim.Unix()), Mtime: time.Unix(st.Mtim.Unix()), Ctime: time.Unix(st.Ctim.Unix()),
	}
}

// Chmod implements System.
func (k Kernel) Chmod(path string, perm uint32) error { return unix.Chmod(k.at(path), perm) }

// Chown implements System.
func (k Kernel) Chown(path string, uid, gid int) error { return unix.Lchown(k.at(path), uid, gid) }

// Chtimes implements System.
func (k Kernel) Chtimes(path string, atime, mtime *time.Time) error {
	ts := []unix.Timespec{timespec(atime), timespec(mtime)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, k.at(path), ts, unix.AT_SYMLINK_NOFOLLOW)
}

func timespec(t *time.Time) unix.Timespec {
	if t == nil {
		return unix.Timespec{Nsec: unix.UTIME_OMIT}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// Truncate implements System.
func (k Kernel) Truncate(path string, size int64) error { return unix.Truncate(k.at(path), size) }

// Mkdir implements System.
func (k Kernel) Mkdir(path string, perm uint32) error { return unix.Mkdir(k.at(path), perm) }

// Rmdir implements System.
func (k Kernel) Rmdir(path string) error { return unix.Rmdir(k.at(path)) }

// Unlink implements System.
func (k Kernel) Unlink(path string) error { return unix.Unlink(k.at(path)) }

// Rename implements System.
func (k Kernel) Rename(oldPath, newPath string, replace bool) error {
	var flags uint = unix.RENAME_NOREPLACE
	if replace {
		flags = 0
	}
	return unix.Renameat2(unix.AT_FDCWD, k.at(oldPath), unix.AT_FDCWD, k.at(newPath), flags)
}

// Link implements System.
func (k Kernel) Link(oldPath, newPath string) error { return unix.Link(k.at(oldPath), k.at(newPath)) }

// Symlink implements System.
func (k Kernel) Symlink(text, path string) error { return unix.Symlink(text, k.at(path)) }

// Readlink implements System.
func (k Kernel) Readlink(path string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlink(k.at(path), buf)
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}

// OpenDir implements System.
func (k Kernel) OpenDir(path string) (Dir, error) {
	fd, err := unix.Open(k.at(path), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return kernelDir(fd), nil
}

// StatFS implements System.
func (k Kernel) StatFS(path string) (StatFS, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(k.at(path), &s); err != nil {
		return StatFS{}, err
	}
	return StatFS{BlockSize: s.Frsize, Blocks: s.Blocks, Free: s.Bfree, Avail: s.Bavail, NameMax: s.Namelen}, nil
}

type kernelFile int

func (f kernelFile) Read(p []byte) (int, error)               { return unix.Read(int(f), p) }
func (f kernelFile) Write(p []byte) (int, error)              { return unix.Write(int(f), p) }
func (f kernelFile) ReadAt(p []byte, off int64) (int, error)  { return unix.Pread(int(f), p, off) }
func (f kernelFile) WriteAt(p []byte, off int64) (int, error) { return unix.Pwrite(int(f), p, off) }
func (f kernelFile) Seek(off int64, whence int) (int64, error) {
	return unix.Seek(int(f), off, whence)
}
func (f kernelFile) Chmod(perm uint32) error   { return unix.Fchmod(int(f), perm) }
func (f kernelFile) Truncate(size int64) error { return unix.Ftruncate(int(f), size) }
func (f kernelFile) Sync() error               { return unix.Fsync(int(f)) }
func (f kernelFile) Close() error              { return unix.Close(int(f)) }

func (f kernelFile) Allocate(mode uint32, off, n int64) error {
	return unix.Fallocate(int(f), mode, off, n)
}

func (f kernelFile) CopyTo(dst File, srcOff, dstOff, n int64) (int64, error) {
	copied, err := unix.CopyFileRange(int(f), &srcOff, int(unwrap(dst).(kernelFile)), &dstOff, int(n), 0)
	return int64(copied), err
}

func (f kernelFile) Stat() (Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f), &st); err != nil {
		return Stat{}, err
	}
	return statOf(&st), nil
}

func (f kernelFile) Chtimes(atime, mtime *time.Time) error {
	ts := [2]unix.Timespec{timespec(atime), timespec(mtime)}
	return futimens(int(f), &ts)
}

type kernelDir int

func (d kernelDir) Next(max int) (names []Name, err error) {
	// A record takes its name and some 24 bytes; the kernel insists on room
	// for one at least.
	buf := make([]byte, 300+24*max)
	n, err := unix.ReadDirent(int(d), buf)
	if err != nil {
		return nil, err
	}
	for buf = buf[:n]; len(buf) > 0; {
		var e Name
		e, buf = parseDirent(buf)
		names = append(names, e)
	}
	return names, nil
}

func (d kernelDir) Rewind(cookie int64) error {
	_, err := unix.Seek(int(d), cookie, seekSet)
	return err
}
func (d kernelDir) Sync() error  { return unix.Fsync(int(d)) }
func (d kernelDir) Close() error { return unix.Close(int(d)) }
