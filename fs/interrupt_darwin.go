package fs

import "golang.org/x/sys/unix"

// dying reports whether the calling process is gone. macOS does not tell which
// signals are pending; macFUSE interrupts only for those that end the wait.
func dying(process uint32) bool {
	return process != 0 && unix.Kill(int(process), 0) == unix.ESRCH
}
