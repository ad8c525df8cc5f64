package sandboxd_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// raw speaks SFTP packets, one request at a time.
type raw struct {
	t  *testing.T
	w  io.Writer
	r  io.Reader
	id uint32
}

// Packet types and status codes that the tests name.
const (
	pOpen, pClose, pRead, pWrite, pLstat, pFstat, pSetstat, pFsetstat = 3, 4, 5, 6, 7, 8, 9, 10
	pOpendir, pReaddir, pRemove, pMkdir, pRmdir, pRealpath, pStat     = 11, 12, 13, 14, 15, 16, 17
	pRename, pReadlink, pSymlink, pExtended                           = 18, 19, 20, 200
	pStatus, pHandle, pData, pName, pAttrs, pReply                    = 101, 102, 103, 104, 105, 201

	ok, eof, noSuchFile, denied, failure, badMessage, unsupported = 0, 1, 2, 3, 4, 5, 8
)

// dialRaw opens an SFTP session and exchanges versions.
func dialRaw(t *testing.T, s *sandboxd.Server) *raw {
	t.Helper()
	session, err := dialSSH(t, s).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	w, _ := session.StdinPipe()
	r, _ := session.StdoutPipe()
	if err := session.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	c := &raw{t: t, w: w, r: r}
	c.init()
	return c
}

func (c *raw) init() []byte {
	c.t.Helper()
	if _, err := c.w.Write([]byte{0, 0, 0, 5, 1, 0, 0, 0, 3}); err != nil {
		c.t.Fatal(err)
	}
	return c.read()
}

// attr is an ATTRS structure of a request.
type attr struct {
	flags      uint32
	size       uint64
	uid, gid   uint32
	mode       uint32
	atim, mtim uint32
}

func mode(m uint32) attr { return attr{flags: 4, mode: m} }

// fields encodes a request's fields.
func fields(list ...any) []byte {
	var b []byte
	for _, f := range list {
		switch f := f.(type) {
		case int:
			b = binary.BigEndian.AppendUint32(b, uint32(f))
		case uint32:
			b = binary.BigEndian.AppendUint32(b, f)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, f)
		case string:
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(f))), f...)
		case attr:
			b = append(b, f.encode()...)
		default:
			panic(fmt.Sprintf("a field of type %T", f))
		}
	}
	return b
}

func (a attr) encode() []byte {
	b := fields(a.flags)
	if a.flags&1 != 0 {
		b = append(b, fields(a.size)...)
	}
	if a.flags&2 != 0 {
		b = append(b, fields(a.uid, a.gid)...)
	}
	if a.flags&4 != 0 {
		b = append(b, fields(a.mode)...)
	}
	if a.flags&8 != 0 {
		b = append(b, fields(a.atim, a.mtim)...)
	}
	return b
}

// ask sends a request and returns its answer: type, id and fields.
func (c *raw) ask(kind byte, list ...any) []byte {
	c.t.Helper()
	c.id++
	body := append(append([]byte{kind}, fields(c.id)...), fields(list...)...)
	if _, err := c.w.Write(append(fields(len(body)), body...)); err != nil {
		c.t.Fatal(err)
	}
	p := c.read()
	if got := binary.BigEndian.Uint32(p[1:]); got != c.id {
		c.t.Fatalf("the answer to %d has id %d", c.id, got)
	}
	return p
}

func (c *raw) read() []byte {
	c.t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c.r, size[:]); err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	p := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.r, p); err != nil {
		c.t.Fatalf("no answer: %v", err)
	}
	return p
}

// status asks and returns the status that it is answered with.
func (c *raw) status(kind byte, list ...any) uint32 {
	c.t.Helper()
	p := c.ask(kind, list...)
	if p[0] != pStatus {
		c.t.Fatalf("request %d is answered with %d instead of a status", kind, p[0])
	}
	return binary.BigEndian.Uint32(p[5:])
}

// want asks and checks the status.
func (c *raw) want(code uint32, kind byte, list ...any) {
	c.t.Helper()
	if got := c.status(kind, list...); got != code {
		c.t.Errorf("request %d %q: status %d, want %d", kind, list, got, code)
	}
}

// get asks and returns the fields of an answer of the type that is wanted.
func (c *raw) get(want byte, kind byte, list ...any) []byte {
	c.t.Helper()
	p := c.ask(kind, list...)
	if p[0] != want {
		c.t.Fatalf("request %d %q is answered with %d %q, want type %d", kind, list, p[0], p[5:], want)
	}
	return p[5:]
}

// text takes a string off the front of fields.
func text(p *[]byte) string {
	n := binary.BigEndian.Uint32(*p)
	s := string((*p)[4 : 4+n])
	*p = (*p)[4+n:]
	return s
}

func (c *raw) handle(kind byte, list ...any) string {
	c.t.Helper()
	p := c.get(pHandle, kind, list...)
	return text(&p)
}

// attrs decodes an ATTRS answer.
func (c *raw) attrs(kind byte, list ...any) attr {
	c.t.Helper()
	p := c.get(pAttrs, kind, list...)
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(p[at:]) }
	return attr{u32(0), binary.BigEndian.Uint64(p[4:]), u32(12), u32(16), u32(20), u32(24), u32(28)}
}

// name asks for one name.
func (c *raw) name(kind byte, list ...any) string {
	c.t.Helper()
	p := c.get(pName, kind, list...)[4:]
	return text(&p)
}
