package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/term"
)

// abandonAfter bounds how long a daemon may take to give up when its command
// was interrupted: it has a dial to cancel and a directory to remove.
const abandonAfter = 10 * time.Second

// child is a daemon that was started.
type child struct {
	mountState
	conn net.Conn // closing it ends a daemon that is Tied
	cmd  *exec.Cmd
}

// spawn starts a daemon and returns when its mount serves. Notes go to w.
func spawn(ctx context.Context, c *config, w io.Writer) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, failed(exitFailed, "", "this program's own file: %v", err)
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, failed(exitFailed, "", "starting the daemon: %v", err)
	}
	cmd := exec.Command(self, "serve", c.Mountpoint)
	cmd.Args[0] = "sbxmount"
	cmd.Dir = "/" // no directory is kept busy
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		ours.Close()
		return nil, failed(exitFailed, "", "starting the daemon: %v", err)
	}
	d := &child{conn: ours, cmd: cmd}
	// An interrupt closes the socket, which the daemon takes as the order to
	// give up.
	stop := context.AfterFunc(ctx, func() { ours.Close() })
	err = d.converse(ctx, c, w)
	if !stop() || err != nil {
		d.abandon()
		if ctx.Err() != nil {
			return nil, failed(exitInterrupted, "", "interrupted before the mount served")
		}
		return nil, err
	}
	if !c.Tied {
		ours.Close()
		_ = cmd.Process.Release()
	}
	return d, nil
}

// converse hands the config over and does what the daemon asks until it
// serves.
func (d *child) converse(ctx context.Context, c *config, w io.Writer) error {
	enc, dec := json.NewEncoder(d.conn), json.NewDecoder(d.conn)
	if err := enc.Encode(order{Config: c}); err != nil {
		return d.died(err)
	}
	for {
		var r reply
		if err := dec.Decode(&r); err != nil {
			return d.died(err)
		}
		switch {
		case r.Failure != nil:
			return r.Failure
		case r.Serving != nil:
			d.mountState = *r.Serving
			return nil
		case r.Ask != "":
			answer, err := askTerminal(ctx, r.Ask)
			if err := enc.Encode(order{Answer: answer, Refused: err != nil}); err != nil {
				return d.died(err)
			}
		case r.Note != "":
			noteTo(w)(r.Note)
		}
	}
}

func (d *child) died(err error) error {
	return failed(exitFailed, "Run it again with -f -v to see what happens.", "the daemon ended before the mount served (%v)", err)
}

// abandon waits for a daemon that gives up, and ends one that does not.
func (d *child) abandon() {
	d.conn.Close()
	ended := make(chan struct{})
	go func() { _ = d.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(abandonAfter):
		_ = d.cmd.Process.Kill()
		<-ended
	}
}

// askTerminal asks for a password where somebody sits in front of a terminal.
// What is typed is not shown.
func askTerminal(ctx context.Context, question string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNobodyAnswers
	}
	defer tty.Close()
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", errNobodyAnswers
	}
	fmt.Fprint(tty, question)
	type line struct {
		text []byte
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(int(tty.Fd()))
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		fmt.Fprintln(tty)
		return string(l.text), l.err
	case <-ctx.Done():
		_ = term.Restore(int(tty.Fd()), before)
		fmt.Fprintln(tty)
		return "", context.Cause(ctx)
	}
}

// canAsk reports whether a person is there to answer.
func canAsk() bool {
	return term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
}
