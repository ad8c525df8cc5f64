package conn

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/sbxmount/sbxmount/conn/internal/sftp"
)

// ownSession is a session of conn/internal/sftp.
type ownSession struct {
	c    *sftp.Client
	able features
}

var _ session = (*ownSession)(nil)

// openOwn makes a session with our own client.
func openOwn(ctx context.Context, channel io.ReadWriteCloser, known *features) (session, error) {
	s := &ownSession{c: sftp.New(channel)}
	if known != nil {
		s.able = *known
		return s, nil
	}
	server, err := s.c.Wait(ctx)
	if err != nil {
		_ = s.c.Close()
		return nil, lostCause(err)
	}
	s.able = features{
		maxRead: int(server.Limits.Read), maxWrite: int(server.Limits.Write),
		maxHandles:  int(min(server.Handles, math.MaxInt32)),
		posixRename: server.PosixRename, statvfs: server.StatVFS, hardlink: server.Hardlink,
		fsync: server.Fsync, lsetstat: server.Lsetstat, copyData: server.CopyData, usersGroups: server.UsersGroups,
		home: server.Home,
	}
	if a, err := fromWire(server.HomeAttr); err == nil {
		s.able.homeAttr = a
	}
	return s, nil
}

func (s *ownSession) features() features       { return s.able }
func (s *ownSession) close() error             { return s.c.Close() }
func (s *ownSession) ended() <-chan struct{}   { return s.c.Ended() }
func (s *ownSession) withdraw(r *request) bool { return s.c.Cancel(r.tag.(*sftp.Request)) }

func (s *ownSession) cause() error { return &lostError{sent: true, cause: lostCause(s.c.Cause())} }

// lostCause makes an *Error of why a session of conn/internal/sftp ended.
func lostCause(err error) error {
	kind := NotConnected
	switch {
	case errors.Is(err, sftp.ErrProtocol):
		kind = Protocol
	case errors.Is(err, sftp.ErrClosed):
		kind = Closed
	}
	return &Error{Op: "connection", Kind: kind, Err: err}
}

// start hands r on, by its kind.
func (s *ownSession) start(r *request) {
	c, done := s.c, func(err error) { s.finish(r, err) }
	attr := func(a sftp.Attr, err error) {
		if err == nil {
			r.attr, err = fromWire(a)
		}
		s.finish(r, err)
	}
	text := func(t string, err error) {
		r.text = t
		s.finish(r, err)
	}
	switch r.kind {
	case reqRealpath:
		r.tag = c.Realpath(r.path, text)
	case reqReadlink:
		r.tag = c.Readlink(r.path, text)
	case reqLstat:
		r.tag = c.Lstat(r.path, attr)
	case reqStat:
		r.tag = c.Stat(r.path, attr)
	case reqFstat:
		r.tag = c.Fstat(string(r.handle), attr)
	case reqList:
		r.tag = c.List(r.path, r.max, some(r), func(l sftp.Listing, err error) { s.listed(r, l, err) })
	case reqSetstat:
		r.tag = c.Setstat(r.path, toWire(r.set), done)
	case reqLsetstat:
		r.tag = c.Lsetstat(r.path, toWire(r.set), done)
	case reqFsetstat:
		r.tag = c.Fsetstat(string(r.handle), toWire(r.set), done)
	case reqMkdir:
		r.tag = c.Mkdir(r.path, uint32(r.perm.Perm()), done)
	case reqSymlink:
		r.tag = c.Symlink(r.to, r.path, done)
	case reqLink:
		r.tag = c.Link(r.path, r.to, done)
	case reqRename:
		r.tag = c.Rename(r.path, r.to, done)
	case reqPosixRename:
		r.tag = c.PosixRename(r.path, r.to, done)
	case reqUnlink:
		r.tag = c.Remove(r.path, done)
	case reqRmdir:
		r.tag = c.Rmdir(r.path, done)
	default:
		s.startData(r, done)
	}
}

// startData hands on what is about open files, and the file system.
func (s *ownSession) startData(r *request, done func(error)) {
	c := s.c
	switch r.kind {
	case reqStatvfs:
		r.tag = c.StatVFS(r.path, func(v sftp.StatVFS, err error) {
			r.statfs, r.fsid = statFS(v), v.FSID
			s.finish(r, err)
		})
	case reqOpen:
		r.tag = c.Open(r.path, openBits(r.flags), uint32(r.perm.Perm()), func(h string, err error) {
			r.opened = handle(h)
			s.finish(r, err)
		})
	case reqClose:
		r.tag = c.CloseHandle(string(r.handle), done)
	case reqRead:
		r.tag = c.Read(string(r.handle), r.buf, uint64(r.off), func(n int, err error) {
			r.n = n
			s.finish(r, err)
		})
	case reqWrite:
		r.tag = c.Write(string(r.handle), r.buf, uint64(r.off), done)
	case reqFsync:
		r.tag = c.Fsync(string(r.handle), done)
	case reqCopy:
		r.tag = c.CopyData(string(r.handle), uint64(r.off), uint64(r.size), string(r.dst), uint64(r.dstOff), done)
	}
}

// finish answers r.
func (s *ownSession) finish(r *request, err error) {
	var (
		status *sftp.StatusError
		lost   *sftp.LostError
		known  *Error
	)
	switch {
	case err == nil, err == io.EOF && r.kind == reqRead, errors.As(err, &known):
		r.err = err
	case err == io.EOF:
		r.err = newStatusError(r, fxEOF, "end of file")
	case errors.As(err, &status):
		r.err = newStatusError(r, status.Code, status.Message)
	case errors.As(err, &lost):
		r.err = &lostError{sent: lost.Sent, cause: lostCause(lost.Cause)}
	case errors.Is(err, sftp.ErrTooLarge):
		r.err = &Error{Op: reqNames[r.kind], Path: r.path, Kind: NoMemory, Err: err}
	default:
		r.err = &Error{Op: reqNames[r.kind], Path: r.path, Kind: Other, Err: err}
	}
	r.done(r)
}

func (s *ownSession) listed(r *request, l sftp.Listing, err error) {
	if err == nil {
		r.listing = listingFromWire(l)
	}
	s.finish(r, err)
}

// some is r.some for what the session tells, nil where r has none.
func some(r *request) func(sftp.Listing) {
	if r.some == nil {
		return nil
	}
	return func(l sftp.Listing) { r.some(listingFromWire(l)) }
}

// listingFromWire leaves out and counts entries with impossible attributes.
func listingFromWire(l sftp.Listing) Listing {
	out := Listing{Complete: l.Complete, Unusable: l.Unusable, Asked: l.Asked, Entries: make([]Entry, 0, len(l.Entries))}
	for i := range l.Entries {
		e := &l.Entries[i]
		a, bad := fromWire(e.Attr)
		if bad != nil {
			out.Unusable++
			continue
		}
		a.Nlink = e.Nlink
		out.Entries = append(out.Entries, Entry{Name: e.Name, Attr: a})
	}
	return out
}

var errAttr = errors.New("the server told impossible attributes")

// fromWire makes an Attr of what a server told: it must say type and size, and
// the size must be one that a file can have.
func fromWire(a sftp.Attr) (Attr, error) {
	const all = sftp.AttrSize | sftp.AttrMode
	if a.Valid&all != all || a.Size > math.MaxInt64 {
		return Attr{}, &Error{Op: "attributes", Kind: Other, Err: errAttr}
	}
	mode := Mode(a.Mode) & (TypeMask | PermMask)
	switch mode.Type() {
	case TypeSocket, TypeSymlink, TypeRegular, TypeBlock, TypeDir, TypeChar, TypeFIFO:
	default:
		return Attr{}, &Error{Op: "attributes", Kind: Other, Err: errAttr}
	}
	return Attr{
		Size: int64(a.Size), Mode: mode, UID: a.UID, GID: a.GID,
		Atime: fromSeconds(a.Atime), Mtime: fromSeconds(a.Mtime),
	}, nil
}

// Times have 32 bits on the wire. OpenSSH cuts them off, so that a time before
// 1970 looks like one after 2038: of the two, what is more than a day and some
// decades ahead is taken for the past.
const lastTime = 0xC000_0000 // in 2072

func fromSeconds(v uint32) int64 {
	if v >= lastTime {
		return int64(int32(v))
	}
	return int64(v)
}

func toSeconds(v int64) uint32 { return uint32(max(math.MinInt32/2, min(v, lastTime-1))) }

func toWire(set SetAttr) sftp.Attr {
	a := sftp.Attr{
		Size: uint64(set.Size), UID: set.UID, GID: set.GID, Mode: uint32(set.Mode.Perm()),
		Atime: toSeconds(set.Atime), Mtime: toSeconds(set.Mtime),
	}
	for _, f := range [...]struct {
		ours SetMask
		wire sftp.AttrMask
	}{{SetSize, sftp.AttrSize}, {SetMode, sftp.AttrMode}, {SetOwner, sftp.AttrOwner}, {SetTimes, sftp.AttrTimes}} {
		if set.Valid&f.ours != 0 {
			a.Valid |= f.wire
		}
	}
	return a
}

func openBits(flags OpenFlags) uint32 {
	var bits uint32
	for _, f := range [...]struct {
		ours OpenFlags
		wire uint32
	}{
		{OpenRead, sftp.OpenRead}, {OpenWrite, sftp.OpenWrite}, {OpenAppend, sftp.OpenAppend},
		{OpenCreate, sftp.OpenCreate}, {OpenExcl, sftp.OpenExcl}, {OpenTrunc, sftp.OpenTrunc},
	} {
		if flags&f.ours != 0 {
			bits |= f.wire
		}
	}
	return bits
}

func statFS(v sftp.StatVFS) StatFS {
	const readOnly = 1
	size := v.Frsize
	if size == 0 {
		size = v.Bsize
	}
	return StatFS{
		BlockSize: size, Blocks: v.Blocks, BlocksFree: v.Bfree, BlocksAvail: v.Bavail,
		Files: v.Files, FilesFree: v.Ffree, FilesAvail: v.Favail, NameMax: v.NameMax, ReadOnly: v.Flag&readOnly != 0,
	}
}
