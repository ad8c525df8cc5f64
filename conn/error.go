package conn

import (
	"context"
	"errors"
	"fmt"
)

// Kind says what went wrong in the words of a file system and of a link. It is
// an error itself, so that errors.Is(err, conn.NotExist) works.
type Kind uint8

// The kinds of error. The adapter above has the one table that turns them into
// errno values.
const (
	Other        Kind = iota // an error without a better name: EIO
	NotExist                 // no such file or directory
	Exist                    // the name exists already
	Permission               // the server's user may not
	NotPermitted             // nobody may: EPERM
	NotDir                   // a path component is not a directory
	IsDir                    // the file is a directory
	NotEmpty                 // the directory has entries
	NoSpace                  // the file system is full
	Quota                    // the user's share is used up
	ReadOnly                 // the file system is read-only
	CrossDevice              // source and target are on different file systems
	LinkLoop                 // too many symbolic links
	NameTooLong              // the name or path is over the limit
	TooBig                   // the size is over what can be handled
	Invalid                  // an argument makes no sense
	BadHandle                // the handle is closed or of the wrong kind
	Busy                     // in use
	Unsupported              // the server or protocol has no such operation
	Stale                    // the file is not the one that was opened
	TimedOut                 // no answer within the bound
	NotConnected             // no connection, and none within the bound
	Gone                     // the sandbox does not exist any more
	Interrupted              // the caller was killed while it waited
	Closed                   // the session was closed on this side
	Protocol                 // the server said what the protocol forbids
	NoMemory                 // a bound of ours on memory was reached
	TooManyOpen              // a bound of ours on what is open was reached
	numKinds
)

var kindText = [numKinds]string{
	Other: "input/output error", NotExist: "no such file or directory", Exist: "file exists",
	Permission: "permission denied", NotPermitted: "operation not permitted", NotDir: "not a directory",
	IsDir: "is a directory", NotEmpty: "directory not empty", NoSpace: "no space left on the sandbox",
	Quota: "disk quota exceeded", ReadOnly: "read-only file system", CrossDevice: "on another file system",
	LinkLoop: "too many levels of symbolic links", NameTooLong: "file name too long", TooBig: "file too large",
	Invalid: "invalid argument", BadHandle: "bad file handle", Busy: "busy", Unsupported: "operation not supported",
	Stale: "stale file handle", TimedOut: "timed out", NotConnected: "not connected", Gone: "the sandbox is gone",
	Interrupted: "interrupted", Closed: "session closed", Protocol: "protocol error", NoMemory: "out of memory",
	TooManyOpen: "too many open files on the mount",
}

func (k Kind) Error() string {
	if k < numKinds {
		return kindText[k]
	}
	return fmt.Sprintf("error kind %d", uint8(k))
}

// Error is an operation that failed.
type Error struct {
	Op   string // the operation, in lower case: "rename"
	Path string // on the server; empty where none applies
	Kind Kind
	Err  error // what lies beneath, or nil; never holds a secret
}

func (e *Error) Error() string {
	s := e.Op
	if e.Path != "" {
		s += " " + e.Path
	}
	s += ": " + e.Kind.Error()
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// named is err with the path of the file that it is about, where it names none.
func named(err error, path string) error {
	e, ok := err.(*Error)
	if !ok || e.Path != "" || path == "" {
		return err
	}
	n := *e // others may hold it
	n.Path = path
	return &n
}

// Unwrap returns what lies beneath.
func (e *Error) Unwrap() error { return e.Err }

// Is makes an Error match its Kind.
func (e *Error) Is(target error) bool {
	k, ok := target.(Kind)
	return ok && k == e.Kind
}

// KindOf returns the kind of err: the outermost Error's or Kind in its chain.
// Contexts that ended are TimedOut or Interrupted.
func KindOf(err error) Kind {
	var e *Error
	var k Kind
	switch {
	case errors.As(err, &e):
		return e.Kind
	case errors.As(err, &k):
		return k
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, context.Canceled):
		return Interrupted
	}
	return Other
}
