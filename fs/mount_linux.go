package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// device is our end of the kernel's connection, and the way to end it.
type device struct {
	point  string
	helper bool   // mounted by fusermount3, so unmounted by it
	server int    // the descriptor that go-fuse takes over and closes
	number string // of the connection, as /sys/fs/fuse/connections calls it; "" before settle

	mu  sync.Mutex // guards own
	own int        // a second descriptor, to look whether the kernel hung up; -1 once released
}

// kernelOptions is for the platforms where go-fuse mounts.
func (o *Options) kernelOptions() []string { return nil }

// attach mounts: by mount(2) as root, else by fusermount3, the setuid program
// of Debian's fuse3. We do it ourselves, and not go-fuse, to have the helper's
// words for the error message and a descriptor to watch.
func attach(ctx context.Context, point string, o *Options) (*device, error) {
	fd, helper, err := -1, false, error(nil)
	if os.Geteuid() == 0 {
		fd, err = mountAsRoot(point, o)
	} else {
		helper = true
		fd, err = mountByHelper(ctx, point, o)
	}
	if err != nil {
		return nil, err
	}
	d := &device{point: point, helper: helper, server: fd, own: -1}
	if d.own, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3); err != nil {
		d.detach(true)
		unix.Close(fd)
		return nil, &MountError{Reason: NoFUSE, Err: os.NewSyscallError("dup", err)}
	}
	return d, nil
}

// serverPath tells go-fuse to serve a descriptor that is mounted already.
func (d *device) serverPath() string { return fmt.Sprintf("/dev/fd/%d", d.server) }

func openFUSE() (int, error) {
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		return fd, nil
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO):
		return -1, &MountError{Reason: NoFUSE, Err: fmt.Errorf("open /dev/fuse: %w", err),
			Advice: "the kernel has no FUSE: load it (modprobe fuse), or give the container --device /dev/fuse --cap-add SYS_ADMIN"}
	}
	return -1, &MountError{Reason: NoFUSE, Err: fmt.Errorf("open /dev/fuse: %w", err),
		Advice: "this user may not use FUSE: look at the permissions of /dev/fuse"}
}

func mountAsRoot(point string, o *Options) (int, error) {
	fd, err := openFUSE()
	if err != nil {
		return -1, err
	}
	data := fmt.Sprintf("fd=%d,rootmode=%o,user_id=%d,group_id=%d,max_read=%d",
		fd, unix.S_IFDIR, os.Geteuid(), os.Getegid(), maxWrite)
	if o.DefaultPermissions {
		data += ",default_permissions"
	}
	if o.AllowOther {
		data += ",allow_other"
	}
	flags := uintptr(unix.MS_NOSUID | unix.MS_NODEV)
	if o.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if o.NoExec {
		flags |= unix.MS_NOEXEC
	}
	if err := unix.Mount(o.FSName, point, "fuse."+fsType, flags, data); err != nil {
		unix.Close(fd)
		return -1, refusedByKernel(point, err)
	}
	return fd, nil
}

func refusedByKernel(point string, err error) error {
	e := &MountError{Reason: Refused, Err: fmt.Errorf("mount on %s: %w", point, err)}
	switch {
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOENT):
		e.Reason = BadMountpoint
	case errors.Is(err, unix.EPERM):
		e.Reason = NoFUSE
		e.Advice = "mounting needs CAP_SYS_ADMIN: in a container, add --cap-add SYS_ADMIN --device /dev/fuse"
	case errors.Is(err, unix.ENODEV):
		e.Reason, e.Advice = NoFUSE, "the kernel has no FUSE: modprobe fuse"
	}
	return e
}

func helperOptions(o *Options) string {
	opts := []string{"nosuid", "nodev", "fsname=" + escapeOption(o.FSName), "subtype=" + fsType,
		"max_read=" + strconv.Itoa(maxWrite)}
	for _, opt := range []struct {
		on   bool
		name string
	}{{o.DefaultPermissions, "default_permissions"}, {o.AllowOther, "allow_other"}, {o.ReadOnly, "ro"}, {o.NoExec, "noexec"}} {
		if opt.on {
			opts = append(opts, opt.name)
		}
	}
	return strings.Join(opts, ",")
}

// escapeOption keeps a comma from ending an option.
func escapeOption(s string) string { return strings.NewReplacer(`\`, `\\`, `,`, `\,`).Replace(s) }

// findHelper returns fusermount3's path: that of a PATH, or the usual one
// where a service has none.
func findHelper() (string, error) {
	for _, name := range []string{"fusermount3", "/usr/bin/fusermount3", "/bin/fusermount3"} {
		if p, err := exec.LookPath(name); err == nil {
			return p, nil
		}
	}
	return "", noHelper(errors.New("fusermount3 not found"))
}

func noHelper(err error) error {
	return &MountError{Reason: NoFUSE, Err: err,
		Advice: "install the package fuse3 (Debian, Ubuntu: sudo apt-get install fuse3)"}
}

// mountByHelper runs fusermount3, which mounts and sends the descriptor
// through a socket whose number stands in _FUSE_COMMFD.
func mountByHelper(ctx context.Context, point string, o *Options) (int, error) {
	path, err := findHelper()
	if err != nil {
		return -1, err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	theirs := os.NewFile(uintptr(pair[1]), "fusermount3")
	defer theirs.Close()

	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, "-o", helperOptions(o), "--", point)
	cmd.Env = []string{"_FUSE_COMMFD=3", "PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return -1, noHelper(fmt.Errorf("fusermount3 can't be run: %w", err))
	}
	if err := cmd.Wait(); err != nil {
		return -1, refusedByHelper(point, strings.TrimSpace(said.String()), err)
	}
	return receiveDescriptor(pair[0])
}

func refusedByHelper(point, said string, err error) error {
	if said == "" {
		said = err.Error()
	}
	e := &MountError{Reason: Refused, Err: fmt.Errorf("mount on %s: %s", point, said)}
	switch {
	case strings.Contains(said, "user_allow_other"):
		e.Advice = "allow_other needs the line user_allow_other in /etc/fuse.conf"
	case strings.Contains(said, "/dev/fuse") || strings.Contains(said, "device not found"):
		e.Reason, e.Advice = NoFUSE, "FUSE is not usable here: load it (modprobe fuse), or give the container --device /dev/fuse --cap-add SYS_ADMIN"
	case strings.Contains(said, "Operation not permitted"):
		e.Reason, e.Advice = NoFUSE, "fusermount3 must be setuid root (reinstall the package fuse3), or the container lacks --cap-add SYS_ADMIN"
	case strings.Contains(said, "mountpoint") || strings.Contains(said, "mount point") || strings.Contains(said, point):
		e.Reason = BadMountpoint
	}
	return e
}

func receiveDescriptor(socket int) (int, error) {
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(socket, make([]byte, 4), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil || len(messages) != 1 {
		return -1, errors.New("fusermount3 sent no descriptor")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, errors.New("fusermount3 sent no descriptor")
	}
	return fds[0], nil
}

// settle checks on the live mount what was asked for, and raises the kernel's
// read-ahead where it lets us.
func (m *Mounted) settle(o *Options) error {
	if err := silencePoll(m.point); err != nil {
		return &MountError{Reason: NoFUSE, Err: fmt.Errorf("first use of %s: %w", m.point, err)}
	}
	info, err := findMount(m.point)
	if err != nil {
		return &MountError{Reason: Unsafe, Err: err}
	}
	if err := info.check(o); err != nil {
		return &MountError{Reason: Unsafe, Err: err}
	}
	_, m.device.number, _ = strings.Cut(info.device, ":")
	m.raiseReadAhead(info.device)
	return nil
}

// check asserts what keeps a sandbox's set-id programs and device files from
// meaning anything here.
func (i mountInfo) check(o *Options) error {
	if i.fsType != "fuse."+fsType {
		return fmt.Errorf("%s is of type %s, something was mounted over it", i.point, i.fsType)
	}
	for _, want := range []struct {
		asked  bool
		option string
	}{{true, "nosuid"}, {true, "nodev"}, {o.NoExec, "noexec"}, {o.ReadOnly, "ro"}} {
		if want.asked && !i.has(want.option) {
			return fmt.Errorf("%s was mounted without %s (%s)", i.point, want.option, strings.Join(i.options, ","))
		}
	}
	return nil
}

// readAheadKB is one largest request: a sequential reader then has two in
// flight in place of two of 128 KiB. Not more, since a page fault in a mapping
// asks for all of it, and what lies further ahead is the daemon's to fetch.
const readAheadKB = maxWrite >> 10

func (m *Mounted) raiseReadAhead(device string) {
	name := filepath.Join("/sys/class/bdi", device, "read_ahead_kb")
	if err := os.WriteFile(name, strconv.AppendInt(nil, readAheadKB, 10), 0); err != nil {
		m.bridge.log.Debug("the kernel's read-ahead stays as it is", "err", err)
	}
}

// silencePoll has the kernel ask once whether files can be polled, by way of a
// name that go-fuse answers itself, and be told no. A Go program that opens a
// file asks while it holds a processor, which would deadlock where that
// program is this one (see fuse.WaitMount, which does the same).
func silencePoll(point string) error {
	fd, err := unix.Open(filepath.Join(point, ".go-fuse-epoll-hack"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	if errors.Is(err, unix.EINTR) {
		err = nil
	}
	return err
}

// detach takes the mount out of the table; with force also while it is used,
// breaking the kernel's connection so that whoever waits is let go.
func (d *device) detach(force bool) error {
	if d.helper {
		return d.detachByHelper(force)
	}
	flags := unix.UMOUNT_NOFOLLOW
	if force {
		flags |= unix.MNT_FORCE | unix.MNT_DETACH
	}
	if err := unix.Unmount(d.point, flags); err != nil {
		return unmountError(d.point, err)
	}
	return nil
}

func (d *device) detachByHelper(force bool) error {
	path, err := findHelper()
	if err != nil {
		return err
	}
	args := []string{"-u", "--", d.point}
	if force {
		if d.number != "" { // best effort: fusectl may not be mounted
			os.WriteFile(filepath.Join("/sys/fs/fuse/connections", d.number, "abort"), []byte("1"), 0)
		}
		args[0] = "-uz"
	}
	cmd := exec.Command(path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	out, err := cmd.CombinedOutput()
	switch {
	case err == nil:
		return nil
	case bytes.Contains(out, []byte("busy")):
		err = unix.EBUSY
	case len(out) > 0:
		err = errors.New(strings.TrimSpace(string(out)))
	}
	return unmountError(d.point, err)
}

func unmountError(point string, err error) error {
	if errors.Is(err, unix.EBUSY) {
		return &MountError{Reason: BadMountpoint, Err: fmt.Errorf("unmount %s: %w", point, ErrBusy),
			Advice: "close what has files or a working directory there (fuser -vm names it), or use --force"}
	}
	return &MountError{Reason: BadMountpoint, Err: fmt.Errorf("unmount %s: %w", point, err)}
}

// dead reports whether the kernel hung up: the mount is gone or was aborted,
// and nobody waits for an answer any more.
func (d *device) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own < 0 {
		return true
	}
	p := []unix.PollFd{{Fd: int32(d.own)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n == 1 && p[0].Revents&unix.POLLERR != 0
}

// release closes our second descriptor; go-fuse closes the first.
func (d *device) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.own >= 0 {
		unix.Close(d.own)
		d.own = -1
	}
}
