package faults

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// A shell on a sandbox tells a client which process serves its connection, and
// ends that of an old one. This one has no processes: connections get numbers
// in their place, and two kinds of command are understood by their looks.

// firstPID is far from 1, which no client may take for its own.
const firstPID = 1000

var (
	asksParent = regexp.MustCompile(`\$PPID\b`)
	asksKill   = regexp.MustCompile(`(?s)\bp=(\d+)\b.*\bkill -9 `)
)

// shell runs a command: one that asks for $PPID prints "sbxmount", the
// connection's process, the user and the group, and a line of /proc/<pid>/stat
// as proc_pid_stat(5) has it; one that sets p to a number and kills ends that
// connection and returns when nothing of it is carried out any more.
func (r *Running) shell(ctx context.Context, e sandboxd.Exec) int {
	if m := asksKill.FindStringSubmatch(e.Command); m != nil {
		pid, _ := strconv.Atoi(m[1])
		return r.kill(ctx, pid)
	}
	if !asksParent.MatchString(e.Command) {
		_, _ = fmt.Fprintln(e.Stderr, "sh: not found")
		return 127
	}
	pid := r.pid(e.Conn)
	rest := slices.Repeat([]string{"0"}, 50)
	rest[19] = strconv.Itoa(pid) // start time: field 22, of which the first here is the third
	_, _ = fmt.Fprintf(e.Stdout, "sbxmount %d %d %d\n%d (sshd) %s\n",
		pid, os.Getuid(), os.Getgid(), pid, strings.Join(rest, " "))
	return 0
}

// pid returns the number of a connection.
func (r *Running) pid(c *sandboxd.Conn) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.pids[c]; !ok {
		r.pids[c] = firstPID + len(r.pids)
	}
	return r.pids[c]
}

// kill ends a connection and waits for its sessions.
func (r *Running) kill(ctx context.Context, pid int) int {
	var victim *sandboxd.Conn
	r.mu.Lock()
	for c, p := range r.pids {
		if p == pid {
			victim = c
		}
	}
	r.mu.Unlock()
	if victim == nil {
		return 0 // it has long gone
	}
	r.faulted("kill")
	victim.Reset()
	select {
	case <-victim.Done():
		return 0
	case <-ctx.Done():
		return 1
	}
}
