//go:build linux

package behave

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLocal runs the suite on a local file system: what fails here is wrong
// with the case.
func TestLocal(t *testing.T) {
	Run(t, Kernel{Root: t.TempDir()}, "", Traits{Root: os.Geteuid() == 0, Local: true, Umask: umask()})
}

// umask returns this process's.
func umask() uint32 {
	m := unix.Umask(0)
	unix.Umask(m)
	return uint32(m)
}
