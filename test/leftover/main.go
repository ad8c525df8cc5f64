// Command leftover runs a command and fails if it leaves anything behind: a
// process, a mount, or a file in its temporary directory.
//
//	leftover [-limit 25m] -- go test ./...
//
// It is exact rather than a comparison of the whole machine, so that other
// users and other runs do not matter: it makes itself the reaper of all the
// command's orphans (PR_SET_CHILD_SUBREAPER), and gives the command a TMPDIR
// of its own. What is left is listed and then cleaned up. The exit code is the
// command's, or 1.
//
// On systems other than Linux it runs the command and checks its files alone.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// grace is how long a process may go on after the command has ended: a daemon
// that was told to stop a moment ago needs some time.
const grace = 5 * time.Second

func main() {
	limit := flag.Duration("limit", time.Hour, "end the command after this `time`")
	flag.Parse()
	if flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	code, err := run(flag.Args(), *limit)
	if err != nil {
		fmt.Fprintln(os.Stderr, "leftover:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run runs the command and cleans up behind it.
func run(args []string, limit time.Duration) (code int, err error) {
	temp, err := os.MkdirTemp("", "sbx")
	if err != nil {
		return 1, err
	}
	if err := adoptOrphans(); err != nil {
		return 1, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	code, runErr := await(cmd, limit)

	left := processes()
	mounts := mountsBelow(temp)
	unmount(mounts)
	files := remove(temp)
	return code, errors.Join(runErr, complaint("processes", left), complaint("mounts", mounts), complaint("files", files))
}

func complaint(what string, left []string) error {
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("%s left behind:\n\t%s", what, strings.Join(left, "\n\t"))
}

// await runs cmd to its end, which an interrupt or the limit hastens: both ask
// first, and kill later.
func await(cmd *exec.Cmd, limit time.Duration) (int, error) {
	if err := cmd.Start(); err != nil {
		return 1, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	var why error
	stop := time.After(limit)
	var kill <-chan time.Time
	for {
		select {
		case err := <-ended:
			if why == nil && cmd.ProcessState.ExitCode() < 0 {
				why = err
			}
			return cmd.ProcessState.ExitCode(), why
		case s := <-signals:
			why = fmt.Errorf("ended by %v", s)
		case <-stop:
			why = fmt.Errorf("not done within %v", limit)
		case <-kill:
			cmd.Process.Kill()
			continue
		}
		cmd.Process.Signal(syscall.SIGTERM)
		kill = time.After(grace)
	}
}

// remove takes the temporary directory away and names what was in it.
func remove(temp string) (left []string) {
	entries, err := os.ReadDir(temp)
	if err != nil {
		return []string{err.Error()}
	}
	for _, entry := range entries {
		left = append(left, filepath.Join(temp, entry.Name()))
	}
	if still := mountsBelow(temp); len(still) > 0 {
		return append(left, "not removed, since still mounted: "+strings.Join(still, " "))
	}
	if err := os.RemoveAll(temp); err != nil {
		left = append(left, err.Error())
	}
	return left
}
