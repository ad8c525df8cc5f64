package sftp

import (
	"errors"
	"fmt"
)

// ErrProtocol is in the chain of the error of a session whose server said what
// the protocol forbids.
var ErrProtocol = errors.New("the server broke the SFTP protocol")

// ErrClosed is the error of a session that was closed on this side.
var ErrClosed = errors.New("the session was closed")

// ErrTooLarge ends a listing that goes over its bound.
var ErrTooLarge = errors.New("the directory has too many entries")

// ErrUnsupported ends a request for which the server has no extension.
var ErrUnsupported = errors.New("the server has no such extension")

// StatusError is an SSH_FXP_STATUS other than OK and EOF.
type StatusError struct {
	Code    uint32
	Message string // from the server, at most some hundred bytes
}

func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Code, e.Message) }

// LostError ends a request whose session ended before its answer.
type LostError struct {
	Sent  bool // false: not a byte of it was sent
	Cause error
}

func (e *LostError) Error() string { return "session lost: " + e.Cause.Error() }

// Unwrap returns why the session ended.
func (e *LostError) Unwrap() error { return e.Cause }

func broken(what string) error { return fmt.Errorf("%w: %s", ErrProtocol, what) }
func brokenBy(err error) error { return fmt.Errorf("%w: %w", ErrProtocol, err) }
