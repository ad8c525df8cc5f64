//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package conn

import "golang.org/x/sys/unix"

// routeSocket is told of addresses and routes: route(4).
func routeSocket() (int, error) {
	s, err := unix.Socket(unix.AF_ROUTE, unix.SOCK_RAW, unix.AF_UNSPEC)
	if err != nil {
		return -1, err
	}
	unix.CloseOnExec(s)
	if err := unix.SetNonblock(s, true); err != nil {
		_ = unix.Close(s)
		return -1, err
	}
	return s, nil
}
