package sandboxd

import (
	"errors"
	"io/fs"
	"math"

	"golang.org/x/sys/unix"
)

// statAttrs is a file's attributes as they are told.
func statAttrs(st *unix.Stat_t) attrs {
	return attrs{
		flags: attrSize | attrOwner | attrMode | attrTimes,
		size:  uint64(st.Size), uid: st.Uid, gid: st.Gid, mode: uint32(st.Mode),
		atime: uint32(st.Atim.Sec), mtime: uint32(st.Mtim.Sec), // version 3 has 32 bits
	}
}

func (s *session) lstat(id uint32, d *decoder) (packet, error) { return s.statPath(id, d, false) }
func (s *session) stat(id uint32, d *decoder) (packet, error)  { return s.statPath(id, d, true) }

func (s *session) statPath(id uint32, d *decoder, follow bool) (packet, error) {
	name := d.str()
	if d.bad {
		return nil, errMalformed
	}
	at, err := s.at(name, follow)
	if err != nil {
		return nil, err
	}
	defer at.close()
	var st unix.Stat_t
	if err := unix.Fstatat(at.fd(), at.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	return newPacket(s.out, fxpAttrs, id).attrs(statAttrs(&st)), nil
}

func (s *session) fstat(id uint32, d *decoder) (packet, error) {
	h := s.fileHandle(d)
	if h == nil {
		return nil, errHandle
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(h.file.Fd()), &st); err != nil {
		return nil, err
	}
	return newPacket(s.out, fxpAttrs, id).attrs(statAttrs(&st)), nil
}

// attrChanges are the flags of what can be changed.
const attrChanges = attrSize | attrOwner | attrMode | attrTimes

// change is one attribute that a setstat changes.
type change struct {
	flag uint32
	set  func(a attrs) error
}

// apply carries the changes out that a names, all of them whatever fails, in
// OpenSSH's order. The last error counts.
func apply(a attrs, changes ...change) error {
	var last error
	for _, c := range changes {
		if a.flags&c.flag == 0 {
			continue
		}
		if err := c.set(a); err != nil {
			last = err
		}
	}
	return last
}

// times are a's as the kernel takes them, in the order that it wants.
func (a attrs) times() []unix.Timespec {
	return []unix.Timespec{
		unix.NsecToTimespec(int64(a.atime) * 1e9),
		unix.NsecToTimespec(int64(a.mtime) * 1e9),
	}
}

func (s *session) setstat(_ uint32, d *decoder) (packet, error) {
	name, a := d.str(), d.attrs()
	switch {
	case d.bad:
		return nil, errMalformed
	case a.flags&attrChanges == 0:
		return nil, nil
	}
	at, err := s.at(name, true)
	if err != nil {
		return nil, err
	}
	defer at.close()
	return nil, apply(a,
		change{attrSize, func(a attrs) error { return truncateAt(at, a.size) }},
		change{attrMode, func(a attrs) error { return s.chmodAt(at, a.mode&permMask) }},
		change{attrTimes, func(a attrs) error { return timesAt(at, a) }},
		change{attrOwner, func(a attrs) error { return ownerAt(at, a) }})
}

func truncateAt(at spot, size uint64) error {
	if size > math.MaxInt64 {
		return unix.EINVAL
	}
	f, err := openFile(at, unix.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(int64(size))
}

// chmodAt changes the mode of what is no link. A kernel without fchmodat2 (before
// Linux 6.6) can't be asked for that by name; the os.Root then looks first.
func (s *session) chmodAt(at spot, mode uint32) error {
	err := unix.Fchmodat(at.fd(), at.name, mode, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.EOPNOTSUPP) && !isLink(at) {
		return s.root.Chmod(at.path, fileMode(mode))
	}
	return err
}

func timesAt(at spot, a attrs) error {
	return unix.UtimesNanoAt(at.fd(), at.name, a.times(), unix.AT_SYMLINK_NOFOLLOW)
}

func ownerAt(at spot, a attrs) error {
	return unix.Fchownat(at.fd(), at.name, int(int32(a.uid)), int(int32(a.gid)), unix.AT_SYMLINK_NOFOLLOW)
}

func (s *session) fsetstat(_ uint32, d *decoder) (packet, error) {
	h, a := s.fileHandle(d), d.attrs()
	switch {
	case d.bad:
		return nil, errMalformed
	case h == nil:
		return nil, errHandle
	}
	fd := int(h.file.Fd())
	return nil, apply(a,
		change{attrSize, func(a attrs) error { return truncateFile(h, a.size) }},
		change{attrMode, func(a attrs) error { return unix.Fchmod(fd, a.mode&permMask) }},
		change{attrTimes, func(a attrs) error { return fileTimes(fd, a) }},
		change{attrOwner, func(a attrs) error { return unix.Fchown(fd, int(int32(a.uid)), int(int32(a.gid))) }})
}

func truncateFile(h *handle, size uint64) error {
	if size > math.MaxInt64 {
		return unix.EINVAL
	}
	return h.file.Truncate(int64(size))
}

// lsetstat changes what a path names, also where that is a link; a size is
// refused as OpenSSH does.
func (s *session) lsetstat(_ uint32, d *decoder) (packet, error) {
	name, a := d.str(), d.attrs()
	switch {
	case d.bad:
		return nil, errMalformed
	case a.flags&attrSize != 0:
		return nil, unix.EINVAL
	case a.flags&attrChanges == 0:
		return nil, nil // nobody looks whether the name exists
	}
	at, err := s.at(name, false)
	if err != nil {
		return nil, err
	}
	defer at.close()
	return nil, apply(a,
		change{attrMode, func(a attrs) error { return s.chmodAt(at, a.mode&permMask) }},
		change{attrTimes, func(a attrs) error { return timesAt(at, a) }},
		change{attrOwner, func(a attrs) error { return ownerAt(at, a) }})
}

// fileTimes sets an open file's times, also when it has no name any more.
func fileTimes(fd int, a attrs) error {
	return unix.Futimes(fd, []unix.Timeval{{Sec: int64(a.atime)}, {Sec: int64(a.mtime)}})
}

// fileMode turns permission bits into Go's.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, flag := range map[uint32]fs.FileMode{
		unix.S_ISUID: fs.ModeSetuid, unix.S_ISGID: fs.ModeSetgid, unix.S_ISVTX: fs.ModeSticky,
	} {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}
