package sandboxd

import (
	"encoding/binary"
	"errors"
	"io"
)

// Packet types, draft-ietf-secsh-filexfer-02, section 3.
const (
	fxpInit          = 1
	fxpVersion       = 2
	fxpOpen          = 3
	fxpClose         = 4
	fxpRead          = 5
	fxpWrite         = 6
	fxpLstat         = 7
	fxpFstat         = 8
	fxpSetstat       = 9
	fxpFsetstat      = 10
	fxpOpendir       = 11
	fxpReaddir       = 12
	fxpRemove        = 13
	fxpMkdir         = 14
	fxpRmdir         = 15
	fxpRealpath      = 16
	fxpStat          = 17
	fxpRename        = 18
	fxpReadlink      = 19
	fxpSymlink       = 20
	fxpStatus        = 101
	fxpHandle        = 102
	fxpData          = 103
	fxpName          = 104
	fxpAttrs         = 105
	fxpExtended      = 200
	fxpExtendedReply = 201
)

// Limits of OpenSSH's sftp-common.h and sftp-server.c.
const (
	maxPacket = 256 << 10
	maxData   = maxPacket - 1024 // in a READ or WRITE
	nameBatch = 100              // entries in a READDIR's reply
)

var errMalformed = errors.New("malformed SFTP packet")

// decoder takes a packet's fields off its front. After the first that does not
// fit it is bad and returns zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.b) {
		d.bad = true
		return nil
	}
	p := d.b[:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u32() uint32 {
	p := d.take(4)
	if p == nil {
		return 0
	}
	return binary.BigEndian.Uint32(p)
}

func (d *decoder) u64() uint64 {
	p := d.take(8)
	if p == nil {
		return 0
	}
	return binary.BigEndian.Uint64(p)
}

// bytes returns a string's bytes in place.
func (d *decoder) bytes() []byte {
	n := d.u32()
	if n > maxPacket {
		d.bad = true
		return nil
	}
	return d.take(int(n))
}

func (d *decoder) str() string { return string(d.bytes()) }

// attrs reads an ATTRS structure, section 5.
func (d *decoder) attrs() attrs {
	a := attrs{flags: d.u32()}
	if a.flags&attrSize != 0 {
		a.size = d.u64()
	}
	if a.flags&attrOwner != 0 {
		a.uid, a.gid = d.u32(), d.u32()
	}
	if a.flags&attrMode != 0 {
		a.mode = d.u32()
	}
	if a.flags&attrTimes != 0 {
		a.atime, a.mtime = d.u32(), d.u32()
	}
	if a.flags&attrExtended != 0 {
		for n := d.u32(); n > 0 && !d.bad; n-- {
			d.bytes()
			d.bytes()
		}
	}
	return a
}

// Flags of an ATTRS structure.
const (
	attrSize     = 0x00000001
	attrOwner    = 0x00000002
	attrMode     = 0x00000004
	attrTimes    = 0x00000008
	attrExtended = 0x80000000
)

// attrs is an ATTRS structure: what its flags name.
type attrs struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32 // seconds since 1970, modulo 2^32
}

// packet is one being built, with room for its length in front.
type packet []byte

func newPacket(buf []byte, kind byte, id uint32) packet {
	p := append(packet(buf[:0]), 0, 0, 0, 0, kind)
	return p.u32(id)
}

func (p packet) u32(v uint32) packet { return binary.BigEndian.AppendUint32(p, v) }
func (p packet) u64(v uint64) packet { return binary.BigEndian.AppendUint64(p, v) }
func (p packet) str(s string) packet { return append(p.u32(uint32(len(s))), s...) }

func (p packet) attrs(a attrs) packet {
	p = p.u32(a.flags)
	if a.flags&attrSize != 0 {
		p = p.u64(a.size)
	}
	if a.flags&attrOwner != 0 {
		p = p.u32(a.uid).u32(a.gid)
	}
	if a.flags&attrMode != 0 {
		p = p.u32(a.mode)
	}
	if a.flags&attrTimes != 0 {
		p = p.u32(a.atime).u32(a.mtime)
	}
	return p
}

// finish fills in the length.
func (p packet) finish() []byte {
	binary.BigEndian.PutUint32(p, uint32(len(p)-4))
	return p
}

// readPacket reads one packet into buf, which it may replace by a larger one:
// its type and what follows.
func readPacket(r io.Reader, buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return buf, err // io.EOF between two packets is the end
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n < 1 || n > maxPacket {
		return buf, errMalformed
	}
	if cap(buf) < n {
		buf = make([]byte, n, max(n, 4<<10))
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return buf, io.ErrUnexpectedEOF
	}
	return buf, nil
}
