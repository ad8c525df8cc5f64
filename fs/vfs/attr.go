package vfs

import (
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Attr is what stat(2) shows of an inode, owners as on the server.
type Attr struct {
	Ino                 uint64
	Size                int64     // bytes
	Blocks              int64     // of 512 bytes, as if the file had no holes
	Mode                conn.Mode // type and permission bits
	Nlink               uint32
	UID, GID            uint32
	Atime, Mtime, Ctime time.Time
	Valid               time.Duration // how long it may be cached
}

// Entry is a name's answer. Node 0 with Valid > 0 says that the name is known
// to be missing for that long. An Entry with a Node carries a reference, to be
// given back by Forget.
type Entry struct {
	Node  NodeID
	Attr  Attr
	Valid time.Duration // how long the name may be taken for this node
}

// SetMask says which fields of a SetAttr count.
type SetMask uint16

// Each field alone. SetAtimeNow and SetMtimeNow take the server's present
// time, as well as we know it, instead of the fields' values.
const (
	SetSize SetMask = 1 << iota
	SetMode
	SetUID
	SetGID
	SetAtime
	SetMtime
	SetAtimeNow
	SetMtimeNow
)

// SetAttr is a change of attributes.
type SetAttr struct {
	Valid        SetMask
	Size         int64
	Mode         conn.Mode // permission bits; type bits are ignored
	UID, GID     uint32    // as on the server
	Atime, Mtime time.Time // whole seconds reach the server
}

// DirEntry is one name of a directory that is being read.
type DirEntry struct {
	Name   string
	Mode   conn.Mode // the type bits
	Ino    uint64
	Cookie uint64 // where to go on after this entry
	Entry  Entry  // filled by ReadPlus alone; Node 0 for "." and ".."
}
