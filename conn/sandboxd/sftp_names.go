package sandboxd

import (
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// withPath decodes a request that has a path and nothing else, and gives op the
// spot that it names itself.
func (s *session) withPath(d *decoder, op func(at spot) error) error {
	name := d.str()
	if d.bad {
		return errMalformed
	}
	at, err := s.at(name, false)
	if err != nil {
		return err
	}
	defer at.close()
	return op(at)
}

// withPaths likewise for two paths.
func (s *session) withPaths(d *decoder, op func(old, new spot) error) error {
	old, new := d.str(), d.str()
	if d.bad {
		return errMalformed
	}
	from, err := s.at(old, false)
	if err != nil {
		return err
	}
	defer from.close()
	to, err := s.at(new, false)
	if err != nil {
		return err
	}
	defer to.close()
	return op(from, to)
}

func (s *session) remove(_ uint32, d *decoder) (packet, error) {
	return nil, s.withPath(d, func(at spot) error { return unix.Unlinkat(at.fd(), at.name, 0) })
}

func (s *session) rmdir(_ uint32, d *decoder) (packet, error) {
	return nil, s.withPath(d, func(at spot) error { return unix.Unlinkat(at.fd(), at.name, unix.AT_REMOVEDIR) })
}

func (s *session) mkdir(_ uint32, d *decoder) (packet, error) {
	name, a := d.str(), d.attrs()
	if d.bad {
		return nil, errMalformed
	}
	mode := uint32(0o777)
	if a.flags&attrMode != 0 {
		mode = a.mode & permMask
	}
	at, err := s.at(name, false)
	if err != nil {
		return nil, err
	}
	defer at.close()
	return nil, unix.Mkdirat(at.fd(), at.name, mode&^s.srv.o.Umask)
}

// rename refuses to overwrite, as OpenSSH does: atomically for files, which get
// a second name and lose the first, and else if there is nothing when it looks,
// where a dangling link is nothing.
func (s *session) rename(_ uint32, d *decoder) (packet, error) {
	look := *d
	look.bytes()
	target := look.str()
	return nil, s.withPaths(d, func(old, new spot) error {
		var st unix.Stat_t
		if err := unix.Fstatat(old.fd(), old.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			err := unix.Linkat(old.fd(), old.name, new.fd(), new.name, 0)
			if !linksUnsupported(err) {
				return moved(err, old, new)
			}
		}
		if s.exists(target) {
			return unix.EEXIST
		}
		return unix.Renameat(old.fd(), old.name, new.fd(), new.name)
	})
}

// moved ends the renaming of a file whose second name was made with err.
func moved(err error, old, new spot) error {
	if err != nil {
		return err
	}
	if err = unix.Unlinkat(old.fd(), old.name, 0); err != nil {
		_ = unix.Unlinkat(new.fd(), new.name, 0)
	}
	return err
}

// linksUnsupported reports whether a file system has no hard links.
func linksUnsupported(err error) bool {
	switch err {
	case unix.EOPNOTSUPP, unix.ENOSYS, unix.EXDEV:
		return true
	}
	return false
}

// exists reports whether stat finds something.
func (s *session) exists(name string) bool {
	at, err := s.at(name, true)
	if err != nil {
		return false
	}
	defer at.close()
	var st unix.Stat_t
	return unix.Fstatat(at.fd(), at.name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

func (s *session) posixRename(_ uint32, d *decoder) (packet, error) {
	return nil, s.withPaths(d, func(old, new spot) error {
		return unix.Renameat(old.fd(), old.name, new.fd(), new.name)
	})
}

// hardlink does not follow a link, as linkat without flags.
func (s *session) hardlink(_ uint32, d *decoder) (packet, error) {
	return nil, s.withPaths(d, func(old, new spot) error {
		return unix.Linkat(old.fd(), old.name, new.fd(), new.name, 0)
	})
}

// symlink takes its arguments in OpenSSH's order, which is not the draft's: the
// text first.
func (s *session) symlink(_ uint32, d *decoder) (packet, error) {
	text := d.str()
	return nil, s.withPath(d, func(at spot) error {
		if strings.IndexByte(text, 0) >= 0 {
			return unix.EINVAL
		}
		return unix.Symlinkat(text, at.fd(), at.name)
	})
}

func (s *session) readlink(id uint32, d *decoder) (packet, error) {
	var text string
	err := s.withPath(d, func(at spot) error {
		buf := make([]byte, maxPath)
		n, err := unix.Readlinkat(at.fd(), at.name, buf)
		text = string(buf[:max(n, 0)])
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.oneName(id, text), nil
}

// oneName answers with a single name without attributes.
func (s *session) oneName(id uint32, name string) packet {
	return newPacket(s.out, fxpName, id).u32(1).str(name).str(name).attrs(attrs{})
}

// realpath returns a path without links; its last component need not exist.
func (s *session) realpath(id uint32, d *decoder) (packet, error) {
	name := d.str()
	if d.bad {
		return nil, errMalformed
	}
	return s.realName(id, name)
}

func (s *session) realName(id uint32, name string) (packet, error) {
	if name == "" {
		name = "."
	}
	parts, err := s.split(name)
	if err != nil {
		return nil, err
	}
	if parts, err = s.resolve(parts, true); err != nil {
		return nil, err
	}
	return s.oneName(id, "/"+strings.Join(parts, "/")), nil
}

func (s *session) opendir(id uint32, d *decoder) (packet, error) {
	name := d.str()
	if d.bad {
		return nil, errMalformed
	}
	at, err := s.at(name, true)
	if err != nil {
		return nil, err
	}
	defer at.close()
	f, err := openFile(at, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	return s.put(id, &handle{name: name, file: f, dir: true})
}

// readdir answers with up to nameBatch names and their own attributes, "." and
// ".." among them.
func (s *session) readdir(id uint32, d *decoder) (packet, error) {
	h := s.dirHandle(d)
	switch {
	case d.bad:
		return nil, errMalformed
	case h == nil:
		return nil, errHandle
	}
	p := newPacket(s.out, fxpName, id).u32(0)
	head, count := len(p), 0
	for count < nameBatch {
		name, err := h.next()
		if err != nil && (err != io.EOF || count == 0) {
			return nil, err
		}
		if err != nil {
			break
		}
		var st unix.Stat_t
		if unix.Fstatat(int(h.file.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
			continue // gone since it was read
		}
		p = p.str(name).str(s.names.long(name, &st)).attrs(statAttrs(&st))
		count++
	}
	p[head-1] = byte(count) // below 256
	return p, nil
}

// next returns a directory's next name, io.EOF after the last.
func (h *handle) next() (string, error) {
	if !h.read {
		h.read, h.rest = true, []string{".", ".."}
	}
	if len(h.rest) == 0 {
		var err error
		if h.rest, err = h.file.Readdirnames(nameBatch); err != nil {
			return "", err
		}
	}
	name := h.rest[0]
	h.rest = h.rest[1:]
	return name, nil
}
