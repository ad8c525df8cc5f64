package sandboxd

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	maxPath  = 4096 // PATH_MAX
	maxLinks = 40   // the kernel's MAXSYMLINKS
)

// tree resolves clients' paths below a directory that they see as "/".
type tree struct {
	root *os.Root
	home string // absolute
}

// spot is a name in an open directory, all that the *at system calls need. The
// name has no slash, is never "..", and is "." for the root itself; with
// O_NOFOLLOW or AT_SYMLINK_NOFOLLOW nothing outside the directory is reached.
type spot struct {
	dir  *os.File
	name string
	path string // below the root
}

func (s spot) fd() int { return int(s.dir.Fd()) }
func (s spot) close()  { _ = s.dir.Close() }

// at finds a path, or what it leads to if it is a symbolic link and follow is
// set. Links on the way are followed as after chroot.
func (t *tree) at(p string, follow bool) (spot, error) {
	parts, err := t.split(p)
	if err != nil {
		return spot{}, err
	}
	if slices.Contains(parts, "..") {
		if parts, err = t.resolve(parts, follow); err != nil {
			return spot{}, err
		}
	}
	s, err := t.spot(parts)
	if escapes(err) {
		if parts, err = t.resolve(parts, follow); err == nil {
			s, err = t.spot(parts)
		}
	}
	if err != nil || !follow || !isLink(s) {
		return s, err
	}
	s.close()
	if parts, err = t.resolve(parts, true); err != nil {
		return spot{}, err
	}
	return t.spot(parts)
}

// split checks a path and returns its components.
func (t *tree) split(p string) ([]string, error) {
	if p == "" {
		return nil, unix.ENOENT
	}
	if len(p) >= maxPath {
		return nil, unix.ENAMETOOLONG
	}
	if strings.IndexByte(p, 0) >= 0 {
		return nil, unix.EINVAL
	}
	if !path.IsAbs(p) {
		p = t.home + "/" + p
	}
	return components(p), nil
}

func components(p string) []string {
	return slices.DeleteFunc(strings.Split(p, "/"), func(c string) bool { return c == "" || c == "." })
}

// spot opens the directory that the last of parts is in. The os.Root follows
// relative links that stay inside and refuses everything else.
func (t *tree) spot(parts []string) (spot, error) {
	s := spot{name: ".", path: "."}
	dir := "."
	if n := len(parts); n > 0 {
		s.name, s.path = parts[n-1], strings.Join(parts, "/")
		if n > 1 {
			dir = strings.Join(parts[:n-1], "/")
		}
	}
	f, err := t.root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	s.dir = f
	return s, err
}

// escapes reports whether an os.Root refused to leave: the one error of its
// that comes from no system call.
func escapes(err error) bool {
	var errno syscall.Errno
	return err != nil && !errors.As(err, &errno)
}

func isLink(s spot) bool {
	var st unix.Stat_t
	err := unix.Fstatat(s.fd(), s.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK
}

// resolve returns a path without links and "..", as after chroot. The last
// component need not exist, and is followed if follow is set.
func (t *tree) resolve(parts []string, follow bool) ([]string, error) {
	var done []string
	todo := slices.Clone(parts)
	for links := 0; len(todo) > 0; {
		part, rest := todo[0], todo[1:]
		if part == ".." {
			done, todo = done[:max(len(done)-1, 0)], rest
			continue
		}
		name := strings.Join(append(slices.Clone(done), part), "/")
		fi, err := t.root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) && len(rest) == 0 {
			return append(done, part), nil
		}
		if err != nil {
			return nil, err
		}
		if fi.Mode()&fs.ModeSymlink == 0 || len(rest) == 0 && !follow {
			done, todo = append(done, part), rest
			continue
		}
		if links++; links > maxLinks {
			return nil, unix.ELOOP
		}
		text, err := t.root.Readlink(name)
		if err != nil {
			return nil, err
		}
		if path.IsAbs(text) {
			done = nil
		}
		todo = append(components(text), rest...)
	}
	return done, nil
}
