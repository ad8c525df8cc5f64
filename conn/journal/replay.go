package journal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sbxmount/sbxmount/conn"
)

// Report is what became of the changes in journals.
type Report struct {
	Done     int      // delivered, or found to be there
	Failed   int      // could not be delivered, and are kept
	Kept     []string // files for Extract that have those
	Problems []string // what was in the way, some of it
	Torn     bool     // a journal's end could not be read, as after a power cut
}

// maxProblems bounds what a Report tells in full.
const maxProblems = 10

// Replay delivers what the journals in dir, of mounts that ended without doing
// so, have for the sandbox called of. Journals that a living process has are
// left alone; so is one during whose replay the link is lost: that is an error,
// and the next mount goes on with it. A round trip or two a change.
func Replay(ctx context.Context, remote conn.Remote, dir, of string, log *slog.Logger) (Report, error) {
	var report Report
	names, err := os.ReadDir(dir)
	if err != nil {
		return report, err
	}
	for _, name := range names {
		if !strings.HasSuffix(name.Name(), suffix) {
			continue
		}
		if err := replayFile(ctx, remote, filepath.Join(dir, name.Name()), of, log, &report); err != nil {
			return report, err
		}
	}
	return report, nil
}

func replayFile(ctx context.Context, remote conn.Remote, name, of string, log *slog.Logger, report *Report) error {
	f, err := openOwn(name)
	if err != nil {
		log.Warn("a journal is left alone", "err", err)
		return nil
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return nil // a living mount's
	}
	c, err := read(f)
	if err != nil || !bytes.Equal(c.of, identity(of)) {
		log.Warn("a journal is left alone: it is not this sandbox's, or can't be read", "file", name)
		return nil
	}
	report.Torn = report.Torn || c.torn
	p := &player{remote: remote, records: c.pending}
	failed, err := p.play(ctx, report)
	if err != nil {
		return err
	}
	if len(failed) > 0 {
		kept, err := writeKept(name, c.of, failed)
		if err != nil {
			return err // it stays where it is
		}
		report.Kept = append(report.Kept, kept)
	}
	return os.Remove(name)
}

// openOwn opens a file that is this user's, and no link.
func openOwn(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != os.Geteuid() {
		f.Close()
		return nil, &os.PathError{Op: "open", Path: name, Err: errors.New("not a file of this user's")}
	}
	return f, nil
}

func writeKept(name string, of []byte, failed []record) (string, error) {
	kept := keptName(name, time.Now())
	f, err := startKept(kept, of)
	for i := range failed {
		if err != nil {
			break
		}
		var b []byte
		if b, err = frame(&failed[i]); err == nil {
			_, err = f.Write(b)
		}
	}
	if f == nil {
		return "", err
	}
	if err == nil {
		err = f.Sync()
	}
	return kept, errors.Join(err, f.Close())
}

// player carries out what a journal has, in order.
type player struct {
	remote  conn.Remote
	records []record

	path  string // of the file that is open
	flags conn.OpenFlags
	file  conn.File
}

// play carries everything out and returns what could not be. An error says that
// the link was lost, or ctx ended.
func (p *player) play(ctx context.Context, report *Report) (failed []record, err error) {
	defer p.close()
	for i := range p.records {
		r := &p.records[i]
		err := p.carryOut(ctx, i, r)
		switch conn.KindOf(err) {
		case conn.TimedOut, conn.NotConnected, conn.Closed, conn.Gone, conn.Interrupted:
			if err != nil {
				return nil, err
			}
		}
		if err == nil {
			report.Done++
			continue
		}
		report.Failed++
		failed = append(failed, *r)
		if len(report.Problems) < maxProblems {
			report.Problems = append(report.Problems, r.String()+": "+err.Error())
		}
	}
	return failed, nil
}

// errInTheWay is a change that finds something else than it was made for.
var errInTheWay = &conn.Error{Op: "replay", Kind: conn.Exist, Err: errors.New("something else is there by now")}

// carryOut carries out one change, unless it is found to be done.
func (p *player) carryOut(ctx context.Context, i int, r *record) error {
	path, to := string(r.Path), string(r.To)
	if r.Op != opWrite && r.Op != opAppend {
		p.close() // in order, and by name
	}
	if r.aboutFile() && p.superseded(i, path) {
		return nil
	}
	switch r.Op {
	case opMkdir:
		a, err := p.remote.Lstat(path).Wait(ctx)
		if err == nil && !a.Mode.IsDir() {
			return errInTheWay
		}
		if isMissing(err) {
			_, err = p.remote.Mkdir(path, r.Perm).Wait(ctx)
		}
		return err
	case opSymlink:
		text, err := p.remote.Readlink(path).Wait(ctx)
		if err == nil && text == to {
			return nil
		}
		_, err = p.remote.Symlink(to, path).Wait(ctx)
		return err
	case opLink:
		if _, err := p.remote.Lstat(to).Wait(ctx); !isMissing(err) {
			return err
		}
		_, err := p.remote.Link(path, to).Wait(ctx)
		return p.unlessTaken(i, path, err)
	case opRename:
		return p.rename(ctx, i, path, to, r.Replace)
	case opUnlink:
		_, err := p.remote.Unlink(path).Wait(ctx)
		return gone(err)
	case opRmdir:
		_, err := p.remote.Rmdir(path).Wait(ctx)
		return gone(err)
	case opSetAttr:
		_, err := p.remote.SetAttr(path, r.set()).Wait(ctx)
		return p.unlessTaken(i, path, err)
	case opOpen:
		return p.create(ctx, i, path, r)
	case opWrite:
		return p.unlessTaken(i, path, p.write(ctx, path, r))
	case opAppend:
		return p.unlessTaken(i, path, p.appendTo(ctx, path, r))
	}
	return errInTheWay
}

func isMissing(err error) bool { return err != nil && conn.KindOf(err) == conn.NotExist }

// gone takes a missing name for one that was removed.
func gone(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

// rename moves a name, unless it is gone and the new one is there, or was taken
// on from there.
func (p *player) rename(ctx context.Context, i int, old, new string, replace bool) error {
	if p.superseded(i, new) { // by what may be there already
		_, err := p.remote.Unlink(old).Wait(ctx)
		return gone(err)
	}
	_, err := p.remote.Lstat(old).Wait(ctx)
	if isMissing(err) {
		_, err = p.remote.Lstat(new).Wait(ctx)
		return p.unlessTaken(i, new, err)
	}
	if err != nil {
		return err
	}
	_, err = p.remote.Rename(old, new, replace).Wait(ctx)
	return err
}

// aboutFile reports whether a change is of what a name leads to.
func (r *record) aboutFile() bool {
	return r.Op == opSetAttr || r.Op == opOpen || r.Op == opWrite || r.Op == opAppend
}

// superseded reports whether a later change has the name lead to another file,
// or to none, before anything else is done with it. What is done to the one of
// before is then seen by nobody; and where the later change was carried out, it
// would be done to the wrong one. A name that is taken away is not made anew
// before the server's answer, so that no third one is possible.
func (p *player) superseded(i int, path string) bool {
	for _, r := range p.records[i+1:] {
		switch {
		case r.Op == opRename && string(r.Path) == path:
			return false
		case r.Op == opRename && string(r.To) == path, r.Op == opUnlink && string(r.Path) == path:
			return true
		}
	}
	return false
}

// taken reports whether a later change takes the name away. It goes to the
// server behind all before it that concern the same file: where the name is
// gone, these were carried out.
func (p *player) taken(i int, path string) bool {
	for _, r := range p.records[i+1:] {
		from := string(r.Path)
		if (r.Op == opRename || r.Op == opUnlink) && (from == path || strings.HasPrefix(path, from+"/")) {
			return true
		}
	}
	return false
}

func (p *player) unlessTaken(i int, path string, err error) error {
	if isMissing(err) && p.taken(i, path) {
		return nil
	}
	return err
}

// create makes a file, or finds it made, and empties it where that was asked.
func (p *player) create(ctx context.Context, i int, path string, r *record) error {
	a, err := p.remote.Lstat(path).Wait(ctx)
	switch {
	case err == nil && !a.Mode.IsRegular():
		return errInTheWay
	case err != nil && !isMissing(err):
		return err
	case isMissing(err) && r.Flags&conn.OpenCreate == 0:
		return p.unlessTaken(i, path, err)
	}
	flags := conn.OpenWrite | r.Flags&(conn.OpenCreate|conn.OpenTrunc)
	f, opened := p.remote.Open(path, flags, r.Perm)
	defer f.Close()
	_, err = opened.Wait(ctx)
	return err
}

// handle returns the open file at path.
func (p *player) handle(path string, flags conn.OpenFlags) conn.File {
	if p.file == nil || p.path != path || p.flags != flags {
		p.close()
		p.path, p.flags = path, flags
		p.file, _ = p.remote.Open(path, flags, 0)
	}
	return p.file
}

func (p *player) close() {
	if p.file != nil {
		p.file.Close()
		p.file = nil
	}
}

func (p *player) write(ctx context.Context, path string, r *record) error {
	_, err := p.handle(path, conn.OpenWrite).WriteAt(r.Data, r.Off).Wait(ctx)
	if err != nil {
		p.close()
	}
	return err
}

// appendTo writes at the end that was expected, unless the bytes are there.
// With another end somebody else has written, too, and nobody can tell.
func (p *player) appendTo(ctx context.Context, path string, r *record) error {
	f := p.handle(path, conn.OpenRead|conn.OpenWrite)
	a, err := f.Stat().Wait(ctx)
	switch end := r.Off + int64(len(r.Data)); {
	case err != nil:
		p.close()
		return err
	case a.Size == r.Off:
		_, err = f.WriteAt(r.Data, r.Off).Wait(ctx)
		return err
	case a.Size < end:
		return errInTheWay
	}
	there := make([]byte, len(r.Data))
	if _, err := f.ReadAt(there, r.Off).Wait(ctx); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(there, r.Data) {
		return errInTheWay
	}
	return nil
}
