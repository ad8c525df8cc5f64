package behave

import (
	"bytes"
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// futimens is utimensat(2) without a path, which x/sys has no name for.
func futimens(fd int, ts *[2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// parseDirent reads one struct linux_dirent64 (getdents64(2)) and returns what
// follows it.
func parseDirent(b []byte) (Name, []byte) {
	length := binary.NativeEndian.Uint16(b[16:])
	name, _, _ := bytes.Cut(b[19:length], []byte{0})
	return Name{
		Ino: binary.NativeEndian.Uint64(b), Cookie: int64(binary.NativeEndian.Uint64(b[8:])),
		Type: uint32(b[18]) << 12, Name: string(name),
	}, b[length:]
}
