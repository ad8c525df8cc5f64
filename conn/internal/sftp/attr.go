package sftp

import "errors"

// Attr is a file's attributes on the wire (section 5). Valid says which are
// there.
type Attr struct {
	Valid        AttrMask
	Size         uint64
	UID, GID     uint32
	Mode         uint32 // type and permission bits
	Atime, Mtime uint32 // seconds since 1970
}

// AttrMask is the flags field of an Attr.
type AttrMask uint32

// The fields of an Attr.
const (
	AttrSize     AttrMask = 1 << 0
	AttrOwner    AttrMask = 1 << 1
	AttrMode     AttrMask = 1 << 2
	AttrTimes    AttrMask = 1 << 3
	attrExtended AttrMask = 1 << 31
	attrKnown             = AttrSize | AttrOwner | AttrMode | AttrTimes | attrExtended
)

// maxExtended bounds the number of extended attributes, none of which is used.
const maxExtended = 64

func appendAttr(b []byte, a Attr) []byte {
	valid := a.Valid &^ attrExtended
	b = appendUint32(b, uint32(valid))
	if valid&AttrSize != 0 {
		b = appendUint64(b, a.Size)
	}
	if valid&AttrOwner != 0 {
		b = appendUint32(appendUint32(b, a.UID), a.GID)
	}
	if valid&AttrMode != 0 {
		b = appendUint32(b, a.Mode)
	}
	if valid&AttrTimes != 0 {
		b = appendUint32(appendUint32(b, a.Atime), a.Mtime)
	}
	return b
}

func (d *decoder) attr() Attr {
	var a Attr
	flags := AttrMask(d.uint32())
	if d.err == nil && flags&^attrKnown != 0 {
		d.err = errors.New("attributes of an unknown kind")
		return a
	}
	a.Valid = flags &^ attrExtended
	if flags&AttrSize != 0 {
		a.Size = d.uint64()
	}
	if flags&AttrOwner != 0 {
		a.UID, a.GID = d.uint32(), d.uint32()
	}
	if flags&AttrMode != 0 {
		a.Mode = d.uint32()
	}
	if flags&AttrTimes != 0 {
		a.Atime, a.Mtime = d.uint32(), d.uint32()
	}
	if flags&attrExtended != 0 {
		n := d.uint32()
		if n > maxExtended {
			d.err = errors.New("too many extended attributes")
		}
		for ; n > 0 && d.err == nil; n-- {
			d.bytes()
			d.bytes()
		}
	}
	return a
}

// StatVFS is the answer to statvfs@openssh.com.
type StatVFS struct {
	Bsize, Frsize         uint64 // bytes
	Blocks, Bfree, Bavail uint64 // in units of Frsize
	Files, Ffree, Favail  uint64
	FSID                  uint64
	Flag                  uint64 // 1: read-only, 2: no set-id
	NameMax               uint64
}

func (d *decoder) statVFS() StatVFS {
	return StatVFS{
		Bsize: d.uint64(), Frsize: d.uint64(),
		Blocks: d.uint64(), Bfree: d.uint64(), Bavail: d.uint64(),
		Files: d.uint64(), Ffree: d.uint64(), Favail: d.uint64(),
		FSID: d.uint64(), Flag: d.uint64(), NameMax: d.uint64(),
	}
}

// Limits is the answer to limits@openssh.com, and what holds without it.
type Limits struct {
	Packet, Read, Write, Handles uint64 // bytes; Handles: 0 where not told
}

func (d *decoder) limits() Limits {
	return Limits{Packet: d.uint64(), Read: d.uint64(), Write: d.uint64(), Handles: d.uint64()}
}
