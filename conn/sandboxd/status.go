package sandboxd

import (
	"errors"
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Status codes, draft-ietf-secsh-filexfer-02, section 7.
const (
	fxOK               = 0
	fxEOF              = 1
	fxNoSuchFile       = 2
	fxPermissionDenied = 3
	fxFailure          = 4
	fxBadMessage       = 5
	fxUnsupported      = 8
)

var statusText = map[uint32]string{
	fxOK: "Success", fxEOF: "End of file", fxNoSuchFile: "No such file", fxPermissionDenied: "Permission denied",
	fxFailure: "Failure", fxBadMessage: "Bad message", fxUnsupported: "Operation unsupported",
}

// statusOf is sftp-server.c's errno_to_portable: the dozen errors without a
// code of their own are all failures.
func statusOf(err error) uint32 {
	var errno syscall.Errno
	switch {
	case err == nil:
		return fxOK
	case errors.Is(err, io.EOF):
		return fxEOF
	case errors.Is(err, errMalformed):
		return fxBadMessage
	case !errors.As(err, &errno):
		return fxFailure
	}
	switch errno {
	case unix.ENOENT, unix.ENOTDIR, unix.EBADF, unix.ELOOP:
		return fxNoSuchFile
	case unix.EPERM, unix.EACCES, unix.EFAULT:
		return fxPermissionDenied
	case unix.ENAMETOOLONG, unix.EINVAL:
		return fxBadMessage
	case unix.ENOSYS:
		return fxUnsupported
	}
	return fxFailure
}
