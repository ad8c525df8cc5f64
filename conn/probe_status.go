package conn

import "strings"

// statusKind turns a server's status into a Kind as far as the status alone
// tells. OpenSSH folds errno values (sftp-server.c, errno_to_portable): ENOENT,
// ENOTDIR, EBADF and ELOOP are NO_SUCH_FILE; EPERM, EACCES and EFAULT are
// PERMISSION_DENIED; ENAMETOOLONG and EINVAL are BAD_MESSAGE; all else is
// FAILURE, which probe.go looks into.
func statusKind(r *request, code uint32, message string) Kind {
	switch code {
	case fxNoSuchFile:
		if r.path == "" {
			return BadHandle
		}
		return NotExist
	case fxPermissionDenied:
		return denied(r)
	case fxBadMessage:
		if tooLong(r.path) || tooLong(r.to) {
			return NameTooLong
		}
		return Invalid
	case fxOpUnsupported:
		return Unsupported
	case fxNoConnection, fxConnectionLost:
		return NotConnected
	case fxFailure:
		return messageKind(message)
	case fxOK, fxEOF:
		return Protocol
	}
	return Other
}

// denied tells EPERM from EACCES by what each system call gives to who is not
// the owner.
func denied(r *request) Kind {
	switch r.kind {
	case reqSetstat, reqLsetstat, reqFsetstat:
		if r.set.Valid&^SetSize != 0 {
			return NotPermitted
		}
	case reqLink:
		return NotPermitted
	}
	return Permission
}

// The limits of Linux: NAME_MAX and PATH_MAX.
const (
	nameMax = 255
	pathMax = 4096
)

func tooLong(path string) bool {
	if len(path) >= pathMax {
		return true
	}
	for name := range strings.SplitSeq(path, "/") {
		if len(name) > nameMax {
			return true
		}
	}
	return false
}

// messageKinds are texts of strerror, which servers other than OpenSSH put
// into the message of a FAILURE.
var messageKinds = []struct {
	text string
	kind Kind
}{
	{"no space left", NoSpace},
	{"quota exceeded", Quota},
	{"directory not empty", NotEmpty},
	{"file exists", Exist},
	{"already exists", Exist},
	{"is a directory", IsDir},
	{"not a directory", NotDir},
	{"read-only file system", ReadOnly},
	{"cross-device link", CrossDevice},
	{"too many levels of symbolic links", LinkLoop},
	{"name too long", NameTooLong},
	{"file too large", TooBig},
	{"invalid argument", Invalid},
	{"resource busy", Busy},
	{"text file busy", Busy},
	{"operation not supported", Unsupported},
}

func messageKind(message string) Kind {
	message = strings.ToLower(message)
	for _, m := range messageKinds {
		if strings.Contains(message, m.text) {
			return m.kind
		}
	}
	return Other
}
