package conn

import "time"

// Attr is what a server says of a file: SFTP version 3 attributes
// (draft-ietf-secsh-filexfer-02, section 5), which know whole seconds and no
// inode numbers.
type Attr struct {
	Size  int64 // bytes
	Mtime int64 // seconds since 1970, modification
	Atime int64 // seconds since 1970, access
	Mode  Mode  // type and permission bits, as in st_mode
	UID   uint32
	GID   uint32
	Nlink uint32 // 0: not told; only listings tell it, in their long names
}

// Mode is a file's type and permission bits with the values that POSIX
// systems and SFTP share.
type Mode uint32

// The type bits of a Mode, and the permission bits.
const (
	TypeMask    Mode = 0o170000
	TypeSocket  Mode = 0o140000
	TypeSymlink Mode = 0o120000
	TypeRegular Mode = 0o100000
	TypeBlock   Mode = 0o060000
	TypeDir     Mode = 0o040000
	TypeChar    Mode = 0o020000
	TypeFIFO    Mode = 0o010000
	PermMask    Mode = 0o7777 // rwx bits, set-uid, set-gid, sticky
)

// Type returns the type bits alone.
func (m Mode) Type() Mode { return m & TypeMask }

// Perm returns the permission bits alone.
func (m Mode) Perm() Mode { return m & PermMask }

// IsDir reports whether m is a directory's.
func (m Mode) IsDir() bool { return m.Type() == TypeDir }

// IsRegular reports whether m is a regular file's.
func (m Mode) IsRegular() bool { return m.Type() == TypeRegular }

// IsSymlink reports whether m is a symbolic link's.
func (m Mode) IsSymlink() bool { return m.Type() == TypeSymlink }

// SetMask says which fields of a SetAttr count.
type SetMask uint8

// Owner and group travel together in SFTP version 3, as do both times: who
// wants to set one of a pair gives the other as it is.
const (
	SetSize SetMask = 1 << iota
	SetMode
	SetOwner // UID and GID
	SetTimes // Atime and Mtime
)

// SetAttr is a change of attributes.
type SetAttr struct {
	Valid SetMask
	Attr  // the fields that Valid names
}

// Entry is one name of a listing: exact bytes, never "", ".", ".." or with a
// slash or NUL in it (those are left out and counted).
type Entry struct {
	Name string
	Attr Attr // of the entry itself, not of what a symbolic link leads to
}

// Listing is a directory's content, or a part of it.
type Listing struct {
	Entries  []Entry // in the server's order
	Complete bool    // these are the last: false where List's max was reached first
	Unusable int     // entries left out because no local name can be given

	// Asked is when the server was asked for these entries, by time.Now: it
	// looked at each of them after that. Zero: when List was called.
	Asked time.Time
}

// StatFS is a file system's capacity, from statvfs@openssh.com.
type StatFS struct {
	BlockSize                       uint64 // bytes in a block of the counts below
	Blocks, BlocksFree, BlocksAvail uint64
	Files, FilesFree, FilesAvail    uint64
	NameMax                         uint64
	ReadOnly                        bool
}
