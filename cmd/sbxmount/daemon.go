package main

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/journal"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// daemon is a mount being served.
type daemon struct {
	cfg   *config
	ask   prompt
	note  func(string) // shown to the person who mounts
	log   *mountLog
	state mountState

	// Set by start, in this order; undo takes them back in the other.
	claim   *claim
	target  sandbox.Target
	client  *conn.Client
	journal *journal.Journal // in async mode; nil else
	remote  conn.Remote      // the client, by the journal where there is one
	tree    *vfs.Tree
	mounted *fs.Mounted
	control *controlServer
	undo    []func()

	keeping   sync.Once               // of kept
	kept      string                  // see keepUndelivered
	ending    sync.Mutex              // one unmount at a time
	lostTold  atomic.Int64            // bytes that failed and that sync has told of
	unheard   atomic.Pointer[failure] // of an unmount by a signal, for the exit code
	aborted   chan struct{}           // closed by abort
	abortOnce sync.Once
	drained   chan struct{} // closed when all is delivered that ever will be
	closed    bool          // the tree is; finish did
	lost      *failure      // why not all was; read-only once drained is closed
}

func newDaemon(c *config, ask prompt, note func(string)) *daemon {
	d := &daemon{cfg: c, ask: askOnce(ask), note: note,
		aborted: make(chan struct{}), drained: make(chan struct{})}
	d.log = openLog(c.Log, c.Mountpoint, c.Foreground)
	d.state = mountState{
		Mountpoint: c.Mountpoint, PID: os.Getpid(), Started: time.Now(), Version: buildVersion(), Log: d.log.file,
	}
	return d
}

// start makes the mount serve. When it fails, nothing of it is left.
func (d *daemon) start(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			d.takeBack()
			d.log.Error("mount failed", "err", err)
		}
	}()
	for _, step := range []func(context.Context) error{
		d.claimPoint, d.connect, d.openJournal, d.openTree, d.limitMemory, d.mount, d.serveControl,
	} {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	d.learnCapacity()
	d.log.Info("mounted", "mountpoint", d.state.Mountpoint, "version", d.state.Version, "pid", d.state.PID)
	return nil
}

// learnCapacity asks for what df shows, in the background, so that there is an
// answer should the link be down when df first runs.
func (d *daemon) learnCapacity() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := d.tree.StatFS(ctx, vfs.RootID); err != nil {
			d.log.Debug("the capacity is not known", "err", err)
		}
	}()
	d.undo = append(d.undo, func() {
		cancel()
		<-done
	})
}

func (d *daemon) takeBack() {
	for len(d.undo) > 0 {
		last := len(d.undo) - 1
		d.undo[last]()
		d.undo = d.undo[:last]
	}
}

// claimPoint gets the mount point ready, after all else that can be found
// wrong without a network.
func (d *daemon) claimPoint(context.Context) error {
	target, _, err := d.cfg.Link.dialOptions(d.cfg.Spec, d.ask, d.log.Logger)
	if err != nil {
		return err
	}
	d.target = target
	if err := fs.Usable(); err != nil {
		return err
	}
	point, err := resolvePoint(d.cfg.Mountpoint)
	if err != nil {
		return err
	}
	if _, err := livingMounts(d.note); err != nil { // cleans up after dead ones
		return err
	}
	if d.claim, err = claimMountpoint(point); err != nil {
		if errors.Is(err, errClaimed) {
			return failed(exitMountpoint, "`sbxmount umount "+point+"` frees it; `sbxmount list` shows what is there.", "%s is already mounted by sbxmount", point)
		}
		return err
	}
	d.undo = append(d.undo, d.claim.release)
	unmake, err := preparePoint(point, d.cfg.NonEmpty)
	if err != nil {
		return err
	}
	d.undo = append(d.undo, unmake)
	d.state.Mountpoint, d.state.Sandbox = point, d.target.Display
	return nil
}

// connect dials, and resumes a sandbox that is found to be paused.
func (d *daemon) connect(ctx context.Context) error {
	_, o, err := d.cfg.Link.dialOptions(d.cfg.Spec, d.ask, d.log.Logger)
	if err != nil {
		return err
	}
	o.Provider = d.target.Provider
	o.NetworkChanges = d.networkChanges()
	d.client, err = conn.Dial(ctx, o)
	if errors.Is(err, conn.SandboxPaused) && o.Resume {
		d.note("the sandbox is paused; resuming it")
		if err := d.target.Provider.Resume(ctx); err != nil {
			return err
		}
		d.client, err = conn.Dial(ctx, o)
	}
	if err != nil {
		return err
	}
	d.undo = append(d.undo, func() { closeWithin(d.client.Close) })
	return nil
}

// networkChanges has the system tell of changes of the network; without it a
// dead link is noticed by its silence.
func (d *daemon) networkChanges() <-chan struct{} {
	ctx, cancel := context.WithCancel(context.Background())
	changes, err := conn.WatchNetwork(ctx)
	if err != nil {
		cancel()
		d.log.Warn("the system does not tell of changes of the network", "err", err)
		return nil
	}
	d.undo = append(d.undo, cancel)
	return changes
}

// closeTime bounds a goodbye that nothing depends on.
const closeTime = 2 * time.Second

func closeWithin(f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	_ = f(ctx)
}

func (d *daemon) openTree(ctx context.Context) error {
	root := d.target.Dir
	if !path.IsAbs(root) {
		root = path.Join(d.client.Info().Home, root)
	}
	writes := vfs.WriteClose
	var ahead func() bool
	switch d.cfg.Writes {
	case "through":
		writes = vfs.WriteThrough
	case "async":
		writes, ahead = vfs.WriteAsync, d.journal.Room
	}
	links := vfs.LinksContain
	if d.cfg.Symlinks == "raw" {
		links = vfs.LinksRaw
		d.note("with --symlinks raw the sandbox decides which of this machine's files its links lead to")
	}
	var err error
	d.tree, err = vfs.New(ctx, vfs.Options{
		Remote: d.remote, Root: root, TTL: d.cfg.TTL, Writes: writes, Ahead: ahead, Links: links, Outside: !d.cfg.NoOutside,
		CacheSize: int64(d.cfg.CacheSize), WriteBuffer: int64(d.cfg.WriteBuffer),
		MaxInodes: d.cfg.MaxInodes, MaxOpen: d.cfg.MaxOpen,
		InoKey: d.inoKey(), RTT: func() time.Duration { return d.client.Status().RTT }, Clock: d.client.Clock,
		Offline: d.client.Offline, Wake: d.client.Want, Log: d.log.Logger,
	})
	if err != nil {
		return err
	}
	d.state.Dir = root
	d.undo = append(d.undo, func() {
		if !d.closed {
			closeWithin(d.tree.Close)
		}
	})
	return nil
}

// inoKey is the sandbox's name without the directory: inode numbers are the
// same whatever part of it is mounted.
func (d *daemon) inoKey() string {
	if d.target.ID != "" {
		return d.target.ID
	}
	return strings.TrimSuffix(d.target.Display, ":"+d.target.Dir)
}

func (d *daemon) mount(ctx context.Context) error {
	info := d.client.Info()
	var err error
	d.mounted, err = fs.Mount(ctx, fs.Options{
		Mountpoint: d.state.Mountpoint, Tree: d.tree,
		AllowOther: d.cfg.AllowOther, DefaultPermissions: d.cfg.DefaultPermissions,
		ReadOnly: d.cfg.ReadOnly, NoExec: d.cfg.NoExec, MaxRequests: d.cfg.MaxRequests,
		IDMap: fs.IDMap{
			MapUser:  d.cfg.IDMap != "none",
			LoginUID: info.UID, LoginGID: info.GID, LoginKnown: info.OwnerKnown,
			LocalUID: uint32(os.Getuid()), LocalGID: uint32(os.Getgid()),
			ForceUID: d.cfg.UID, ForceGID: d.cfg.GID, Umask: d.cfg.Umask,
		},
		Log: d.log.Logger, Trace: d.cfg.Log.Verbose > 1,
	})
	if err != nil {
		return err
	}
	d.undo = append(d.undo, d.mounted.Abort)
	return nil
}

func (d *daemon) serveControl(context.Context) error {
	c, err := listenControl(d.claim.dir, controls{status: d.status, sync: d.sync, unmount: d.unmount}, d.log.Logger)
	if err != nil {
		return failed(exitFailed, "", "control socket: %v", err)
	}
	d.control = c
	d.undo = append(d.undo, c.close)
	if err := d.claim.write(d.state); err != nil {
		return failed(exitFailed, "", "state directory: %v", err)
	}
	return nil
}
