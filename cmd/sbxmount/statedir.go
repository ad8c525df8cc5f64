package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The files of a mount's state directory.
const (
	lockName  = "lock"
	stateName = "mount.json"
	sockName  = "control.sock"
)

// mountState is what mount.json says. The sandbox stands in it, since the
// directory is its user's alone.
type mountState struct {
	Sandbox    string    `json:"sandbox"`
	Dir        string    `json:"dir"`
	Mountpoint string    `json:"mountpoint"`
	PID        int       `json:"pid"`
	Started    time.Time `json:"started"`
	Version    string    `json:"version"`
	Log        string    `json:"log,omitempty"`
}

// stateRoots returns where mounts are kept: the first is where a new one goes,
// the others are looked at, too, since a login session and a cron job of one
// user do not see the same environment.
func stateRoots() ([]string, error) {
	var roots []string
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && ownDir(dir) == nil {
		roots = append(roots, filepath.Join(dir, "sbxmount"))
	}
	if home, err := stateHome(); err == nil {
		roots = append(roots, home)
	}
	if len(roots) == 0 {
		return nil, failed(exitFailed, "Set HOME or XDG_RUNTIME_DIR to a directory of this user's.", "there is no place for the mounts' state")
	}
	return roots, nil
}

// stateHome is where what outlives a login goes: logs, and state where there
// is no XDG_RUNTIME_DIR.
func stateHome() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sbxmount"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, ".local", "state", "sbxmount"), nil
}

// ownDir makes sure that dir is a directory, not a link to one, and ours.
func ownDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case !ok || int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to another user", dir)
	}
	return nil
}

// ownFile makes sure that what is written to path goes there and nowhere else:
// it is no link, and ours, or root's as devices are. What is missing will be
// ours, and what can't be looked at can't be written to.
func ownFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return nil
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link", path)
	case !ok || int(st.Uid) != os.Geteuid() && st.Uid != 0:
		return fmt.Errorf("%s belongs to another user", path)
	}
	return nil
}

// privateDir makes dir if it is missing, and makes sure that nobody else can
// get in.
func privateDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := ownDir(dir); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// claim is the right to serve a mount point: a directory of state with a lock
// that ends with the process.
type claim struct {
	dir  string
	lock *os.File
}

// errClaimed is a mount point that a living daemon has.
var errClaimed = errors.New("claimed")

// dirName is the mount point's directory name: no path of the user's shows in
// a list of files, and each has the same length.
func dirName(point string) string {
	sum := sha256.Sum256([]byte(point))
	return hex.EncodeToString(sum[:8])
}

// claimMountpoint takes the right to serve point, or ends with errClaimed.
func claimMountpoint(point string) (*claim, error) {
	roots, err := stateRoots()
	if err != nil {
		return nil, err
	}
	for _, root := range roots[1:] {
		if m := (&mountRef{dir: filepath.Join(root, "mounts", dirName(point))}); m.alive() {
			return nil, errClaimed
		}
	}
	for _, dir := range []string{roots[0], filepath.Join(roots[0], "mounts")} {
		if err := privateDir(dir); err != nil {
			return nil, failed(exitFailed, "Remove it, or set XDG_RUNTIME_DIR to a directory of this user's.", "state directory: %v", err)
		}
	}
	// `list` takes the lock for a moment to see whether anybody has it.
	var c *claim
	for range 5 {
		c, err = lockDir(filepath.Join(roots[0], "mounts", dirName(point)))
		if !errors.Is(err, errClaimed) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil && !errors.Is(err, errClaimed) {
		return nil, failed(exitFailed, "", "state directory: %v", err)
	}
	return c, err
}

// lockDir makes and locks one mount's directory. Whoever cleans up removes the
// lock file while holding it, so the file that was locked must still be there.
func lockDir(dir string) (*claim, error) {
	for {
		if err := privateDir(dir); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // cleaned up just now
		}
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, errClaimed
			}
			return nil, err
		}
		if sameFile(f) {
			return &claim{dir: dir, lock: f}, nil
		}
		f.Close()
	}
}

func sameFile(f *os.File) bool {
	locked, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(f.Name())
	return err == nil && os.SameFile(locked, there)
}

// write makes s the mount's state, at once or not at all.
func (c *claim) write(s mountState) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temp := filepath.Join(c.dir, stateName+".new")
	if err := os.WriteFile(temp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(c.dir, stateName))
}

// release removes the state and ends the claim.
func (c *claim) release() {
	for _, name := range []string{stateName, stateName + ".new", sockName, lockName} {
		os.Remove(filepath.Join(c.dir, name))
	}
	os.Remove(c.dir) // stays where somebody put something in
	c.lock.Close()
}

// mountRef is a mount's state directory, seen from outside.
type mountRef struct {
	dir   string
	state mountState
}

// alive reports whether a daemon holds the lock.
func (m *mountRef) alive() bool {
	f, err := os.OpenFile(filepath.Join(m.dir, lockName), os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB), unix.EWOULDBLOCK)
}

func (m *mountRef) read() error {
	data, err := os.ReadFile(filepath.Join(m.dir, stateName))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, &m.state)
}

// allMounts returns this user's mounts, the living and the dead, in the order
// of their mount points.
func allMounts() ([]*mountRef, error) {
	roots, err := stateRoots()
	if err != nil {
		return nil, err
	}
	var all []*mountRef
	for _, root := range roots {
		dirs, err := os.ReadDir(filepath.Join(root, "mounts"))
		if err != nil {
			continue // no mount was ever made there
		}
		for _, d := range dirs {
			m := &mountRef{dir: filepath.Join(root, "mounts", d.Name())}
			if ownDir(m.dir) == nil && m.read() == nil {
				all = append(all, m)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].state.Mountpoint < all[j].state.Mountpoint })
	return all, nil
}
