package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sbxmount/sbxmount/fs"
	"golang.org/x/sys/unix"
)

func umountCommand() *cobra.Command {
	force := false
	c := &cobra.Command{
		Use:     "umount <mountpoint>",
		Aliases: []string{"unmount"}, // else it would be taken for a sandbox
		Short:   "Deliver what was written, then unmount",
		Long: `umount delivers everything that was written to the sandbox and unmounts. Where
something can't be delivered, or programs still use the mount, it says so and
changes nothing. With --force it unmounts whatever happens, also with a dead
link or a dead daemon, and says what was not delivered.`,
		Args:              exactArgs(1, "umount [--force] <mountpoint>"),
		ValidArgsFunction: completeMountpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			return umount(cmd.Context(), args[0], force, cmd.ErrOrStderr())
		},
	}
	c.Flags().BoolVarP(&force, "force", "f", false, "unmount whatever happens")
	return c
}

func syncCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "sync <mountpoint>",
		Short:             "Return when everything written is on the sandbox",
		Args:              exactArgs(1, "sync <mountpoint>"),
		ValidArgsFunction: completeMountpoint,
		RunE: func(cmd *cobra.Command, args []string) error {
			return syncMount(cmd.Context(), args[0], cmd.ErrOrStderr())
		},
	}
}

func syncMount(ctx context.Context, path string, w io.Writer) error {
	m, err := namedMount(path, w)
	if err != nil {
		return err
	}
	err = deliver(ctx, m, "/sync", w)
	if errors.Is(err, errGone) {
		return syncMount(ctx, path, w)
	}
	return err
}

// namedMount is the living mount that a person named.
func namedMount(path string, w io.Writer) (*mountRef, error) {
	m, err := findMount(path, noteTo(w))
	if errors.Is(err, errNotMounted) || errors.Is(err, errCleanedUp) {
		return nil, notMounted(path)
	}
	return m, err
}

func noteTo(w io.Writer) func(string) {
	return func(text string) { fmt.Fprintf(w, "sbxmount: %s\n", plain(text)) }
}

// forcedWithin is how long a forced unmount may take a daemon that is well.
const forcedWithin = forcedDelivery + 2*closeTime

func umount(ctx context.Context, path string, force bool, w io.Writer) error {
	m, err := findMount(path, noteTo(w))
	switch {
	case errors.Is(err, errCleanedUp):
		return nil // as asked; what there is to say of it was said
	case errors.Is(err, errNotMounted):
		return umountUnserved(path, force)
	case err != nil:
		return err
	}
	if force {
		err = umountNow(ctx, m)
	} else {
		err = deliver(ctx, m, "/unmount", w)
	}
	if errors.Is(err, errGone) {
		return umount(ctx, path, force, w)
	}
	if force {
		return err
	}
	var f *failure
	if err != nil && (!errors.As(err, &f) || f.Code != exitNotDelivered) {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, forcedWithin)
	defer cancel()
	if err == nil {
		err = m.ended(patience)
	}
	return err
}

// umountUnserved is for a mount of ours whose state is gone, or elsewhere: a
// living daemon that can't be asked to deliver is left to who can ask it.
func umountUnserved(path string, force bool) error {
	point, err := resolvePoint(path)
	if err != nil {
		return err
	}
	kind, err := fs.MountedAt(point)
	if err != nil || kind != fs.Type {
		return notMounted(path)
	}
	if !force && !isDead(point) {
		return failed(exitMountpoint, "Unmount it as the user, and with the HOME and XDG_RUNTIME_DIR, that mounted it; `sbxmount umount --force "+point+"` takes it away as it is.",
			"the daemon of %s is not known here", point)
	}
	if err := fs.Detach(point); err != nil {
		return err
	}
	return nil
}

// umountNow unmounts whatever happens: through the daemon, and where that does
// not answer, without it.
func umountNow(ctx context.Context, m *mountRef) error {
	patience, cancel := context.WithTimeout(ctx, forcedWithin)
	defer cancel()
	err := m.do(patience, "/unmount?force")
	var f *failure
	told := err == nil || errors.As(err, &f)
	if told && m.ended(patience) == nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !told {
		if end := m.obituary(patience, err); end != nil {
			return end
		}
	}
	if kind, err := fs.MountedAt(m.state.Mountpoint); err == nil && kind == fs.Type {
		if err := fs.Detach(m.state.Mountpoint); err != nil {
			return err
		}
	}
	if !m.alive() {
		return err
	}
	_ = unix.Kill(m.state.PID, unix.SIGKILL)
	after, cancel := context.WithTimeout(ctx, closeTime)
	defer cancel()
	_ = m.ended(after)
	m.bury()
	if told {
		return err
	}
	return failed(exitNotDelivered, "What was written and neither closed nor synced since may be lost.",
		"the daemon (pid %d) did not answer and was ended", m.state.PID)
}

// progressAfter keeps the bar away from what takes no time.
const progressAfter = 300 * time.Millisecond

// deliver has the daemon do something that delivers first, and shows on a
// terminal how that goes.
func deliver(ctx context.Context, m *mountRef, path string, w io.Writer) error {
	watching, stop := context.WithCancel(ctx)
	shown := make(chan struct{})
	go func() { defer close(shown); watch(watching, m, w) }()
	err := m.do(ctx, path)
	stop()
	<-shown
	var f *failure
	switch {
	case err == nil || errors.As(err, &f):
		return err
	case ctx.Err() != nil:
		return failed(exitInterrupted, "The mount is as it was; what is written goes on to the sandbox.", "interrupted")
	}
	if end := m.obituary(ctx, err); end != nil {
		return end
	}
	return failed(exitFailed, "`sbxmount umount --force "+m.state.Mountpoint+"` unmounts without it.",
		"the daemon (pid %d) does not answer: %v", m.state.PID, err)
}

// watch shows how what waits becomes less.
func watch(ctx context.Context, m *mountRef, w io.Writer) {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	tick := time.NewTicker(progressAfter)
	defer tick.Stop()
	var bar *progressbar.ProgressBar
	var most int64
	for {
		select {
		case <-ctx.Done():
			if bar != nil {
				_ = bar.Clear()
			}
			return
		case <-tick.C:
		}
		s, err := m.status(ctx)
		if err != nil || s.Content.Waiting == 0 && bar == nil {
			continue
		}
		if most = max(most, s.Content.Waiting); bar == nil {
			bar = progressbar.NewOptions64(most, progressbar.OptionSetWriter(f), progressbar.OptionShowBytes(true),
				progressbar.OptionUseIECUnits(true), progressbar.OptionSetDescription("delivering"),
				progressbar.OptionClearOnFinish())
		}
		bar.ChangeMax64(most)
		_ = bar.Set64(most - s.Content.Waiting)
	}
}
