package sandboxd_test

import "golang.org/x/sys/unix"

// exchange swaps two names atomically.
func exchange(a, b string) error {
	return unix.RenameatxNp(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_SWAP)
}
