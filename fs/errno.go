package fs

import (
	"errors"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// errnos is the only place where errno numbers are chosen. What programs test
// for has the number that a local file system gives; what only a person reads
// has the words that fit best. ENOTCONN is not among them, though it would
// fit: it is how a mount whose daemon died looks. Nor is ENOSYS, by which the
// kernel learns never to ask again.
var errnos = map[vfs.Kind]syscall.Errno{
	conn.Other:        syscall.EIO,
	conn.NotExist:     syscall.ENOENT,
	conn.Exist:        syscall.EEXIST,
	conn.Permission:   syscall.EACCES,
	conn.NotPermitted: syscall.EPERM,
	conn.NotDir:       syscall.ENOTDIR,
	conn.IsDir:        syscall.EISDIR,
	conn.NotEmpty:     syscall.ENOTEMPTY,
	conn.NoSpace:      syscall.ENOSPC,
	conn.Quota:        syscall.EDQUOT,
	conn.ReadOnly:     syscall.EROFS,
	conn.CrossDevice:  syscall.EXDEV,
	conn.LinkLoop:     syscall.ELOOP,
	conn.NameTooLong:  syscall.ENAMETOOLONG,
	conn.TooBig:       syscall.EFBIG,
	conn.Invalid:      syscall.EINVAL,
	conn.BadHandle:    syscall.EBADF,
	conn.Busy:         syscall.EBUSY,
	conn.Unsupported:  syscall.EOPNOTSUPP,
	conn.Stale:        syscall.ESTALE,
	conn.TimedOut:     syscall.ETIMEDOUT,
	conn.NotConnected: syscall.EHOSTDOWN, // as CIFS says it
	conn.Gone:         syscall.ENODEV,
	conn.Interrupted:  syscall.EINTR,
	conn.Closed:       syscall.ESHUTDOWN,
	conn.Protocol:     syscall.EPROTO,
	conn.NoMemory:     syscall.ENOMEM,
	conn.TooManyOpen:  syscall.ENFILE, // the system's bound; EMFILE would be the program's
}

// errPanic stands for a panic that was logged.
var errPanic = errors.New("panic")

// Errno returns the number by which programs know err; 0 for nil. What is not
// among the table's kinds is EIO. It is exported for who uses a Tree without
// the kernel.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if errno, ok := errnos[vfs.KindOf(err)]; ok {
		return errno
	}
	return syscall.EIO
}

// status is err for the kernel.
func status(err error) fuse.Status { return fuse.Status(Errno(err)) }
