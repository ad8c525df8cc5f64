package fs

import "golang.org/x/sys/unix"

// Type is what the mount table calls a mount of ours.
const Type = "macfuse"

// MountedAt returns the type of the file system that is mounted at point, ""
// where point is no mount point. It reads the mount table and touches nothing
// that could hang; point is absolute, without symbolic links.
func MountedAt(point string) (string, error) {
	n, err := unix.Getfsstat(nil, unix.MNT_NOWAIT)
	if err != nil {
		return "", err
	}
	table := make([]unix.Statfs_t, n)
	if n, err = unix.Getfsstat(table, unix.MNT_NOWAIT); err != nil {
		return "", err
	}
	kind := ""
	for _, st := range table[:min(n, len(table))] {
		if unix.ByteSliceToString(st.Mntonname[:]) == point {
			kind = unix.ByteSliceToString(st.Fstypename[:])
		}
	}
	return kind, nil
}

// Usable reports whether this user can mount at all, as far as that is known
// without trying.
func Usable() error { return nil }

func detached(point string) *device { return &device{point: point} }
