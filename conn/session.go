package conn

import (
	"context"
	"errors"
	"io"
	"time"
)

// A session is SFTP on one channel. It answers every request that it was given
// exactly once. Mutations and metadata requests are carried out in the order
// in which they were started; reads may overtake one another.
//
// There are two: conn/internal/sftp, which pipelines, and pkg/sftp, the
// reference.
type session interface {
	// start takes r's place in the order. It never blocks and never calls
	// r.done by itself: that is called later, on a goroutine of the session,
	// for one request at a time. It must not be called again for the same r
	// before that.
	start(r *request)

	// withdraw takes a request back. True promises that it was not sent and
	// that done was not and will not be called.
	withdraw(r *request) bool

	// features says what the server can. Constant.
	features() features

	// close ends the session: it closes the channel, answers every request
	// that is not answered with a *lostError, and waits for its goroutines.
	// It may be called several times, and not from within done.
	close() error

	// ended is closed once the session is over, be it by close, a lost
	// connection or a reply that breaks the protocol, after every request was
	// answered.
	ended() <-chan struct{}

	// cause says why the session ended: a *lostError. Only once ended is closed.
	cause() error
}

// opener makes a session on a channel that speaks SFTP. ctx bounds the
// handshake alone. known is what another session with the same server was
// told, nil for the first one: who has it need not wait for the handshake and
// may send requests right behind it.
type opener func(ctx context.Context, channel io.ReadWriteCloser, known *features) (session, error)

// features is what a server told in its handshake.
type features struct {
	maxRead, maxWrite int // bytes of the largest READ and WRITE that are served whole
	maxHandles        int // open handles of one session; 0: not told
	posixRename       bool
	statvfs           bool
	hardlink          bool
	fsync             bool
	lsetstat          bool
	copyData          bool
	usersGroups       bool
	home              string // the login user's home directory, where the handshake told it
	homeAttr          Attr   // likewise
}

// handle is what a server calls an open file; opaque.
type handle string

// reqKind is the kind of a request: SFTP's own, extensions included, and
// listing as a whole.
type reqKind uint8

const (
	reqRealpath    reqKind = iota + 1 // path -> text
	reqLstat                          // path -> attr
	reqStat                           // path, following links -> attr
	reqFstat                          // handle -> attr
	reqList                           // path, max, -> listing; ends with NoMemory over its bound where max is 0
	reqReadlink                       // path -> text
	reqSetstat                        // path, set, following links
	reqLsetstat                       // path, set (lsetstat@openssh.com)
	reqFsetstat                       // handle, set
	reqMkdir                          // path, perm
	reqSymlink                        // path, to: the link's text
	reqLink                           // path: the existing name; to: the new one (hardlink@openssh.com)
	reqRename                         // path, to; never replaces
	reqPosixRename                    // path, to; replaces (posix-rename@openssh.com)
	reqUnlink                         // path
	reqRmdir                          // path
	reqStatvfs                        // path -> statfs, fsid
	reqOpen                           // path, flags, perm -> handle in answer
	reqClose                          // handle
	reqRead                           // handle, off, buf -> n; io.EOF with what there was before it
	reqWrite                          // handle, off, buf
	reqFsync                          // handle (fsync@openssh.com)
	reqCopy                           // handle, off, to handle dst, dstOff, size (copy-data); size 0 means nothing, not all
)

// request is one request to a session, and its answer.
type request struct {
	kind reqKind

	path, to string
	handle   handle
	dst      handle
	off      int64
	dstOff   int64
	size     int64
	max      int
	some     func(Listing) // as Remote.List has it; may be nil
	buf      []byte
	flags    OpenFlags
	perm     Mode
	set      SetAttr

	// The answer. err is nil, io.EOF, an *Error with its Kind (statusError
	// beneath where the server said so), or a *lostError.
	n       int // bytes read
	attr    Attr
	text    string
	listing Listing
	statfs  StatFS
	fsid    uint64
	opened  handle
	err     error

	done func(r *request)
	tag  any // the session's own
}

// A lostError is the end of a request whose session ended first.
type lostError struct {
	sent  bool  // false: it was never sent, so that it never took effect
	cause error // an *Error: NotConnected, Protocol or Closed
}

func (e *lostError) Error() string { return "connection lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// asLost returns err's *lostError, or nil.
func asLost(err error) *lostError {
	var l *lostError
	if errors.As(err, &l) {
		return l
	}
	return nil
}

// statusError is an error that the server reported in an SSH_FXP_STATUS.
type statusError struct {
	code    uint32 // SSH_FX_...
	message string // for people; from the server, so not to be trusted
}

// The status codes of SFTP version 3 (draft-ietf-secsh-filexfer-02, section 7).
const (
	fxOK               = 0
	fxEOF              = 1
	fxNoSuchFile       = 2
	fxPermissionDenied = 3
	fxFailure          = 4
	fxBadMessage       = 5
	fxNoConnection     = 6
	fxConnectionLost   = 7
	fxOpUnsupported    = 8
)

func (e *statusError) Error() string {
	if e.message == "" {
		return "the server reported a failure"
	}
	return "the server reported: " + printable(e.message)
}

// newStatusError makes the error of a request that the server refused.
func newStatusError(r *request, code uint32, message string) error {
	return &Error{Op: reqNames[r.kind], Path: r.path, Kind: statusKind(r, code, message), Err: &statusError{code, message}}
}

var reqNames = [...]string{
	reqRealpath: "realpath", reqLstat: "lstat", reqStat: "stat", reqFstat: "stat", reqList: "list",
	reqReadlink: "readlink", reqSetstat: "setattr", reqLsetstat: "setattr", reqFsetstat: "setattr",
	reqMkdir: "mkdir", reqSymlink: "symlink", reqLink: "link", reqRename: "rename", reqPosixRename: "rename",
	reqUnlink: "unlink", reqRmdir: "rmdir", reqStatvfs: "statfs", reqOpen: "open", reqClose: "close",
	reqRead: "read", reqWrite: "write", reqFsync: "fsync", reqCopy: "copy",
}

// handshakeTimeout bounds what precedes a session's first request: opening the
// channel and the exchange of versions.
const handshakeTimeout = 30 * time.Second

// statusOf returns the status beneath err, or nil.
func statusOf(err error) *statusError {
	var s *statusError
	errors.As(err, &s)
	return s
}
