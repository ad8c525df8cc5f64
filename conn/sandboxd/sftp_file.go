package sandboxd

import (
	"encoding/binary"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Flags of OPEN, draft-ietf-secsh-filexfer-02, section 6.3.
const (
	openRead   = 0x01
	openWrite  = 0x02
	openAppend = 0x04
	openCreate = 0x08
	openTrunc  = 0x10
	openExcl   = 0x20
)

const permMask = 0o7777

func openFlags(portable uint32) int {
	flags := os.O_RDONLY
	switch {
	case portable&openRead != 0 && portable&openWrite != 0:
		flags = os.O_RDWR
	case portable&openWrite != 0:
		flags = os.O_WRONLY
	}
	for bit, flag := range map[uint32]int{
		openAppend: os.O_APPEND, openCreate: os.O_CREATE, openTrunc: os.O_TRUNC, openExcl: os.O_EXCL,
	} {
		if portable&bit != 0 {
			flags |= flag
		}
	}
	return flags
}

// open opens a file. Of the attributes only the mode counts, and that only for
// a new file.
func (s *session) open(id uint32, d *decoder) (packet, error) {
	name, portable, a := d.str(), d.u32(), d.attrs()
	if d.bad {
		return nil, errMalformed
	}
	mode := uint32(0o666)
	if a.flags&attrMode != 0 {
		mode = a.mode & permMask
	}
	flags := openFlags(portable)
	exclusive := flags&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL
	at, err := s.at(name, !exclusive)
	if err != nil {
		return nil, err
	}
	defer at.close()
	f, err := openFile(at, flags, mode&^s.srv.o.Umask)
	if err != nil {
		return nil, err
	}
	return s.put(id, &handle{name: name, file: f, append: flags&os.O_APPEND != 0})
}

// openFile opens a regular file or a directory, and nothing that could block.
func openFile(at spot, flags int, mode uint32) (*os.File, error) {
	const safe = unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Openat(at.fd(), at.name, flags|safe, mode)
		return err
	})
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG, unix.S_IFDIR:
			err = unix.SetNonblock(fd, false)
		default:
			err = unix.ENXIO
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), at.path), nil
}

// again repeats a system call that a signal ended.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func (s *session) closeHandle(_ uint32, d *decoder) (packet, error) {
	n := s.number(d)
	if n < 0 {
		return nil, unix.ENOENT
	}
	h := s.handles[n]
	s.handles[n] = nil
	s.free = append(s.free, n)
	return nil, h.file.Close()
}

// readFile answers with what there is, up to maxData bytes.
func (s *session) readFile(id uint32, d *decoder) (packet, error) {
	h, off, n := s.fileHandle(d), d.u64(), d.u32()
	switch {
	case d.bad:
		return nil, errMalformed
	case h == nil:
		return nil, errHandle
	case off > math.MaxInt64:
		return nil, unix.EINVAL
	}
	p := newPacket(s.out, fxpData, id).u32(0)
	if n == 0 {
		return p, nil // weird, but not disallowed, says OpenSSH
	}
	head := len(p)
	p = append(p, make([]byte, min(n, maxData))...)
	got, err := h.file.ReadAt(p[head:], int64(off))
	if got == 0 {
		return nil, err
	}
	binary.BigEndian.PutUint32(p[head-4:], uint32(got))
	return p[:head+got], nil
}

func (s *session) writeFile(_ uint32, d *decoder) (packet, error) {
	h, off, data := s.fileHandle(d), d.u64(), d.bytes()
	switch {
	case d.bad:
		return nil, errMalformed
	case h == nil:
		return nil, errHandle
	case h.append:
		_, err := h.file.Write(data)
		return nil, err
	case off > math.MaxInt64:
		return nil, unix.EINVAL
	}
	_, err := h.file.WriteAt(data, int64(off))
	return nil, err
}
