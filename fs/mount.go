package fs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// Options say what is mounted where, and for whom.
type Options struct {
	Mountpoint string    // a directory that exists
	Tree       *vfs.Tree // what is shown there; Mount does not close it
	FSName     string    // the mount table's source; "" is "sbxmount". Never the sandbox's id

	AllowOther         bool // other local users, too; without it the kernel lets in nobody else, not even root
	DefaultPermissions bool // the kernel checks modes itself, before it asks
	ReadOnly           bool
	NoExec             bool

	// MaxRequests bounds the requests that are being answered; 0 takes 1,024.
	// One more fails with ENOMEM, except those that end something: the closing
	// of what is open, and forgetting. Each may hold maxWrite bytes and three
	// goroutines.
	MaxRequests int

	IDMap IDMap // how owners are shown

	Log   *slog.Logger // nil: nothing is logged
	Trace bool         // log each request and answer at debug level, with the names in them
}

// Mounted is a file system in the kernel's mount table, being served.
type Mounted struct {
	point  string // absolute, without symbolic links
	server *fuse.Server
	bridge *bridge
	device *device
	close  context.CancelCauseFunc // ends every operation's wait

	served chan struct{} // closed when nothing of the mount runs any more
}

const (
	defaultFSName = "sbxmount"
	fsType        = "sbxmount" // shown as fuse.sbxmount

	// maxWrite is the largest READ and WRITE asked for: what the kernel gives
	// without a sysctl. Each request costs a switch to the daemon and back, so
	// the fewer the better.
	maxWrite = 1 << 20

	// maxBackground bounds the kernel's requests that no program waits for
	// singly: read-ahead and asynchronous direct I/O. The default of 12 would
	// be fewer than a link with some delay needs.
	maxBackground = 128

	// defaultMaxRequests is that and what a machine's programs have threads
	// for that wait for files at the same time.
	defaultMaxRequests = 1024
)

// MountReason says why a file system could not be mounted.
type MountReason uint8

// The reasons, for messages and exit codes.
const (
	NoFUSE        MountReason = iota + 1 // /dev/fuse or the helper program is missing or not for us
	BadMountpoint                        // missing, no directory, not ours, or in use
	Refused                              // the kernel or the helper refused an option
	Unsafe                               // the mount did not get nosuid and nodev, and was taken back
)

// MountError is a mount or an unmount that failed.
type MountError struct {
	Reason MountReason
	Advice string // what to do next, or ""
	Err    error
}

func (e *MountError) Error() string { return e.Err.Error() }
func (e *MountError) Unwrap() error { return e.Err }

// ErrBusy is in the error of Unmount while programs use the mount.
var ErrBusy = errors.New("programs still use it")

// Mount mounts o.Tree at o.Mountpoint and serves it. It returns when the
// mount answers requests and the mount table says nosuid and nodev of it (and
// noexec and ro, where asked for); ctx bounds that alone. No round trips.
func Mount(ctx context.Context, o Options) (*Mounted, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.FSName == "" {
		o.FSName = defaultFSName
	}
	point, err := resolve(o.Mountpoint)
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancelCause(context.Background())
	m := &Mounted{point: point, bridge: newBridge(base, &o), close: cancel, served: make(chan struct{})}
	if m.device, err = attach(ctx, point, &o); err != nil {
		cancel(err)
		return nil, err
	}
	m.bridge.dead = m.device.dead
	m.server, err = fuse.NewServer(m.bridge, m.device.serverPath(), m.serverOptions(&o))
	if err != nil {
		m.device.detach(true)
		m.device.release()
		cancel(err)
		return nil, &MountError{Reason: NoFUSE, Err: fmt.Errorf("starting to serve %s: %w", point, err)}
	}
	go m.serve()
	if err := m.settle(&o); err != nil {
		m.Abort()
		m.Wait()
		return nil, err
	}
	return m, nil
}

// resolve makes a mount point's path what the mount table will call it.
func resolve(point string) (string, error) {
	abs, err := filepath.Abs(point)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return "", &MountError{Reason: BadMountpoint, Err: err}
	}
	if st, err := os.Stat(abs); err != nil {
		return "", &MountError{Reason: BadMountpoint, Err: err}
	} else if !st.IsDir() {
		return "", &MountError{Reason: BadMountpoint, Err: &os.PathError{Op: "mount", Path: abs, Err: syscall.ENOTDIR}}
	}
	return abs, nil
}

func (m *Mounted) serverOptions(o *Options) *fuse.MountOptions {
	return &fuse.MountOptions{
		FsName: o.FSName, Name: fsType, AllowOther: o.AllowOther, Options: o.kernelOptions(),
		MaxWrite: maxWrite, MaxBackground: maxBackground,
		// What SFTP can't carry is answered by go-fuse with the errno that
		// makes the kernel stop asking; with that it also stops asking for
		// security.capability before each write.
		DisableXAttrs: true,
		DisableSplice: true, // answers come from memory: splicing them is slower
		// vfs says what of the page cache is out of date. The kernel's own way
		// looks at mtime, which has whole seconds here.
		ExplicitDataCacheControl: true,
		ExtraCapabilities:        extraCapabilities,
		DisabledCapabilities:     fuse.CAP_PASSTHROUGH | fuse.CAP_WRITEBACK_CACHE | fuse.CAP_POSIX_ACL,
		Debug:                    o.Trace,
		Logger:                   slog.NewLogLogger(o.Log.With("from", "fuse").Handler(), slog.LevelDebug),
		PanicHandler:             m.bridge.panicked,
	}
}

// extraCapabilities: O_TRUNC comes with the OPEN, which saves a round trip and
// a moment at which others see the old content without it; direct I/O of an
// append handle may have several requests in flight, and such a file may still
// be mapped.
const extraCapabilities = fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_ASYNC_DIO | fuse.CAP_DIRECT_IO_ALLOW_MMAP

// serve answers requests until the kernel hangs up, then waits for what was
// left running behind.
func (m *Mounted) serve() {
	defer close(m.served)
	m.server.Serve()
	m.bridge.close()
	m.close(conn.Closed)
	m.device.release()
}

// Requests returns how many requests are being answered, and how many may be.
func (m *Mounted) Requests() (now, most int) {
	return int(m.bridge.requests.Load()), m.bridge.maxRequests
}

// Mountpoint returns where the file system is, as the mount table has it.
func (m *Mounted) Mountpoint() string { return m.point }

// Wait returns when the file system is unmounted, by whomever, and nothing of
// it runs any more.
func (m *Mounted) Wait() { <-m.served }

// Done is closed when Wait would return.
func (m *Mounted) Done() <-chan struct{} { return m.served }

// Unmount takes the file system out of the mount table and waits until it is
// gone. While programs use it that fails with ErrBusy and changes nothing.
func (m *Mounted) Unmount(ctx context.Context) error {
	select {
	case <-m.served:
		return nil
	default:
	}
	if err := m.device.detach(false); err != nil {
		select {
		case <-m.served: // somebody else was faster
			return nil
		default:
		}
		return err
	}
	select {
	case <-m.served:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Abort ends the mount at once, whatever uses it: every operation that waits
// fails, now and later, and the mount point is free. It waits for nothing.
// Where the kernel does not let us break its connection (neither root nor
// fusectl mounted), programs with files open keep it until they close them or
// this process ends.
func (m *Mounted) Abort() {
	m.close(conn.Closed)
	select {
	case <-m.served:
	default:
		m.device.detach(true)
	}
}

// panicked turns a panic in an operation into EIO for its caller.
func (b *bridge) panicked(v any) fuse.Status {
	b.log.Error("panic in a file system operation", "panic", v, "stack", string(debug.Stack()))
	return fuse.EIO
}
