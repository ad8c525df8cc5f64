package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs"
)

// forcedDelivery is how long a forced unmount still tries to deliver: enough
// where the link is alive after all, no burden where it is dead.
const forcedDelivery = 3 * time.Second

// busyPoll is how often a mount point in use is tried again.
const busyPoll = 250 * time.Millisecond

// run serves until the mount ends, in whichever way, and returns nil where all
// data was delivered. signals are those that end it; tied, where not nil, is
// closed when the process ends that the mount belongs to.
func (d *daemon) run(signals <-chan os.Signal, tied <-chan struct{}) *failure {
	alive, stop := context.WithCancel(context.Background())
	defer stop()
	go d.keepAlive(alive)

	ctx, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	var (
		unmounted = d.mounted.Done()
		aborted   = d.aborted
		overdue   <-chan time.Time // a forced mount that programs still hold
		signalled = 0
		result    = make(chan *failure, 1)
	)
	finish := func() {
		unmounted, overdue = nil, nil
		go func() { result <- d.finish(ctx) }()
	}
	for {
		select {
		case <-unmounted:
			finish()
			continue
		case <-aborted:
			aborted = nil
			giveUp()
			if unmounted != nil {
				overdue = time.After(closeTime)
			}
			continue
		case <-overdue:
			finish()
			continue
		case f := <-result:
			if f == nil && signalled > 1 {
				f = failed(exitForced, "", "ended by a second signal; nothing was waiting to be delivered")
			}
			return f
		case <-tied:
			tied = nil
		case s := <-signals:
			d.log.Info("signal", "signal", s.String())
		}
		switch signalled++; signalled {
		case 1:
			d.note("delivering what was written, then unmounting; a second signal forces it")
			go d.leave(ctx)
		case 2:
			d.abort()
		}
	}
}

// leave delivers and unmounts on a signal. It waits for programs that use the
// mount as long as for a dead link, then unmounts under them: all that they
// were told is written is delivered by then.
func (d *daemon) leave(ctx context.Context) {
	patience, cancel := d.patience(ctx)
	defer cancel()
	told := false
	for {
		f := d.unmount(patience, false)
		if f == nil || ctx.Err() != nil {
			return
		}
		if !told {
			told = true
			d.log.Warn("can't unmount yet", "err", f)
			d.note(f.Message + "; trying again")
		}
		if f.Code == exitNotDelivered && d.content().Lost > 0 {
			d.unheard.Store(f) // said to nobody who can see the exit code
		}
		select {
		case <-time.After(busyPoll):
			continue
		case <-patience.Done():
		}
		d.abort()
		return
	}
}

// abort takes the mount away from whoever uses it. Programs that hold it may
// keep the kernel from hanging up; run does not wait for them.
func (d *daemon) abort() {
	d.mounted.Abort()
	d.abortOnce.Do(func() { close(d.aborted) })
}

// patience is --timeout; where that is for ever, nothing but a second signal
// ends the wait.
func (d *daemon) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.cfg.Link.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d.cfg.Link.Timeout)
}

// sync delivers everything that was written. It fails, too, where something was
// lost since it was last told: the programs that wrote it were, but need not
// have listened.
func (d *daemon) sync(ctx context.Context) *failure {
	if err := d.tree.Sync(ctx); err != nil {
		d.lostSince()
		return d.undelivered(err)
	}
	if n := d.lostSince(); n > 0 {
		return failed(exitNotDelivered, "The programs that wrote it were told. `sbxmount status "+d.state.Mountpoint+"` shows why; the next umount goes on without it.",
			"%s not delivered to the sandbox: writing failed", formatSize(n)+" was")
	}
	return nil
}

// lostSince returns how many bytes could not be written since it was last
// asked.
func (d *daemon) lostSince() int64 {
	lost := d.tree.Stats().Content.Lost
	return max(0, lost-d.lostTold.Swap(lost))
}

// unmount delivers, unmounts, and returns when both are done. Without force it
// changes nothing where one of them fails.
func (d *daemon) unmount(ctx context.Context, force bool) *failure {
	if force {
		return d.unmountNow(ctx)
	}
	d.ending.Lock()
	defer d.ending.Unlock()
	if f := d.sync(ctx); f != nil {
		return f
	}
	if err := d.mounted.Unmount(ctx); err != nil {
		if errors.Is(err, fs.ErrBusy) {
			return failed(exitMountpoint, "Close what has files or a working directory there (`fuser -vm "+d.state.Mountpoint+"` names it), or use --force.", "%s is in use", d.state.Mountpoint)
		}
		return asFailure(err)
	}
	select {
	case <-d.drained:
		return d.lost
	case <-ctx.Done():
		return asFailure(context.Cause(ctx))
	}
}

// unmountNow delivers what can be delivered at once and unmounts whatever
// happens.
func (d *daemon) unmountNow(ctx context.Context) *failure {
	d.log.Warn("forced unmount")
	ctx, cancel := context.WithTimeout(ctx, forcedDelivery)
	defer cancel()
	if s := d.client.Status().State; s == conn.StateUp || s == conn.StateDegraded {
		_ = d.tree.Sync(ctx) // what is left is counted below
	}
	f := d.undeliveredNow()
	if f != nil {
		f.Advice = d.keepUndelivered() + f.Advice
	}
	d.abort()
	return f
}

// finish delivers what is left once the kernel has let go of the mount, tells
// those who wait for the end, and takes everything back. Where ctx has ended,
// what is not delivered by now is given up.
func (d *daemon) finish(ctx context.Context) *failure {
	var f *failure
	if ctx.Err() != nil {
		f = d.undeliveredNow()
	}
	patience, cancel := d.patience(ctx)
	defer cancel()
	if ctx.Err() == nil {
		f = d.sync(patience)
	}
	d.closed = true
	if err := d.tree.Close(patience); err != nil && f == nil && ctx.Err() == nil {
		f = d.undelivered(err)
	}
	kept := d.keepUndelivered()
	if text := d.closeJournal(); text != "" {
		kept += text
		d.log.Warn("the journal keeps what was not delivered")
	}
	if kept != "" {
		d.note(strings.TrimSpace(kept))
	}
	if f == nil {
		f = d.unheard.Load()
	}
	if f != nil {
		if ctx.Err() == nil {
			f.Advice = kept + f.Advice
		}
		d.log.Error("data was not delivered", "err", f)
	}
	d.lost = f
	close(d.drained)
	d.takeBack()
	d.log.Info("unmounted")
	return f
}

// undelivered makes the failure of a delivery.
func (d *daemon) undelivered(err error) *failure {
	return failed(exitNotDelivered, "`sbxmount status "+d.state.Mountpoint+"` shows what waits and why; `sbxmount umount --force` gives it up.",
		"%s not delivered to the sandbox: %v", d.waitingText(), err)
}

// undeliveredNow says what waits at this moment, nil where nothing does.
func (d *daemon) undeliveredNow() *failure {
	c := d.content()
	if c.Waiting == 0 && c.Behind == 0 {
		return nil
	}
	f := failed(exitNotDelivered, "", "%s not delivered to the sandbox", d.waitingText())
	if j := d.journal; j != nil && j.Works() {
		f.Advice = "It is kept in " + j.Path() + "; the next mount of the sandbox delivers it.\n"
	}
	for i, file := range c.Files {
		if i == shownFiles {
			f.Advice += count(len(c.Files)-i, "file", "files") + " more\n"
			break
		}
		f.Advice += formatSize(file.Bytes) + " of " + file.name() + "\n"
	}
	return f
}

func (d *daemon) waitingText() string {
	c := d.content()
	switch {
	case c.Waiting == 0 && c.Behind > 0:
		return count(c.Behind, "change was", "changes were")
	case c.Waiting == 0:
		return "something was"
	}
	text := formatSize(c.Waiting)
	if len(c.Files) > 0 {
		text += " in " + count(len(c.Files), "file", "files")
	}
	return text + " was"
}
