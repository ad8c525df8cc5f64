package conn

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	pkg "github.com/pkg/sftp"

	"github.com/sbxmount/sbxmount/conn/internal/sftp"
)

// carryOut does what r asks for and fills its answer in.
func (s *pkgSession) carryOut(r *request) (err error) {
	c := s.client
	switch r.kind {
	case reqRealpath:
		r.text, err = c.RealPath(r.path)
	case reqReadlink:
		r.text, err = c.ReadLink(r.path)
	case reqLstat:
		r.attr, err = pkgAttr(c.Lstat(r.path))
	case reqStat:
		r.attr, err = pkgAttr(c.Stat(r.path))
	case reqList:
		r.listing, err = s.list(r.path, r.max)
	case reqSetstat:
		err = s.setstat(r.path, r.set)
	case reqMkdir:
		if err = c.Mkdir(r.path); err == nil {
			err = c.Chmod(r.path, os.FileMode(r.perm.Perm()))
		}
	case reqSymlink:
		err = c.Symlink(r.to, r.path)
	case reqLink:
		err = c.Link(r.path, r.to)
	case reqRename:
		err = c.Rename(r.path, r.to)
	case reqPosixRename:
		err = c.PosixRename(r.path, r.to)
	case reqUnlink:
		err = s.unlink(r)
	case reqRmdir:
		err = c.RemoveDirectory(r.path)
	case reqStatvfs:
		err = s.statvfs(r)
	case reqOpen:
		err = s.open(r)
	default:
		err = s.onFile(r)
	}
	return err
}

// onFile does what r asks of an open file.
func (s *pkgSession) onFile(r *request) (err error) {
	f := s.file(r.handle)
	if f == nil {
		return &Error{Op: reqNames[r.kind], Kind: BadHandle}
	}
	switch r.kind {
	case reqFstat:
		r.attr, err = pkgAttr(f.Stat())
	case reqFsetstat:
		err = s.fsetstat(f, r.set)
	case reqClose:
		s.mu.Lock()
		delete(s.files, r.handle)
		s.mu.Unlock()
		err = f.Close()
	case reqRead:
		r.n, err = f.ReadAt(r.buf, r.off)
	case reqWrite:
		_, err = f.WriteAt(r.buf, r.off)
	case reqFsync:
		err = f.Sync()
	default:
		err = newStatusError(r, fxOpUnsupported, "pkg/sftp has no such request")
	}
	return err
}

// open opens a file. OPEN carries no mode in pkg/sftp, so that a file that is
// made must be told apart from one that was there: 2 round trips then.
func (s *pkgSession) open(r *request) error {
	flags := pkgFlags(r.flags)
	f, made, err := s.create(r, flags)
	if err == nil && !made {
		f, err = s.client.OpenFile(r.path, flags)
	}
	if err != nil {
		return err
	}
	if made {
		if err := f.Chmod(os.FileMode(r.perm.Perm())); err != nil {
			_ = f.Close()
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	r.opened = handle(strconv.FormatUint(s.last, 10))
	s.files[r.opened] = &pkgFile{File: f, appends: r.flags&OpenAppend != 0}
	return nil
}

// create makes the file if r asks for that and it is not there.
func (s *pkgSession) create(r *request, flags int) (f *pkg.File, made bool, err error) {
	if r.flags&OpenCreate == 0 {
		return nil, false, nil
	}
	f, err = s.client.OpenFile(r.path, flags|os.O_EXCL)
	var status *pkg.StatusError
	if err != nil && r.flags&OpenExcl == 0 && errors.As(err, &status) && status.Code == fxFailure {
		return nil, false, nil
	}
	return f, err == nil, err
}

func pkgFlags(flags OpenFlags) int {
	var o int
	switch flags & (OpenRead | OpenWrite) {
	case OpenWrite:
		o = os.O_WRONLY
	case OpenRead | OpenWrite:
		o = os.O_RDWR
	}
	for _, f := range [...]struct {
		ours OpenFlags
		o    int
	}{{OpenAppend, os.O_APPEND}, {OpenCreate, os.O_CREATE}, {OpenExcl, os.O_EXCL}, {OpenTrunc, os.O_TRUNC}} {
		if flags&f.ours != 0 {
			o |= f.o
		}
	}
	return o
}

// unlink removes a name: pkg/sftp's Remove would take a directory, too.
func (s *pkgSession) unlink(r *request) error {
	a, err := pkgAttr(s.client.Lstat(r.path))
	if err != nil {
		return err
	}
	if a.Mode.IsDir() {
		return &Error{Op: reqNames[r.kind], Path: r.path, Kind: IsDir}
	}
	return s.client.Remove(r.path)
}

func (s *pkgSession) statvfs(r *request) error {
	v, err := s.client.StatVFS(r.path)
	if err != nil {
		return err
	}
	r.fsid = v.Fsid
	r.statfs = statFS(sftp.StatVFS{
		Bsize: v.Bsize, Frsize: v.Frsize, Blocks: v.Blocks, Bfree: v.Bfree, Bavail: v.Bavail,
		Files: v.Files, Ffree: v.Ffree, Favail: v.Favail, Flag: v.Flag, NameMax: v.Namemax,
	})
	return nil
}

// pkgLimit is the largest listing that is passed on, as our own client has it.
const pkgLimit = 1 << 20

func (s *pkgSession) list(path string, limit int) (Listing, error) {
	infos, err := s.client.ReadDirContext(s.ctx, path)
	if err != nil {
		return Listing{}, err
	}
	if limit == 0 && len(infos) > pkgLimit {
		return Listing{}, &Error{Op: "list", Path: path, Kind: NoMemory}
	}
	l := Listing{Complete: limit == 0 || len(infos) <= limit}
	if !l.Complete {
		infos = infos[:limit]
	}
	for _, i := range infos {
		a, err := pkgAttr(i, nil)
		if err != nil || !usableName(i.Name()) {
			l.Unusable++
			continue
		}
		l.Entries = append(l.Entries, Entry{Name: i.Name(), Attr: a})
	}
	return l, nil
}

func usableName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// pkgAttr makes an Attr of what pkg/sftp told.
func pkgAttr(info os.FileInfo, err error) (Attr, error) {
	if err != nil {
		return Attr{}, err
	}
	st, ok := info.Sys().(*pkg.FileStat)
	if !ok {
		return Attr{}, errAttr
	}
	const all = sftp.AttrSize | sftp.AttrMode | sftp.AttrOwner | sftp.AttrTimes
	return fromWire(sftp.Attr{
		Valid: all, Size: st.Size, UID: st.UID, GID: st.GID, Mode: st.Mode, Atime: st.Atime, Mtime: st.Mtime,
	})
}

// setter is what pkg/sftp sets attributes of a name with, one at a time.
type setter struct {
	size  func(int64) error
	mode  func(os.FileMode) error
	owner func(uid, gid int) error
	times func(atime, mtime time.Time) error
}

// set changes what set names: the size first, which changes the times.
func (to setter) set(set SetAttr) error {
	var errs error
	if set.Valid&SetSize != 0 {
		errs = to.size(set.Size)
	}
	if set.Valid&SetOwner != 0 && errs == nil {
		errs = to.owner(int(set.UID), int(set.GID))
	}
	if set.Valid&SetMode != 0 && errs == nil { // behind the owner, which clears set-id bits
		errs = to.mode(os.FileMode(set.Mode.Perm()))
	}
	if set.Valid&SetTimes != 0 && errs == nil {
		errs = to.times(time.Unix(set.Atime, 0), time.Unix(set.Mtime, 0))
	}
	return errs
}

func (s *pkgSession) setstat(path string, set SetAttr) error {
	c := s.client
	return setter{
		size:  func(n int64) error { return c.Truncate(path, n) },
		mode:  func(m os.FileMode) error { return c.Chmod(path, m) },
		owner: func(uid, gid int) error { return c.Chown(path, uid, gid) },
		times: func(a, m time.Time) error { return c.Chtimes(path, a, m) },
	}.set(set)
}

func (s *pkgSession) fsetstat(f *pkgFile, set SetAttr) error {
	return setter{size: f.Truncate, mode: f.Chmod, owner: f.Chown, times: func(a, m time.Time) error {
		return s.handleTimes(f, a, m)
	}}.set(set)
}

// handleTimes sets a handle's times by its path, the only way in pkg/sftp, if
// that still seems to lead to the same file.
func (s *pkgSession) handleTimes(f *pkgFile, atime, mtime time.Time) error {
	open, err := pkgAttr(f.Stat())
	if err != nil {
		return err
	}
	named, err := pkgAttr(s.client.Lstat(f.Name()))
	if err != nil || named != open {
		return &Error{Op: "setattr", Path: f.Name(), Kind: Unsupported}
	}
	return s.client.Chtimes(f.Name(), atime, mtime)
}
