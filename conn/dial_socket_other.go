//go:build !linux

package conn

import "syscall"

// setSocket leaves a TCP socket as it is.
func setSocket(_, _ string, _ syscall.RawConn) error { return nil }
