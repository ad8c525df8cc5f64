package fs

import (
	"context"
	"errors"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// device is where go-fuse mounted through macFUSE's helper.
type device struct{ point string }

// kernelOptions are macFUSE's: nosuid and nodev are what its helper gives
// anybody but root anyway.
func (o *Options) kernelOptions() []string {
	opts := []string{"nosuid", "nodev", "noappledouble", "volname=" + o.FSName}
	if o.DefaultPermissions {
		opts = append(opts, "default_permissions")
	}
	if o.ReadOnly {
		opts = append(opts, "rdonly")
	}
	if o.NoExec {
		opts = append(opts, "noexec")
	}
	return opts
}

func attach(_ context.Context, point string, _ *Options) (*device, error) {
	return &device{point: point}, nil
}

func (d *device) serverPath() string { return d.point }

// settle waits until macFUSE's helper is content and checks the live mount.
func (m *Mounted) settle(o *Options) error {
	if err := m.server.WaitMount(); err != nil {
		return &MountError{Reason: NoFUSE, Err: err, Advice: "install macFUSE (https://macfuse.io)"}
	}
	var st unix.Statfs_t
	if err := unix.Statfs(m.point, &st); err != nil {
		return &MountError{Reason: Unsafe, Err: fmt.Errorf("the mount can't be checked: %w", err)}
	}
	want := uint32(unix.MNT_NOSUID | unix.MNT_NODEV)
	if o.NoExec {
		want |= unix.MNT_NOEXEC
	}
	if o.ReadOnly {
		want |= unix.MNT_RDONLY
	}
	if st.Flags&want != want {
		return &MountError{Reason: Unsafe, Err: fmt.Errorf("%s was mounted without nosuid, nodev or what else was asked for", m.point)}
	}
	return nil
}

// detach takes the mount out of the table.
func (d *device) detach(force bool) error {
	if force {
		if exec.Command("diskutil", "unmount", "force", d.point).Run() == nil {
			return nil
		}
		return unmountError(d.point, unix.Unmount(d.point, unix.MNT_FORCE))
	}
	return unmountError(d.point, unix.Unmount(d.point, 0))
}

func unmountError(point string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EBUSY):
		return &MountError{Reason: BadMountpoint, Err: fmt.Errorf("unmount %s: %w", point, ErrBusy),
			Advice: "close what has files or a working directory there, or use --force"}
	}
	return &MountError{Reason: BadMountpoint, Err: fmt.Errorf("unmount %s: %w", point, err)}
}

// dead is not known here; an operation of an aborted mount ends with the
// link's bound.
func (d *device) dead() bool { return false }

func (d *device) release() {}
