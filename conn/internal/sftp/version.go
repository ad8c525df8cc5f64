package sftp

import (
	"encoding/binary"
	"io"
)

// Server is what a server told of itself: the extensions that this package
// uses, and its limits.
type Server struct {
	PosixRename bool // posix-rename@openssh.com
	StatVFS     bool
	Hardlink    bool
	Fsync       bool
	Lsetstat    bool
	CopyData    bool // copy-data
	UsersGroups bool // users-groups-by-id@openssh.com
	Limits
	Home     string // where a relative path starts; "" where it would not tell
	HomeAttr Attr
}

// defaultIO is the size of reads and writes that every server must serve
// (section 3: packets of 34,000 bytes).
const defaultIO = 32 << 10

// maxIO is the largest read or write of ours: what OpenSSH serves, and what
// fits a packet.
const maxIO = 255 << 10

// The versions of the extensions that are known here.
var extensions = []struct {
	name, version string
	field         func(*Server) *bool
}{
	{"posix-rename@openssh.com", "1", func(s *Server) *bool { return &s.PosixRename }},
	{"statvfs@openssh.com", "2", func(s *Server) *bool { return &s.StatVFS }},
	{"hardlink@openssh.com", "1", func(s *Server) *bool { return &s.Hardlink }},
	{"fsync@openssh.com", "1", func(s *Server) *bool { return &s.Fsync }},
	{"lsetstat@openssh.com", "1", func(s *Server) *bool { return &s.Lsetstat }},
	{"copy-data", "1", func(s *Server) *bool { return &s.CopyData }},
	{"users-groups-by-id@openssh.com", "1", func(s *Server) *bool { return &s.UsersGroups }},
}

// hello reads the answer to INIT.
func (r *reader) hello() error {
	if _, err := io.ReadFull(r.br, r.head[:5]); err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(r.head[:4]))
	if length < 5 || length > maxPacket || r.head[4] != typeVersion {
		return broken("the first packet is not VERSION")
	}
	body, err := r.body(int(length) - 1)
	if err != nil {
		return err
	}
	s, err := decodeVersion(body)
	if err != nil {
		return err
	}
	r.c.told = s
	return nil
}

func decodeVersion(body []byte) (Server, error) {
	s := Server{Limits: Limits{Packet: 34000, Read: defaultIO, Write: defaultIO}}
	d := &decoder{b: body}
	if v := d.uint32(); d.err == nil && v != protocolVersion {
		return s, broken("a version that was not asked for")
	}
	for d.err == nil && len(d.b) > 0 {
		name, version := d.bytes(), d.bytes()
		for _, e := range extensions {
			if d.err == nil && string(name) == e.name && string(version) == e.version {
				*e.field(&s) = true
			}
		}
	}
	if d.err != nil {
		return s, brokenBy(d.err)
	}
	return s, nil
}

// limits asks for limits@openssh.com. It does not wait to hear whether the
// server has that: one without answers that it is unsupported.
func (c *Client) limits(done func(Limits, error)) {
	c.start(request(typeExtended, typeExtendedReply, stringsOf([]string{"limits@openssh.com"}), (*decoder).limits, done))
}

// take adopts what the server states, as far as it makes sense: zero means
// that there is no limit.
func (l *Limits) take(told Limits) {
	bound := func(v uint64) uint64 {
		if v == 0 {
			return maxIO
		}
		return min(max(v, 1024), maxIO)
	}
	l.Packet, l.Read, l.Write, l.Handles = told.Packet, bound(told.Read), bound(told.Write), told.Handles
	if told.Packet > 1<<11 {
		room := told.Packet - 1<<10 // a WRITE's header, with its handle
		l.Read, l.Write = min(l.Read, room), min(l.Write, room)
	}
}
