package fs

import (
	"bufio"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Type is what the mount table calls a mount of ours.
const Type = "fuse." + fsType

// MountedAt returns the type of the file system that is mounted at point, ""
// where point is no mount point. It reads the mount table and touches nothing
// that could hang; point is absolute, without symbolic links.
func MountedAt(point string) (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("the mount table: %w", err)
	}
	defer f.Close()
	kind := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20) // as scanMountInfo
	for lines.Scan() {
		if i, ok := parseMountInfo(lines.Text()); ok && i.point == point {
			kind = i.fsType
		}
	}
	return kind, lines.Err()
}

// Usable reports whether this user can mount at all, so that nobody has to
// connect anywhere to be told. Errors are *MountError.
func Usable() error {
	if os.Geteuid() != 0 {
		if _, err := findHelper(); err != nil {
			return err
		}
	}
	// The helper opens the device with its caller's rights.
	fd, err := openFUSE()
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func detached(point string) *device {
	return &device{point: point, helper: os.Geteuid() != 0, own: -1}
}
