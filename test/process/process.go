package process

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"time"
)

// Process is a program that has been started. Its methods may be called from
// any goroutine.
type Process struct {
	cmd     *exec.Cmd
	journal *journal
	ended   chan struct{} // closed when it has been waited for
}

// Start starts cmd. What it writes is kept for Output, unless cmd says where
// else it goes.
//
// The goroutine that starts it keeps its thread until the program has ended:
// the kernel sends the parent-death signal when the thread that forked ends,
// not the process.
func Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, journal: newJournal(), ended: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.journal
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.journal
	}
	cmd.WaitDelay = time.Second // descendants may hold the pipe
	ownGroup(cmd)
	started := make(chan error)
	go func() {
		defer close(p.ended)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait()
			p.journal.end()
		}
	}()
	return p, <-started
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is the end of what the program has written.
func (p *Process) Output() string { return p.journal.String() }

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// State says how the program ended. Only valid when it has.
func (p *Process) State() string { return p.cmd.ProcessState.String() }

// Await waits until the program has written text.
func (p *Process) Await(text string, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		written, more := p.journal.look()
		if bytes.Contains(written, []byte(text)) {
			return nil
		}
		select {
		case <-more:
		case <-p.ended:
			return errors.New(p.State())
		case <-timer.C:
			return fmt.Errorf("%q was not written within %v", text, patience)
		}
	}
}

// Connects waits until the program accepts connections at addr.
func (p *Process) Connects(addr string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.ended:
			return errors.New(p.State())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Kill ends the program and all its descendants and waits for it.
func (p *Process) Kill() {
	freeze(p.PID())
	KillDescendants(p.PID())
	killGroup(p.PID())
	<-p.ended
}
