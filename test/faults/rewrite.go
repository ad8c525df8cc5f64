package faults

import (
	"encoding/binary"
	"slices"
)

// rewrite makes an answer fit the knobs that are no lies: extensions that are
// missing, a full or read-only file system.
func (r *Running) rewrite(q *request, packet []byte) []byte {
	r.mu.Lock()
	k := r.sftp
	written := r.written
	r.mu.Unlock()
	switch {
	case packet[0] == fxpVersion && len(k.Without) > 0:
		return without(packet, k.Without)
	case packet[0] == fxpExtendedReply && (q.Op == "statvfs@openssh.com" || q.Op == "fstatvfs@openssh.com"):
		capacity(packet, k, written)
	}
	return packet
}

// without takes extensions out of a VERSION.
func without(packet []byte, names []string) []byte {
	f := fields(packet[1:])
	out := reply(fxpVersion, f.u32())
	for len(f) > 0 {
		name, version := f.str(), f.str()
		if !slices.Contains(names, name) {
			out = out.str(name).str(version)
		}
	}
	return out
}

// Places of fields in a statvfs answer, OpenSSH's PROTOCOL, section 4.4.
const (
	vfsFragment = 5 + 8*1
	vfsFree     = 5 + 8*3
	vfsAvail    = 5 + 8*4
	vfsFlag     = 5 + 8*9
	vfsEnd      = 5 + 8*11

	vfsReadOnly = 1
)

// capacity changes a statvfs answer in place.
func capacity(packet []byte, k SFTP, written int64) {
	if len(packet) < vfsEnd {
		return
	}
	if k.ReadOnly {
		packet[vfsFlag+7] |= vfsReadOnly
	}
	if k.Full != nil && !k.Full.Quota {
		fragment := binary.BigEndian.Uint64(packet[vfsFragment:])
		left := uint64(max(k.Full.After-written, 0)) / max(fragment, 1)
		binary.BigEndian.PutUint64(packet[vfsFree:], left)
		binary.BigEndian.PutUint64(packet[vfsAvail:], left)
	}
}
