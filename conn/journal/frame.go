package journal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/fxamacker/cbor/v2"

	"github.com/sbxmount/sbxmount/conn"
)

// op is what a record is about.
type op uint8

// The numbers are those in files: they stay.
const (
	opOf       op = 1 // the first record: whose journal it is
	opAnswered op = 2 // the change Seq was answered
	opMkdir    op = 3
	opSymlink  op = 4
	opLink     op = 5
	opRename   op = 6
	opUnlink   op = 7
	opRmdir    op = 8
	opSetAttr  op = 9
	opOpen     op = 10 // an open that makes or empties a file
	opWrite    op = 11
	opAppend   op = 12
)

var opNames = map[op]string{
	opMkdir: "mkdir", opSymlink: "symlink", opLink: "link", opRename: "rename", opUnlink: "unlink",
	opRmdir: "rmdir", opSetAttr: "setattr", opOpen: "create", opWrite: "write", opAppend: "append",
}

// record is one change, as it was started.
type record struct {
	Op      op             `cbor:"1,keyasint"`
	Seq     uint64         `cbor:"2,keyasint,omitempty"`
	Path    []byte         `cbor:"3,keyasint,omitempty"` // exact bytes, at the time of the start
	To      []byte         `cbor:"4,keyasint,omitempty"` // rename, link: the new name; symlink: the text
	Replace bool           `cbor:"5,keyasint,omitempty"`
	Perm    conn.Mode      `cbor:"6,keyasint,omitempty"`
	Flags   conn.OpenFlags `cbor:"7,keyasint,omitempty"`
	Off     int64          `cbor:"8,keyasint,omitempty"` // append: where the end was thought to be
	Data    []byte         `cbor:"9,keyasint,omitempty"`
	Valid   conn.SetMask   `cbor:"10,keyasint,omitempty"`
	Size    int64          `cbor:"11,keyasint,omitempty"`
	UID     uint32         `cbor:"12,keyasint,omitempty"`
	GID     uint32         `cbor:"13,keyasint,omitempty"`
	Atime   int64          `cbor:"14,keyasint,omitempty"`
	Mtime   int64          `cbor:"15,keyasint,omitempty"`

	weight int64 // its bytes in the file; set by Journal.add
}

func (r *record) String() string {
	s := opNames[r.Op] + " " + string(r.Path)
	switch r.Op {
	case opWrite, opAppend:
		return fmt.Sprintf("%s: %d bytes at %d", s, len(r.Data), r.Off)
	case opRename, opLink, opSymlink:
		return s + " to " + string(r.To)
	}
	return s
}

func (r *record) set() conn.SetAttr {
	return conn.SetAttr{Valid: r.Valid, Attr: conn.Attr{
		Size: r.Size, Mode: r.Perm, UID: r.UID, GID: r.GID, Atime: r.Atime, Mtime: r.Mtime,
	}}
}

func setRecord(path string, s conn.SetAttr) record {
	return record{
		Op: opSetAttr, Path: []byte(path), Valid: s.Valid, Size: s.Size, Perm: s.Mode,
		UID: s.UID, GID: s.GID, Atime: s.Atime, Mtime: s.Mtime,
	}
}

// A frame is the payload's length and its CRC-32C, four bytes each, little
// endian, and the payload.
const frameHead = 8

// maxFrame bounds a payload: the largest write of one request is far below.
const maxFrame = 4 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// magic begins every journal; its number changes with the format.
const magic = "sbxmount journal 1\n"

func frame(r *record) ([]byte, error) {
	payload, err := cbor.Marshal(r)
	if err != nil {
		return nil, err
	}
	b := make([]byte, frameHead, frameHead+len(payload))
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(payload, castagnoli))
	return append(b, payload...), nil
}

var (
	errNoJournal = errors.New("not a journal")
	errTorn      = errors.New("its end is torn")
)

// content is a journal that was read.
type content struct {
	of      []byte   // whose it is
	pending []record // what was not answered, in order
	torn    bool     // something followed that could not be read
}

// read reads a journal. Whatever its bytes are, it ends with what could be read
// or with errNoJournal; a record is at most as large as its frame.
func read(in io.Reader) (*content, error) {
	b := bufio.NewReaderSize(in, 1<<20)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(b, head); err != nil || string(head) != magic {
		return nil, errNoJournal
	}
	first, err := next(b)
	if err != nil || first.Op != opOf {
		return nil, errNoJournal
	}
	c := &content{of: first.Data}
	answered := map[uint64]bool{}
	var all []record
	for {
		r, err := next(b)
		if err != nil {
			c.torn = err != io.EOF
			break
		}
		if r.Op == opAnswered {
			answered[r.Seq] = true
			continue
		}
		all = append(all, *r)
	}
	for _, r := range all {
		if !answered[r.Seq] {
			c.pending = append(c.pending, r)
		}
	}
	return c, nil
}

// next reads one record; io.EOF at a clean end.
func next(b *bufio.Reader) (*record, error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		if err == io.EOF {
			return nil, io.EOF
		}
		return nil, errTorn
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, errTorn
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(b, payload); err != nil || crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, errTorn
	}
	r := &record{}
	if err := cbor.Unmarshal(payload, r); err != nil || !r.sound() {
		return nil, errTorn
	}
	return r, nil
}

// sound reports whether a record can be carried out at all.
func (r *record) sound() bool {
	switch {
	case r.Op == opOf || r.Op == opAnswered:
		return true
	case opNames[r.Op] == "" || len(r.Path) == 0 || r.Path[0] != '/' || r.Off < 0 || r.Size < 0:
		return false
	case r.Op == opRename || r.Op == opLink:
		return len(r.To) > 0 && r.To[0] == '/'
	}
	return true
}
