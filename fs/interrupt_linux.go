package fs

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"syscall"
)

// dying reports whether a thread will not return to its program: it was killed
// and is on its way out, or a signal is pending that ends it. On a fatal signal the kernel puts SIGKILL among each
// thread's pending ones (complete_signal in kernel/signal.c); a signal that
// dumps core stays as it is until the thread takes it, which it can't while it
// waits for us.
//
// A thread of another pid namespace has no number here (0) and is taken to
// live: its operations end with their answer or with the link's bound.
func dying(thread uint32) bool {
	if thread == 0 {
		return false
	}
	dir := "/proc/" + strconv.FormatUint(uint64(thread), 10)
	status, err := os.ReadFile(dir + "/status")
	if err == nil && fatal(status) {
		return true
	}
	stat, statErr := os.ReadFile(dir + "/stat")
	if err = errors.Join(err, statErr); err != nil {
		return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	return killed(stat)
}

// killed reads /proc/<tid>/stat (proc_pid_stat(5)): whether the exit code,
// its last field, names a signal. One that exits by itself still waits for its
// files to be closed.
func killed(stat []byte) bool {
	_, rest, ok := bytes.Cut(stat, []byte(") ")) // the name before may hold blanks
	for ok && bytes.Contains(rest, []byte(") ")) {
		_, rest, _ = bytes.Cut(rest, []byte(") "))
	}
	fields := bytes.Fields(rest)
	if !ok || len(fields) < 50 {
		return false
	}
	code, err := strconv.Atoi(string(fields[49]))
	return err == nil && code&0x7f != 0
}

// signalSet is a set of signals as /proc shows it: bit n-1 is signal n.
type signalSet uint64

func setOf(signals ...syscall.Signal) (s signalSet) {
	for _, sig := range signals {
		s |= 1 << (sig - 1)
	}
	return s
}

// harmless are the signals whose default action ends nothing (signal(7)).
var harmless = setOf(syscall.SIGCHLD, syscall.SIGCONT, syscall.SIGURG, syscall.SIGWINCH,
	syscall.SIGSTOP, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU)

// fatal reads a thread's /proc/<tid>/status (proc_pid_status(5)).
func fatal(status []byte) bool {
	pending := signals(status, "SigPnd:") | signals(status, "ShdPnd:")
	if pending&setOf(syscall.SIGKILL) != 0 {
		return true
	}
	held := signals(status, "SigBlk:") | signals(status, "SigIgn:") | signals(status, "SigCgt:")
	return pending&^held&^harmless != 0
}

func signals(status []byte, field string) signalSet {
	_, rest, ok := bytes.Cut(status, []byte("\n"+field))
	if !ok {
		return 0
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 64)
	if err != nil {
		return 0
	}
	return signalSet(n)
}
