package process

import (
	"os/exec"
	"syscall"
)

// ownGroup puts a program in a process group of its own and ties its life to
// the calling thread.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
