package conn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
	"golang.org/x/sys/unix"
)

// file adds a key to the file under the name's hash (the name is in effect a
// credential), unless another process has filed one meanwhile: then that one
// decides. The file is replaced as a whole, so that nobody ever reads half of
// it, and a crash leaves the old one.
func (c *hostKeyChecker) file(ctx context.Context, key ssh.PublicKey) error {
	unlock, err := lockKnownHosts(ctx, c.path)
	if err != nil {
		return c.notFiled(err)
	}
	defer unlock()
	if err := c.read(); err != nil {
		return err
	}
	if len(c.known) > 0 {
		if c.match(c.address(), nowhere, key) == nil {
			return nil
		}
		return c.refuse(HostKeyChanged, key, nil)
	}
	line := knownhosts.HashHostname(c.name) + " " + string(ssh.MarshalAuthorizedKey(key))
	if err := appendWhole(c.path, line); err != nil {
		return c.notFiled(err)
	}
	return nil
}

func (c *hostKeyChecker) notFiled(err error) error {
	return dialFailed(NotConnected, HostKeyUnknown, fmt.Errorf("the new key could not be kept: %w", err)).
		advised("Make " + filepath.Dir(c.path) + " writable, or name another file with --known-hosts.")
}

// lockPause is how long to wait before asking for the lock again: it is held
// for milliseconds, and flock can't be waited for with a context.
const lockPause = 5 * time.Millisecond

// lockKnownHosts keeps other processes from changing the file. The lock is on
// a file beside it, since the file itself is replaced.
func lockKnownHosts(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = f.Close()
			return nil, err
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			_ = f.Close()
			return nil, context.Cause(ctx)
		}
	}
}

// appendWhole adds a line to a file by replacing it.
func appendWhole(path, line string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // replace what the link names, not the link
	}
	old, err := readBounded(path, maxKnownHosts-int64(len(line))-1)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(old) > 0 && old[len(old)-1] != '\n' {
		old = append(old, '\n')
	}
	t, err := os.CreateTemp(filepath.Dir(path), ".known_hosts-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(append(old, line...))
	if err == nil {
		err = t.Sync()
	}
	if closed := t.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(t.Name(), path)
}
