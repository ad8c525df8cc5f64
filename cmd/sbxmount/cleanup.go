package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sbxmount/sbxmount/fs"
	"golang.org/x/sys/unix"
)

// sweep returns the mounts whose daemon lives, and cleans up after the others:
// their mount points come out of the mount table and their state is removed.
// told says of each what happened.
func sweep(told func(string)) (living, dead []*mountRef, err error) {
	all, err := allMounts()
	for _, m := range all {
		if m.alive() && !m.dying() {
			living = append(living, m)
			continue
		}
		if note := m.bury(); note != "" {
			dead = append(dead, m)
			told(note)
		}
	}
	return living, dead, err
}

// livingMounts is sweep for those who want to know of the living alone.
func livingMounts(told func(string)) ([]*mountRef, error) {
	living, _, err := sweep(told)
	return living, err
}

// dying reports whether the lock is that of a dead process, once the kernel has
// let go of it.
func (m *mountRef) dying() bool {
	return processEnded(m.state.PID) && m.endedSoon(context.Background())
}

// processEnded reports whether a process is gone, dead and not waited for, or
// was killed and is about to be.
func processEnded(pid int) bool {
	if pid <= 0 {
		return false // the state was written by hand
	}
	if errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // Linux alone has it
	if err != nil {
		return false
	}
	// proc_pid_stat(5), from the third field on; a name may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const state, flags, pending = 3 - 3, 9 - 3, 31 - 3
	if len(fields) <= pending {
		return false
	}
	flagBits, _ := strconv.ParseUint(fields[flags], 10, 64)
	signals, _ := strconv.ParseUint(fields[pending], 10, 64)
	const exiting = 0x4 | 0x400 // PF_EXITING, PF_SIGNALED
	return fields[state] == "Z" || fields[state] == "X" || flagBits&exiting != 0 ||
		signals&(1<<(unix.SIGKILL-1)) != 0
}

// bury cleans up after a daemon that ended without doing so, and says what it
// found; "" where somebody else was faster.
func (m *mountRef) bury() string {
	c, err := lockDir(m.dir)
	if err != nil {
		return ""
	}
	defer c.release()
	if m.read() != nil {
		return "" // it ended in order, just now
	}
	s := m.state
	note := fmt.Sprintf("the daemon of %s (pid %d) had ended without unmounting", s.Mountpoint, s.PID)
	if s.Log != "" {
		dropCrashFile(s.Log)
		note += "; its log is " + s.Log
	}
	if err := clearStale(s.Mountpoint); err != nil {
		return note + "; " + err.Error()
	}
	return note + ". It is cleaned up."
}

// clearStale takes a mount of ours that nobody serves out of the mount table.
func clearStale(point string) error {
	kind, err := fs.MountedAt(point)
	if err != nil || kind != fs.Type {
		return err
	}
	return fs.Detach(point)
}

// findMount returns the living mount at a mount point that a person named. It
// ends with errCleanedUp where there was a dead one, with errNotMounted where
// there was none.
func findMount(path string, told func(string)) (*mountRef, error) {
	point, err := resolvePoint(path)
	if err != nil {
		return nil, err
	}
	living, dead, err := sweep(told)
	if err != nil {
		return nil, err
	}
	at := func(m *mountRef) bool { return m.state.Mountpoint == point }
	if i := slices.IndexFunc(living, at); i >= 0 {
		return living[i], nil
	}
	if slices.ContainsFunc(dead, at) {
		return nil, errCleanedUp
	}
	return nil, errNotMounted
}

// Mount points without a living mount of this user's.
var (
	errNotMounted = errors.New("not mounted")
	errCleanedUp  = errors.New("not mounted any more")
)

func notMounted(path string) *failure {
	return failed(exitMountpoint, "`sbxmount list` shows every mount of this user.", "%s is not mounted by sbxmount", path)
}
