package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sbxmount/sbxmount/test/process"
)

// sshSystem does works by ssh alone, over a connection that is logged in: what
// is left is what the link and the server cost.
type sshSystem struct{ *lab }

func (s *sshSystem) Name() string      { return "ssh" }
func (s *sshSystem) Missing() error    { return nil }
func (s *sshSystem) Does(w *Work) bool { return w.SSH != "" }

// Start makes the connection that others go through (ControlMaster).
func (s *sshSystem) Start(ctx context.Context, site *Site) (Session, error) {
	socket := filepath.Join(s.temp, "mux")
	if err := os.RemoveAll(socket); err != nil { // the last master was killed
		return nil, err
	}
	master, err := process.Start(exec.Command(s.ssh, "-M", "-N", "-S", socket, "sandbox"))
	if err != nil {
		return nil, err
	}
	for {
		if exec.CommandContext(ctx, "ssh", "-S", socket, "-O", "check", "sandbox").Run() == nil {
			return &sshSession{master: master, command: s.ssh + " -S " + socket}, nil
		}
		select {
		case <-master.Ended():
			return nil, fmt.Errorf("ssh: %s: %s", master.State(), master.Output())
		case <-ctx.Done():
			master.Kill()
			return nil, errors.Join(errors.New("ssh does not connect"), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type sshSession struct {
	master  *process.Process
	command string
}

func (s *sshSession) Do(ctx context.Context, w *Work, site *Site) error {
	here := *site
	here.Env = append(here.Env, "SSH="+s.command)
	return here.run(ctx, site.Local, w.SSH)
}

// Usage is the master's, which encrypts, and its proxy's.
func (s *sshSession) Usage() process.Usage {
	return process.UsageOf(append(process.Descendants(s.master.PID()), s.master.PID())...)
}

func (s *sshSession) Stop() error {
	s.master.Kill()
	return nil
}
