package sandboxd

import (
	"io"
	"math"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// extension is one of OpenSSH's extended requests, its file PROTOCOL, section 4.
type extension struct {
	version string
	op      func(s *session, id uint32, d *decoder) (packet, error)
}

var extensions = map[string]extension{
	"posix-rename@openssh.com":       {"1", (*session).posixRename},
	"statvfs@openssh.com":            {"2", (*session).statvfs},
	"fstatvfs@openssh.com":           {"2", (*session).fstatvfs},
	"hardlink@openssh.com":           {"1", (*session).hardlink},
	"fsync@openssh.com":              {"1", (*session).fsync},
	"lsetstat@openssh.com":           {"1", (*session).lsetstat},
	"limits@openssh.com":             {"1", (*session).limits},
	"expand-path@openssh.com":        {"1", (*session).expandPath},
	"copy-data":                      {"1", (*session).copyData},
	"home-directory":                 {"1", (*session).homeDirectory},
	"users-groups-by-id@openssh.com": {"1", (*session).usersGroups},
}

func allExtensions() []string {
	return []string{
		"posix-rename@openssh.com", "statvfs@openssh.com", "fstatvfs@openssh.com", "hardlink@openssh.com",
		"fsync@openssh.com", "lsetstat@openssh.com", "limits@openssh.com", "expand-path@openssh.com",
		"copy-data", "home-directory", "users-groups-by-id@openssh.com",
	}
}

func (s *session) extended(id uint32, d *decoder) (packet, error) {
	name := d.str()
	if d.bad {
		return nil, errMalformed
	}
	if !slices.Contains(s.srv.o.Extensions, name) {
		return nil, unix.ENOSYS
	}
	return extensions[name].op(s, id, d)
}

func (s *session) fsync(_ uint32, d *decoder) (packet, error) {
	h := s.fileHandle(d)
	if h == nil {
		return nil, unix.ENOENT
	}
	return nil, h.file.Sync()
}

func (s *session) statvfs(id uint32, d *decoder) (packet, error) {
	name := d.str()
	if d.bad {
		return nil, errMalformed
	}
	at, err := s.at(name, true)
	if err != nil {
		return nil, err
	}
	defer at.close()
	var st unix.Stat_t
	if err := unix.Fstatat(at.fd(), at.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	// The directory that a file is in is on the same file system, unless
	// something is mounted on the file; a directory answers for itself.
	f := at.dir
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		if f, err = openFile(at, unix.O_RDONLY|unix.O_DIRECTORY, 0); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	return s.capacity(id, int(f.Fd()))
}

func (s *session) fstatvfs(id uint32, d *decoder) (packet, error) {
	h := s.fileHandle(d)
	if h == nil {
		return nil, errHandle
	}
	return s.capacity(id, int(h.file.Fd()))
}

// capacity answers with an open file's file system.
func (s *session) capacity(id uint32, fd int) (packet, error) {
	v, err := fstatvfs(fd)
	if err != nil {
		return nil, err
	}
	p := newPacket(s.out, fxpExtendedReply, id)
	for _, field := range []uint64{
		v.bsize, v.frsize, v.blocks, v.bfree, v.bavail, v.files, v.ffree, v.favail, v.fsid, v.flag, v.namemax,
	} {
		p = p.u64(field)
	}
	return p, nil
}

// vfs is struct statvfs, in the order that it is sent.
type vfs struct {
	bsize, frsize, blocks, bfree, bavail, files, ffree, favail, fsid, flag, namemax uint64
}

// Bits of vfs.flag.
const (
	vfsReadOnly = 1
	vfsNoSUID   = 2
)

func (s *session) limits(id uint32, _ *decoder) (packet, error) {
	return newPacket(s.out, fxpExtendedReply, id).
		u64(maxPacket).u64(maxData).u64(maxData).u64(uint64(s.srv.o.MaxHandles)), nil
}

// expandPath is realpath that knows "~".
func (s *session) expandPath(id uint32, d *decoder) (packet, error) {
	name := d.str()
	if d.bad {
		return nil, errMalformed
	}
	if rest, ok := strings.CutPrefix(name, "~"); ok {
		if rest != "" && rest[0] != '/' {
			return nil, unix.ENOENT // another user's home
		}
		name = path.Join(s.home, rest)
	}
	return s.realName(id, name)
}

func (s *session) homeDirectory(id uint32, d *decoder) (packet, error) {
	if d.str(); d.bad {
		return nil, errMalformed
	}
	return s.oneName(id, s.home), nil
}

// usersGroups names users and groups; one without a name is empty.
func (s *session) usersGroups(id uint32, d *decoder) (packet, error) {
	uids, gids := &decoder{b: d.bytes()}, &decoder{b: d.bytes()}
	if d.bad || len(uids.b)%4 != 0 || len(gids.b)%4 != 0 {
		return nil, errMalformed
	}
	list := func(ids *decoder, name func(uint32) string) string {
		var p packet
		for len(ids.b) > 0 {
			text := name(ids.u32())
			if strings.Trim(text, "0123456789") == "" {
				text = ""
			}
			p = p.str(text)
		}
		return string(p)
	}
	return newPacket(s.out, fxpExtendedReply, id).str(list(uids, s.names.user)).str(list(gids, s.names.group)), nil
}

// copyChunk is what OpenSSH copies at once.
const copyChunk = 64 << 10

// copyData copies between two open files, draft-ietf-secsh-filexfer-extensions-00,
// section 7, as OpenSSH does: a length of 0 is up to the end; an end before the
// length is no error if it comes in the last chunk; a file is not copied to
// itself, as far as the paths tell.
func (s *session) copyData(_ uint32, d *decoder) (packet, error) {
	from, at, n := s.fileHandle(d), d.u64(), d.u64()
	to, pos := s.fileHandle(d), d.u64()
	switch {
	case d.bad:
		return nil, errMalformed
	case from == nil || to == nil || from.name == to.name:
		return nil, errHandle
	case at > math.MaxInt64 || pos > math.MaxInt64 || n > math.MaxInt64:
		return nil, unix.EINVAL
	}
	whole := n == 0
	if whole { // up to where the end is now: a file copied to another name of its own would have none
		n = from.sizeFrom(at)
	}
	buf := make([]byte, copyChunk)
	for n > 0 {
		chunk := buf[:min(n, copyChunk)]
		n -= uint64(len(chunk))
		got, err := from.file.ReadAt(chunk, int64(at))
		if got == 0 {
			if err == io.EOF && (whole || n == 0) {
				err = nil
			}
			return nil, err
		}
		if _, err := to.WriteAt(chunk[:got], int64(pos)); err != nil {
			return nil, err
		}
		at, pos = at+uint64(got), pos+uint64(got)
	}
	return nil, nil
}

// sizeFrom returns how many bytes a file has behind an offset.
func (h *handle) sizeFrom(at uint64) uint64 {
	fi, err := h.file.Stat()
	if err != nil || at >= uint64(fi.Size()) {
		return 0
	}
	return uint64(fi.Size()) - at
}

// WriteAt writes at the end for a handle that appends.
func (h *handle) WriteAt(p []byte, off int64) (int, error) {
	if h.append {
		return h.file.Write(p)
	}
	return h.file.WriteAt(p, off)
}
