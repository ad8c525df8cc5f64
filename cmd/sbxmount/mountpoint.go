package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/fs"
	"golang.org/x/sys/unix"
)

// resolvePoint makes a path what the mount table calls it, without touching
// what is mounted there, which may be dead: links are followed in its parent,
// and in the last component only where that is no mount point.
func resolvePoint(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", failed(exitUsage, "Change to a directory that exists.", "%s: %v", path, err)
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return abs, nil // mount makes it; for the others it is not mounted
		}
		return "", failed(exitMountpoint, "", "mount point: %v", err)
	}
	point := filepath.Join(parent, filepath.Base(abs))
	if kind, err := fs.MountedAt(point); err == nil && kind != "" {
		return point, nil
	}
	if real, err := filepath.EvalSymlinks(point); err == nil {
		return real, nil
	}
	return point, nil
}

// preparePoint makes point a directory to mount on: made if it is missing,
// cleaned of a dead mount, and refused if something is there. undo takes back
// what it made.
func preparePoint(point string, nonEmpty bool) (undo func(), err error) {
	kind, err := fs.MountedAt(point)
	if err != nil {
		return nil, failed(exitMountpoint, "", "%v", err)
	}
	switch {
	case !isFUSE(kind):
	case !isDead(point):
		// One of this user's would hold the claim that we have, unless it was
		// made where HOME and XDG_RUNTIME_DIR are others.
		return nil, failed(exitMountpoint, "Choose another one, or take it away first: `fusermount3 -u "+point+"`.", "something else is mounted on %s (%s)", point, kind)
	default:
		if err := fs.Detach(point); err != nil {
			return nil, failed(exitMountpoint, "Take it away with `fusermount3 -uz "+point+"`.", "a dead mount is in the way: %v", err)
		}
	}
	undo, err = makeDir(point)
	if err != nil {
		return nil, err
	}
	if err := checkDir(point, nonEmpty); err != nil {
		undo()
		return nil, err
	}
	return undo, nil
}

func isFUSE(kind string) bool { return kind == fs.Type || strings.HasPrefix(kind, "fuse") }

// isDead reports whether a FUSE mount's daemon is gone.
func isDead(point string) bool {
	answer := make(chan error, 1)
	go func() {
		var st unix.Stat_t
		answer <- unix.Stat(point, &st)
	}()
	select {
	case err := <-answer:
		return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED) // it ended while we asked
	case <-time.After(time.Second): // its daemon does not answer
		return false
	}
}

// makeDir makes point and its parents. undo removes those that it made.
func makeDir(point string) (undo func(), err error) {
	var made []string
	for p := point; ; p = filepath.Dir(p) {
		if _, err := os.Lstat(p); !errors.Is(err, os.ErrNotExist) {
			break
		}
		made = append(made, p)
	}
	if err := os.MkdirAll(point, 0o755); err != nil {
		advice := "Choose a directory that this user may make."
		if errors.Is(err, unix.ENOTDIR) {
			advice = "A mount point is a directory: choose another one."
		}
		return nil, failed(exitMountpoint, advice, "mount point: %v", err)
	}
	return func() {
		for _, p := range made {
			os.Remove(p)
		}
	}, nil
}

func checkDir(point string, nonEmpty bool) error {
	d, err := os.Open(point)
	if err != nil {
		return failed(exitMountpoint, "Choose a directory that this user may read.", "mount point: %v", err)
	}
	defer d.Close()
	info, err := d.Stat()
	if err != nil {
		return failed(exitMountpoint, "", "mount point: %v", err)
	}
	if !info.IsDir() {
		return failed(exitMountpoint, "A mount point is a directory: choose another one.", "%s is not a directory", point)
	}
	if nonEmpty {
		return nil
	}
	if _, err := d.Readdirnames(1); err != io.EOF {
		return failed(exitMountpoint, "What is in it would be hidden: choose an empty directory, or say -o nonempty.", "%s is not empty", point)
	}
	return nil
}
