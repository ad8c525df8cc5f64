package journal

import (
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

// Wrap returns remote with every change noted in the journal before it is
// started. It promises what remote promises. Copies are not noted: who starts
// one waits for it.
func (j *Journal) Wrap(remote conn.Remote) conn.Remote { return &wrapped{remote, j} }

type wrapped struct {
	conn.Remote
	j *Journal
}

type none = struct{}

// noted notes a change and starts it.
func noted[T any](j *Journal, r record, start func() *conn.Call[T]) *conn.Call[T] {
	rec := j.add(r)
	call := start()
	call.Then(func(_ T, err error) { j.settle(rec, err) })
	return call
}

// settle takes in a change's answer. One that ended with the session has none.
func (j *Journal) settle(r *record, err error) {
	if err != nil && conn.KindOf(err) == conn.Closed {
		return
	}
	j.answered(r, err)
}

func (w *wrapped) SetAttr(path string, set conn.SetAttr) *conn.Call[none] {
	return noted(w.j, setRecord(path, set), func() *conn.Call[none] { return w.Remote.SetAttr(path, set) })
}

func (w *wrapped) Mkdir(path string, perm conn.Mode) *conn.Call[conn.Attr] {
	return noted(w.j, record{Op: opMkdir, Path: []byte(path), Perm: perm}, func() *conn.Call[conn.Attr] { return w.Remote.Mkdir(path, perm) })
}

func (w *wrapped) Symlink(text, path string) *conn.Call[conn.Attr] {
	return noted(w.j, record{Op: opSymlink, Path: []byte(path), To: []byte(text)}, func() *conn.Call[conn.Attr] { return w.Remote.Symlink(text, path) })
}

func (w *wrapped) Link(old, new string) *conn.Call[conn.Attr] {
	return noted(w.j, record{Op: opLink, Path: []byte(old), To: []byte(new)}, func() *conn.Call[conn.Attr] { return w.Remote.Link(old, new) })
}

func (w *wrapped) Unlink(path string) *conn.Call[none] {
	w.j.moved(path, "")
	return noted(w.j, record{Op: opUnlink, Path: []byte(path)}, func() *conn.Call[none] { return w.Remote.Unlink(path) })
}

func (w *wrapped) Rmdir(path string) *conn.Call[none] {
	return noted(w.j, record{Op: opRmdir, Path: []byte(path)}, func() *conn.Call[none] { return w.Remote.Rmdir(path) })
}

func (w *wrapped) Rename(old, new string, replace bool) *conn.Call[none] {
	back := w.j.moved(old, new)
	call := noted(w.j, record{Op: opRename, Path: []byte(old), To: []byte(new), Replace: replace},
		func() *conn.Call[none] { return w.Remote.Rename(old, new, replace) })
	call.Then(func(_ none, err error) {
		if err != nil {
			back()
		}
	})
	return call
}

func (w *wrapped) Open(path string, flags conn.OpenFlags, perm conn.Mode) (conn.File, *conn.Call[conn.Attr]) {
	if flags&(conn.OpenWrite|conn.OpenCreate) == 0 {
		return w.Remote.Open(path, flags, perm)
	}
	var rec *record
	if flags&(conn.OpenCreate|conn.OpenTrunc) != 0 {
		rec = w.j.add(record{Op: opOpen, Path: []byte(path), Flags: flags, Perm: perm})
	}
	inner, call := w.Remote.Open(path, flags, perm)
	if rec != nil {
		call.Then(func(_ conn.Attr, err error) { w.j.settle(rec, err) })
	}
	f := &file{File: inner, j: w.j, path: path, appends: flags&conn.OpenAppend != 0}
	w.j.mu.Lock()
	w.j.open[f] = struct{}{}
	w.j.mu.Unlock()
	return f, call
}

func (w *wrapped) Copy(src conn.File, srcOff int64, dst conn.File, dstOff, n int64) *conn.Call[int64] {
	return w.Remote.Copy(bare(src), srcOff, bare(dst), dstOff, n)
}

func bare(f conn.File) conn.File {
	if f, ok := f.(*file); ok {
		return f.File
	}
	return f
}

// file is an open file whose writes are noted under the path that it has in the
// order of starts: a rename counts from its start on.
type file struct {
	conn.File
	j       *Journal
	appends bool

	path string // "": it has none, and what is written goes nowhere a replay could find; guarded by Journal.mu
}

// moved has open files follow a name that goes to new, or away where that is
// empty. It returns what takes that back.
func (j *Journal) moved(old, new string) (back func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := map[*file]string{}
	for f := range j.open {
		to := f.path
		switch {
		case f.path == "":
			continue
		case f.path == old:
			to = new
		case new != "" && strings.HasPrefix(f.path, old+"/"):
			to = new + f.path[len(old):]
		case f.path == new:
			to = ""
		}
		if to != f.path {
			before[f], f.path = f.path, to
		}
	}
	return func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		for f, path := range before {
			f.path = path
		}
	}
}

func (f *file) name() string {
	f.j.mu.Lock()
	defer f.j.mu.Unlock()
	return f.path
}

func (f *file) WriteAt(p []byte, off int64) *conn.Call[none] {
	path := f.name()
	if path == "" || len(p) == 0 {
		return f.File.WriteAt(p, off)
	}
	r := record{Op: opWrite, Path: []byte(path), Off: off, Data: p}
	if f.appends {
		r.Op = opAppend
	}
	return noted(f.j, r, func() *conn.Call[none] { return f.File.WriteAt(p, off) })
}

func (f *file) SetAttr(set conn.SetAttr) *conn.Call[none] {
	path := f.name()
	if path == "" {
		return f.File.SetAttr(set)
	}
	return noted(f.j, setRecord(path, set), func() *conn.Call[none] { return f.File.SetAttr(set) })
}

// Sync is answered when the local disk knows, too, what needs no replay: older
// bytes must not come back over those that were synced.
func (f *file) Sync() *conn.Call[none] {
	out := conn.NewCall[none](nil)
	f.File.Sync().Then(func(v none, err error) {
		if err != nil || !f.j.Works() {
			out.Finish(v, err)
			return
		}
		f.j.work.Go(func() {
			if err := f.j.flush(); err != nil {
				f.j.mu.Lock()
				f.j.fail(err)
				f.j.mu.Unlock()
			}
			out.Finish(v, nil)
		})
	})
	return out
}

func (f *file) Moved(path string) {
	f.j.mu.Lock()
	if f.path != "" || path == "" {
		f.path = path
	}
	f.j.mu.Unlock()
	f.File.Moved(path)
}

func (f *file) Close() {
	f.j.mu.Lock()
	delete(f.j.open, f)
	f.j.mu.Unlock()
	f.File.Close()
}
