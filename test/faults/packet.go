package faults

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Packet types that the knobs tell apart, draft-ietf-secsh-filexfer-02.
const (
	fxpInit          = 1
	fxpVersion       = 2
	fxpStatus        = 101
	fxpHandle        = 102
	fxpData          = 103
	fxpName          = 104
	fxpAttrs         = 105
	fxpExtended      = 200
	fxpExtendedReply = 201
)

var opNames = map[byte]string{
	fxpInit: "INIT", 3: "OPEN", 4: "CLOSE", 5: "READ", 6: "WRITE", 7: "LSTAT", 8: "FSTAT", 9: "SETSTAT",
	10: "FSETSTAT", 11: "OPENDIR", 12: "READDIR", 13: "REMOVE", 14: "MKDIR", 15: "RMDIR", 16: "REALPATH",
	17: "STAT", 18: "RENAME", 19: "READLINK", 20: "SYMLINK",
}

// request is one SFTP request.
type request struct {
	Op     string // its name, or its extension's
	Path   string // the (first) path in it, or the one that its handle was opened with
	ID     uint32
	packet []byte // type and fields, without the length
	length uint32 // bytes that a READ asks for or a WRITE carries
	handle string
	flags  uint32 // of OPEN
	round  int    // round trip that it belongs to
}

// fields takes fields off the front of a packet; what is missing is zero.
type fields []byte

func (f *fields) u32() uint32 {
	if len(*f) < 4 {
		*f = nil
		return 0
	}
	v := binary.BigEndian.Uint32(*f)
	*f = (*f)[4:]
	return v
}

func (f *fields) skip(n int) { *f = (*f)[min(n, len(*f)):] }

func (f *fields) str() string {
	n := min(int(f.u32()), len(*f))
	s := string((*f)[:n])
	*f = (*f)[n:]
	return s
}

// parse reads as much of a request as the knobs need.
func parse(packet []byte) *request {
	q := &request{packet: packet}
	f := fields(packet[1:])
	q.ID = f.u32()
	kind := packet[0]
	q.Op = opNames[kind]
	if kind == fxpExtended {
		q.Op = f.str()
	}
	switch q.Op {
	case "":
		q.Op = fmt.Sprintf("type %d", kind)
	case "INIT", "limits@openssh.com", "home-directory", "users-groups-by-id@openssh.com":
	case "CLOSE", "FSTAT", "FSETSTAT", "READDIR", "fsync@openssh.com", "fstatvfs@openssh.com", "copy-data":
		q.handle = f.str()
	case "READ", "WRITE":
		q.handle = f.str()
		f.skip(8)
		q.length = f.u32()
	case "OPEN":
		q.Path, q.flags = f.str(), f.u32()
	case "SYMLINK":
		f.str() // the text; the link's own path is what the rules name
		q.Path = f.str()
	default:
		q.Path = f.str()
	}
	return q
}

// changes reports whether a request changes the file system.
func (q *request) changes() bool {
	switch q.Op {
	case "OPEN":
		return q.flags&^1 != 0 // anything but reading
	case "WRITE", "SETSTAT", "FSETSTAT", "REMOVE", "MKDIR", "RMDIR", "RENAME", "SYMLINK", "copy-data",
		"posix-rename@openssh.com", "hardlink@openssh.com", "lsetstat@openssh.com":
		return true
	}
	return false
}

// maxPacket is OpenSSH's; a client that sends more is cut off.
const maxPacket = 256 << 10

// readPacket reads a packet's type and fields.
func readPacket(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n == 0 || n > maxPacket {
		return nil, fmt.Errorf("the client sent a packet of %d bytes", n)
	}
	p := make([]byte, n)
	_, err := io.ReadFull(r, p)
	return p, err
}

// framed puts a packet's length in front of it.
func framed(p []byte) []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(p)), uint32(len(p))), p...)
}

// reply begins a packet of the server's.
func reply(kind byte, id uint32) build { return build{kind}.u32(id) }

type build []byte

func (b build) u32(v uint32) build   { return binary.BigEndian.AppendUint32(b, v) }
func (b build) u64(v uint64) build   { return binary.BigEndian.AppendUint64(b, v) }
func (b build) str(s string) build   { return append(b.u32(uint32(len(s))), s...) }
func (b build) bytes(p []byte) build { return append(b, p...) }

func status(id, code uint32, text string) build {
	return reply(fxpStatus, id).u32(code).str(text).str("")
}
