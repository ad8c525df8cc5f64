package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// mountCommand mounts: in a daemon, or with -f in this process.
func mountCommand(ctx context.Context, c *config, w io.Writer) error {
	if err := c.prepare(); err != nil {
		return err
	}
	if c.Foreground {
		return serveHere(ctx, c, w)
	}
	d, err := spawn(ctx, c, w)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s is mounted on %s\n", plain(d.Sandbox), plain(d.Mountpoint))
	return nil
}

// prepare makes a config whole.
func (c *config) prepare() error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Mountpoint == "" {
		return usage("the mount point is empty")
	}
	c.Link.fromEnvironment()
	c.Link.Interactive = canAsk()
	return c.absolute()
}

// unmountSignals deliver and unmount; a terminal that closes is no reason to
// lose data either.
var unmountSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// serveHere is the mount in the foreground.
func serveHere(ctx context.Context, c *config, w io.Writer) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unmountSignals...)
	signal.Ignore(syscall.SIGPIPE) // a terminal or pipe that went away takes no mount along
	d := newDaemon(c, askTerminal, noteTo(w))
	defer d.log.Close()
	if err := d.start(ctx); err != nil {
		return err
	}
	said := newLogQueue(w, func(int64) {}, func(error) {}) // from now on nobody may have to read it
	defer said.Close()
	d.note = noteTo(said)
	d.note(d.state.Sandbox + " is mounted on " + d.state.Mountpoint + "; Ctrl-C unmounts it")
	if f := d.run(signals, nil); f != nil {
		return f
	}
	return nil
}

// serveCommand is the daemon. Everything that it must know comes through the
// socket, the mount point in its arguments is for people who read `ps`.
func serveCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "serve <mountpoint>",
		Hidden: true,
		Args:   cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, c, err := meetStarter()
			if err != nil {
				return err
			}
			return serveDaemon(cmd.Context(), s, c)
		},
	}
}

func serveDaemon(ctx context.Context, s *starter, c *config) error {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unmountSignals...)
	unix.Umask(0o077)
	d := newDaemon(c, s.ask, func(text string) { s.tell(reply{Note: text}) })
	defer d.log.Close()

	// A command that was interrupted takes its order back.
	starting, started := context.WithCancel(ctx)
	defer started()
	forget := context.AfterFunc(s.gone, started)
	if err := d.start(starting); err != nil {
		s.tell(reply{Failure: asFailure(err)})
		return err
	}
	if !forget() { // gone in the last moment
		d.takeBack()
		return context.Canceled
	}
	var tied <-chan struct{}
	if c.Tied {
		tied = s.gone.Done()
	}
	s.ready(d.state, c.Tied)
	if f := d.run(signals, tied); f != nil {
		return f
	}
	return nil
}
