package sftp

import (
	"encoding/binary"
	"errors"
)

// Packet types (draft-ietf-secsh-filexfer-02, section 3).
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// protocolVersion is the one that OpenSSH, and so nearly everybody, speaks.
const protocolVersion = 3

// maxPacket bounds a packet's length field: OpenSSH's SFTP_MAX_MSG_LENGTH, the
// largest that its server sends, and slack for servers that count the header
// on top.
const maxPacket = 256<<10 + 1024

// maxHandle bounds a handle (section 6.2).
const maxHandle = 256

var errShort = errors.New("a packet ends early")

// decoder reads the fields of a packet. After a field that is not there every
// further one is empty, and err is set: callers look once, at the end.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n < 0 || n > len(d.b) {
		d.err = errShort
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) uint32() uint32 {
	p := d.take(4)
	if p == nil {
		return 0
	}
	return binary.BigEndian.Uint32(p)
}

func (d *decoder) uint64() uint64 {
	p := d.take(8)
	if p == nil {
		return 0
	}
	return binary.BigEndian.Uint64(p)
}

// bytes returns a string's bytes, which are part of the packet.
func (d *decoder) bytes() []byte { return d.take(int(d.uint32())) }

func (d *decoder) string() string { return string(d.bytes()) }

// end returns the error of the whole packet: nothing may be left of it.
func (d *decoder) end() error {
	if d.err == nil && len(d.b) > 0 {
		d.err = errors.New("a packet is longer than its content")
	}
	return d.err
}

func appendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }
func appendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }

func appendString(b []byte, s string) []byte {
	return append(appendUint32(b, uint32(len(s))), s...)
}

// appendPacket appends a packet of a type with an id, whose fields body
// appends.
func appendPacket(b []byte, typ byte, id uint32, body func([]byte) []byte) []byte {
	start := len(b)
	b = appendUint32(b, 0)
	b = append(b, typ)
	b = appendUint32(b, id)
	b = body(b)
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}
