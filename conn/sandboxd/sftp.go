package sandboxd

import (
	"encoding/binary"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// session is one SFTP session. Like OpenSSH's sftp-server it carries out one
// request at a time, in the order of arrival, and answers in that order. It is
// served by one goroutine.
type session struct {
	tree
	srv     *Server
	rw      io.ReadWriteCloser
	handles []*handle // by number; nil where free
	free    []int     // their numbers, in the order of closing
	out     []byte    // the reply being built, reused
	names   names
}

func newSession(srv *Server, rw io.ReadWriteCloser) *session {
	return &session{tree: tree{root: srv.root, home: srv.o.Home}, srv: srv, rw: rw}
}

// handle is an open file or directory.
type handle struct {
	name   string // path that it was opened with
	file   *os.File
	dir    bool
	append bool
	read   bool     // dir: a first READDIR has listed "." and ".."
	rest   []string // dir: names read and not yet answered
}

// serve answers requests until the client ends or breaks the protocol.
func (s *session) serve() error {
	var buf []byte
	var err error
	for {
		if buf, err = readPacket(s.rw, buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		d := &decoder{b: buf[1:]}
		reply, err := s.answer(buf[0], d)
		if err != nil {
			return err
		}
		if reply == nil {
			continue
		}
		if _, err := s.rw.Write(reply); err != nil {
			return err
		}
		s.out = reply
	}
}

// close closes what the client left open.
func (s *session) close() {
	for _, h := range s.handles {
		if h != nil {
			_ = h.file.Close()
		}
	}
	s.handles = nil
}

// answer carries one request out and returns its reply, nil for none. An error
// ends the session.
func (s *session) answer(kind byte, d *decoder) ([]byte, error) {
	if kind == fxpInit {
		return s.version(d)
	}
	id := d.u32()
	op := operations[kind]
	if d.bad {
		return nil, errMalformed
	}
	if op == nil {
		return nil, nil // OpenSSH logs it and gives no answer
	}
	reply, err := op(s, id, d)
	if d.bad {
		return nil, errMalformed
	}
	if err != nil || reply == nil {
		return s.status(id, statusOf(err)), nil
	}
	return reply.finish(), nil
}

// operations answer one request each: with a packet, or with nil and an error
// for a status. They must have decoded all before they do anything, and do
// nothing when the decoder is bad.
var operations = [256]func(s *session, id uint32, d *decoder) (packet, error){
	fxpOpen:     (*session).open,
	fxpClose:    (*session).closeHandle,
	fxpRead:     (*session).readFile,
	fxpWrite:    (*session).writeFile,
	fxpLstat:    (*session).lstat,
	fxpStat:     (*session).stat,
	fxpFstat:    (*session).fstat,
	fxpSetstat:  (*session).setstat,
	fxpFsetstat: (*session).fsetstat,
	fxpOpendir:  (*session).opendir,
	fxpReaddir:  (*session).readdir,
	fxpRemove:   (*session).remove,
	fxpMkdir:    (*session).mkdir,
	fxpRmdir:    (*session).rmdir,
	fxpRealpath: (*session).realpath,
	fxpRename:   (*session).rename,
	fxpReadlink: (*session).readlink,
	fxpSymlink:  (*session).symlink,
	fxpExtended: (*session).extended,
}

func (s *session) status(id, code uint32) []byte {
	return newPacket(s.out, fxpStatus, id).u32(code).str(statusText[code]).str("").finish()
}

// version answers INIT with version 3 and the extensions.
func (s *session) version(d *decoder) ([]byte, error) {
	if d.u32(); d.bad {
		return nil, errMalformed
	}
	p := newPacket(s.out, fxpVersion, 3)
	for _, name := range s.srv.o.Extensions {
		p = p.str(name).str(extensions[name].version)
	}
	return p.finish(), nil
}

// put stores a handle and answers with its number: that of the last one closed,
// so that numbers come back soon, as OpenSSH's do.
func (s *session) put(id uint32, h *handle) (packet, error) {
	n := len(s.handles)
	if last := len(s.free) - 1; last >= 0 {
		n, s.free = s.free[last], s.free[:last]
		s.handles[n] = h
	} else if n >= s.srv.o.MaxHandles {
		_ = h.file.Close()
		return nil, unix.EMFILE
	} else {
		s.handles = append(s.handles, h)
	}
	return newPacket(s.out, fxpHandle, id).u32(4).u32(uint32(n)), nil
}

// number decodes a handle's number; -1 for none.
func (s *session) number(d *decoder) int {
	b := d.bytes()
	if len(b) != 4 {
		return -1
	}
	n := int(binary.BigEndian.Uint32(b))
	if n >= len(s.handles) || s.handles[n] == nil {
		return -1
	}
	return n
}

// errHandle is a handle that is closed or of the wrong kind: a failure, where
// CLOSE and fsync say "no such file".
var errHandle = errors.New("bad handle")

// fileHandle and dirHandle decode a handle of a file or directory; nil for
// none.
func (s *session) fileHandle(d *decoder) *handle { return s.handle(d, false) }
func (s *session) dirHandle(d *decoder) *handle  { return s.handle(d, true) }

func (s *session) handle(d *decoder, dir bool) *handle {
	if n := s.number(d); n >= 0 && s.handles[n].dir == dir {
		return s.handles[n]
	}
	return nil
}
