package conn

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxUnsent is how much the kernel takes beyond what TCP has in flight. Its
// default is megabytes, behind which a small request would wait; the window in
// flight is not touched by it.
const maxUnsent = 2 * maxMessage

// setSocket prepares a TCP socket. What a kernel does not know it does without.
func setSocket(_, _ string, raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, maxUnsent)
	})
}
