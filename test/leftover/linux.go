//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of all descendants whose own
// parent ends, daemons included (prctl(2)).
func adoptOrphans() error {
	return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
}

// processes are the descendants that do not end within the grace; they are
// killed.
func processes() []string {
	deadline := time.Now().Add(grace)
	for len(alive()) > 0 && time.Now().Before(deadline) {
		reap()
		time.Sleep(50 * time.Millisecond)
	}
	var left []string
	for pids := alive(); len(pids) > 0; pids = alive() { // killing one may orphan others
		for _, pid := range pids {
			left = append(left, describe(pid))
			syscall.Kill(pid, syscall.SIGKILL)
		}
		for len(alive()) > 0 && !gone(pids) {
			reap()
			time.Sleep(10 * time.Millisecond)
		}
	}
	return left
}

// reap collects children that have ended. The command itself has been waited
// for.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

// alive are the children that still run.
func alive() []int {
	reap()
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if parent, state := status(pid); parent == os.Getpid() && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

func gone(pids []int) bool {
	for _, pid := range pids {
		if parent, _ := status(pid); parent == os.Getpid() {
			return false
		}
	}
	return true
}

// status reads a process's parent and state (proc_pid_stat(5)).
func status(pid int) (parent int, state string) {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(stat, ')') // the name before may hold anything
	if i < 0 {
		return 0, ""
	}
	fields := strings.Fields(string(stat[i+1:]))
	parent, _ = strconv.Atoi(fields[1])
	return parent, fields[0]
}

func describe(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return fmt.Sprintf("%d %s", pid, bytes.ReplaceAll(bytes.TrimRight(line, "\x00"), []byte{0}, []byte(" ")))
}

// mountsBelow are the mount points in a directory, the latest first
// (proc_pid_mountinfo(5)).
func mountsBelow(dir string) (points []string) {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			points = append([]string{strings.ReplaceAll(fields[4], `\040`, " ")}, points...)
		}
	}
	return points
}

func unmount(points []string) {
	for _, point := range points {
		if unix.Unmount(point, unix.MNT_DETACH) != nil {
			exec.Command("fusermount3", "-uz", point).Run()
		}
	}
}
