package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/fs"
)

// failure is how a command ends that did not do what it was asked: what
// happened, what to do next, and the exit code. It travels from the daemon to
// the command that started it, so it holds no secret.
type failure struct {
	Code    exitCode `json:"code"`
	Message string   `json:"message"`
	Advice  string   `json:"advice,omitempty"`
}

func (f *failure) Error() string { return f.Message }

// failed makes a failure. What stands behind the message's first line break is
// the advice.
func failed(code exitCode, advice, format string, a ...any) *failure {
	return &failure{Code: code, Message: fmt.Sprintf(format, a...), Advice: advice}
}

func usage(format string, a ...any) *failure {
	return failed(exitUsage, "`sbxmount help` shows how it is used.", format, a...)
}

// report prints a failure as a person reads it. The message may hold words of
// the sandbox, and so is one line of printable characters.
func (f *failure) report(w io.Writer) {
	fmt.Fprintf(w, "sbxmount: %s\n", plain(f.Message))
	for line := range strings.Lines(f.Advice) {
		fmt.Fprintf(w, "  %s\n", plain(strings.TrimSuffix(line, "\n")))
	}
}

// asFailure finds the exit code and the advice of an error.
func asFailure(err error) *failure {
	var (
		f     *failure
		dial  *conn.DialError
		api   *sandbox.Error
		mount *fs.MountError
		op    *conn.Error
	)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.As(err, &dial):
		return dialFailure(dial)
	case errors.As(err, &api):
		return apiFailure(api)
	case errors.As(err, &mount):
		return mountFailure(mount)
	case errors.Is(err, context.Canceled):
		return failed(exitInterrupted, "", "interrupted")
	case errors.As(err, &op):
		return operationFailure(op)
	}
	return failed(exitFailed, "", "%v", err)
}

var dialCodes = map[conn.Reason]exitCode{
	conn.Network:         exitNetwork,
	conn.BadEndpoint:     exitNetwork,
	conn.SandboxNotFound: exitNotFound,
	conn.SandboxPaused:   exitNotFound,
	conn.Transitioning:   exitNetwork,
	conn.Forbidden:       exitAuth,
	conn.TooMany:         exitNetwork,
	conn.PortClosed:      exitPortClosed,
	conn.TLS:             exitNetwork,
	conn.HostKeyUnknown:  exitHostKey,
	conn.HostKeyChanged:  exitHostKey,
	conn.AuthFailed:      exitAuth,
	conn.NoSFTP:          exitRemote,
}

func dialFailure(e *conn.DialError) *failure {
	if errors.Is(e, context.Canceled) {
		return failed(exitInterrupted, "", "interrupted")
	}
	return failed(dialCodes[e.Reason], e.Advice, "%v", e)
}

// apiAnswers says what the provider's answer comes to and what to do.
var apiAnswers = map[sandbox.Reason]struct {
	code   exitCode
	advice string
}{
	sandbox.Unreachable:   {exitNetwork, "Look at this machine's network and proxy settings, and at E2B_API_URL if it is set."},
	sandbox.NotFound:      {exitNotFound, "`e2b sandbox list` shows this key's sandboxes; another team's needs that team's key in E2B_API_KEY."},
	sandbox.IsPaused:      {exitNotFound, "Resume it, or set E2B_API_KEY so that it is resumed on mount."},
	sandbox.NoKey:         {exitNotFound, "Set E2B_API_KEY, or log in with `e2b auth login`."},
	sandbox.Refused:       {exitAuth, "Look at E2B_API_KEY and at ~/.e2b/config.json: is the key of the right team?"},
	sandbox.Transitioning: {exitNetwork, "Wait some seconds and try again."},
	sandbox.TooMany:       {exitNetwork, "Wait a minute and try again."},
	sandbox.BadAnswer:     {exitNetwork, "Is there a login page or a proxy between here and the provider's API?"},
	sandbox.BadSpec:       {exitUsage, "A sandbox is written <id>[:<dir>], wss://host/[:<dir>] or ssh://[user@]host[:port][:<dir>]."},
}

func apiFailure(e *sandbox.Error) *failure {
	if e.Reason == sandbox.BadSpec && e.Err != nil {
		return failed(exitUsage, apiAnswers[e.Reason].advice, "not a sandbox: %v", e.Err)
	}
	return failed(apiAnswers[e.Reason].code, apiAnswers[e.Reason].advice, "%v", e)
}

func mountFailure(e *fs.MountError) *failure {
	code := exitFUSE
	if e.Reason == fs.BadMountpoint {
		code = exitMountpoint
	}
	return failed(code, e.Advice, "%v", e)
}

// operationFailure is an operation on the sandbox that failed where no program
// waits for its errno: the check of the directory, the last delivery.
func operationFailure(e *conn.Error) *failure {
	switch e.Kind {
	case conn.TimedOut, conn.NotConnected, conn.Closed, conn.Protocol:
		return failed(exitNetwork, "Look at the network; `sbxmount status` shows the link's state.", "%v", e)
	case conn.Gone:
		return failed(exitNotFound, "`e2b sandbox list` shows what is there.", "%v", e)
	case conn.NotExist, conn.NotDir:
		return failed(exitRemote, "Give a directory that exists on the sandbox behind the colon; without one it is the login user's home.", "%v", e)
	case conn.Permission:
		return failed(exitRemote, "Log in as a user who may enter it (-u).", "%v", e)
	}
	return failed(exitFailed, "", "%v", e)
}
