package survive_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/behave"
)

// entry is a name as it must be on the server.
type entry struct {
	dir   bool
	link  string // text of a symbolic link
	data  []byte
	mode  uint32 // 0: not looked at
	mtime int64  // 0: not looked at
}

// player works in a directory of its own and knows what must come out.
type player struct {
	*site
	sys   behave.System
	r     *rand.Rand
	dir   string // below the site's root
	model map[string]*entry

	// unclear counts operations that failed because nobody could know.
	unclear, rounds int

	// Guarded by site.mu.
	what  string
	since time.Time
}

// newPlayer makes a player and its directory, which nobody has looked up yet.
func (s *site) newPlayer(sys behave.System, name string, part uint64) *player {
	s.Helper()
	if err := os.Mkdir(filepath.Join(s.dir, name), 0o755); err != nil {
		s.Fatal(err)
	}
	p := &player{site: s, sys: sys, r: s.random(part), dir: name, model: map[string]*entry{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.players = append(s.players, p)
	return p
}

// at is a name's path for the system, there that on the server's side.
func (p *player) at(name string) string    { return path.Join(p.dir, name) }
func (p *player) there(name string) string { return filepath.Join(p.site.dir, p.dir, name) }

func (p *player) exists(name string) bool {
	_, err := os.Lstat(p.there(name))
	return err == nil
}

func (p *player) doing() (string, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.what, p.since
}

// do does one operation under the eyes of watch.
func (p *player) do(what string, f func() error) error {
	p.mu.Lock()
	p.what, p.since = what, time.Now()
	p.mu.Unlock()
	err := f()
	p.mu.Lock()
	p.what = ""
	p.mu.Unlock()
	return err
}

// must does an operation that no lost connection may fail.
func (p *player) must(what string, f func() error) bool {
	p.Helper()
	err := p.do(what, f)
	if err != nil {
		p.Errorf("%s in %s: %v", what, p.dir, err)
	}
	return err == nil
}

// named does an operation on names. Where it fails because nobody can know,
// done says from the server's side what became of it.
func (p *player) named(what string, f func() error, done func() bool, names ...string) bool {
	p.Helper()
	err := p.do(what, f)
	switch {
	case err == nil:
		return true
	case errors.Is(err, syscall.EIO):
		p.unclear++
		p.Logf("%s in %s: %v", what, p.dir, err)
		p.seen(names...)
		return done()
	}
	p.Errorf("%s in %s: %v", what, p.dir, err)
	return false
}

// seen waits until the system agrees with the server on whether names are
// there: the kernel is told behind the answer that nobody could know, since it
// holds a lock until it has that.
func (p *player) seen(names ...string) {
	p.Helper()
	for _, name := range names {
		until(p, name+" is seen as it is", func() bool {
			_, err := p.sys.Lstat(p.at(name))
			return (err == nil) == p.exists(name)
		})
	}
}

// bytes makes n random bytes.
func (p *player) bytes(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		v := p.r.Uint64()
		for j := i; j < min(i+8, n); j++ {
			b[j], v = byte(v), v>>8
		}
	}
	return b
}

// open opens a file that exists.
func (p *player) open(name string, flags int) behave.File {
	p.Helper()
	var f behave.File
	p.must("open "+name, func() (err error) {
		f, err = p.sys.Open(p.at(name), flags, 0)
		return err
	})
	return f
}

// create makes a file that must not exist; nil where that failed, which the
// model then knows.
func (p *player) create(name string, mode uint32) behave.File {
	p.Helper()
	var f behave.File
	made := p.named("create "+name, func() (err error) {
		f, err = p.sys.Open(p.at(name), syscall.O_CREAT|syscall.O_EXCL|syscall.O_RDWR, mode)
		return err
	}, func() bool { return p.exists(name) }, name)
	if made {
		p.model[name] = &entry{mode: mode}
	}
	if f == nil && made {
		if st, err := os.Lstat(p.there(name)); err == nil {
			p.model[name].mode = uint32(st.Mode().Perm()) // made, but its mode was not seen to
		}
	}
	return f
}

// write writes all of data in pieces and keeps the model.
func (p *player) write(f behave.File, name string, off int, data []byte, piece int) bool {
	p.Helper()
	e := p.model[name]
	if need := off + len(data); need > len(e.data) {
		e.data = append(e.data, make([]byte, need-len(e.data))...)
	}
	copy(e.data[off:], data)
	e.mtime = 0
	for len(data) > 0 {
		b := data[:min(piece, len(data))]
		ok := p.must("write "+name, func() error {
			n, err := f.WriteAt(b, int64(off))
			if err == nil && n != len(b) {
				p.Errorf("wrote %d of %d bytes", n, len(b))
			}
			return err
		})
		if !ok {
			return false
		}
		data, off = data[len(b):], off+len(b)
	}
	return true
}

// read compares a range with the model.
func (p *player) read(f behave.File, name string, off, n int) {
	p.Helper()
	want := p.model[name].data
	want = want[min(off, len(want)):min(off+n, len(want))]
	buf := make([]byte, n)
	got := 0
	p.must("read "+name, func() error {
		for got < n { // the kernel and the tree may both answer less
			m, err := f.ReadAt(buf[got:], int64(off+got))
			if err != nil || m == 0 {
				return err
			}
			got += m
		}
		return nil
	})
	if !p.Failed() && !bytes.Equal(buf[:got], want) {
		p.Errorf("%s/%s: read of %d at %d got %d bytes, want %d: %s", p.dir, name, n, off, got, len(want), differ(buf[:got], want))
	}
}

// synced does an fsync and looks on the server whether it told the truth.
func (p *player) synced(f behave.File, name string) {
	p.Helper()
	if p.must("fsync "+name, f.Sync) {
		p.onServer(name, "fsync")
	}
}

// closed likewise does a close.
func (p *player) closed(f behave.File, name string) {
	p.Helper()
	if p.must("close "+name, f.Close) && !p.late() {
		p.onServer(name, "close")
	}
}

// late reports whether only fsync tells that the server has something.
func (p *player) late() bool { return p.site.writes == vfs.WriteAsync }

// onServer compares a file's bytes with the model's, on the server's side.
func (p *player) onServer(name, after string) {
	p.Helper()
	want := p.model[name].data
	if got, err := os.ReadFile(p.there(name)); err != nil || !bytes.Equal(got, want) {
		p.Errorf("%s/%s after %s: the server has %d bytes, want %d (%v): %s", p.dir, name, after, len(got), len(want), err, differ(got, want))
	}
}

// differ says where two byte strings do.
func differ(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			n := 0
			for j := i; j < min(len(a), len(b)); j++ {
				if a[j] != b[j] {
					n++
				}
			}
			return "first at " + itoa(i) + ", " + itoa(n) + " bytes"
		}
	}
	return "one is longer"
}

// setMode and setTime change attributes, which need not be waited for.
func (p *player) setMode(name string, mode uint32) {
	p.Helper()
	if p.must("chmod "+name, func() error { return p.sys.Chmod(p.at(name), mode) }) {
		p.model[name].mode = mode
	}
}

func (p *player) setTime(name string) {
	p.Helper()
	t := time.Unix(1e9+p.r.Int64N(1e8), 0)
	if p.must("utimes "+name, func() error { return p.sys.Chtimes(p.at(name), &t, &t) }) {
		p.model[name].mtime = t.Unix()
	}
}

// mkdir makes a directory, and again where nobody could know.
func (p *player) mkdir(name string) bool {
	p.Helper()
	ok := p.named("mkdir "+name, func() error { return p.sys.Mkdir(p.at(name), 0o755) }, func() bool { return p.exists(name) }, name)
	if ok {
		p.model[name] = &entry{dir: true}
	}
	return ok
}

// rename replaces.
func (p *player) rename(from, to string) bool {
	p.Helper()
	ok := p.named("rename "+from+" to "+to, func() error { return p.sys.Rename(p.at(from), p.at(to), true) },
		func() bool { return !p.exists(from) }, from, to)
	if ok {
		p.model[to] = p.model[from]
		delete(p.model, from)
	}
	return ok
}

func (p *player) unlink(name string) {
	p.Helper()
	if p.named("unlink "+name, func() error { return p.sys.Unlink(p.at(name)) }, func() bool { return !p.exists(name) }, name) {
		delete(p.model, name)
	}
}

// compare compares all that the server has with the model, and all that the
// system shows with the server.
func (p *player) compare() {
	p.Helper()
	seen := map[string]bool{}
	base := filepath.Join(p.site.dir, p.dir)
	err := filepath.WalkDir(base, func(file string, d fs.DirEntry, err error) error {
		if err != nil || file == base {
			return err
		}
		name, _ := filepath.Rel(base, file)
		seen[name] = true
		e := p.model[name]
		if e == nil {
			p.Errorf("%s/%s: nobody made it", p.dir, name)
			return nil
		}
		p.sameEntry(name, e)
		return nil
	})
	if err != nil {
		p.Error(err)
	}
	for name := range p.model {
		if !seen[name] {
			p.Errorf("%s/%s is lost", p.dir, name)
		}
	}
}

func (p *player) sameEntry(name string, e *entry) {
	p.Helper()
	st, err := os.Lstat(p.there(name))
	if err != nil {
		p.Error(err)
		return
	}
	mounted, err := p.sys.Lstat(p.at(name))
	if err != nil {
		p.Errorf("%s/%s on the mount: %v", p.dir, name, err)
		return
	}
	switch {
	case st.Mode().Type() == fs.ModeSymlink:
		text, _ := os.Readlink(p.there(name))
		shown, err := p.sys.Readlink(p.at(name))
		if text != e.link || shown != e.link {
			p.Errorf("%s/%s leads to %q, on the mount %q (%v), want %q", p.dir, name, text, shown, err, e.link)
		}
		return
	case st.IsDir() != e.dir:
		p.Errorf("%s/%s is %v", p.dir, name, st.Mode())
		return
	case e.dir:
		return
	}
	p.onServer(name, "all")
	if e.mode != 0 && (uint32(st.Mode().Perm()) != e.mode || mounted.Perm() != e.mode) {
		p.Errorf("%s/%s has mode %o, on the mount %o, want %o", p.dir, name, st.Mode().Perm(), mounted.Perm(), e.mode)
	}
	if e.mtime != 0 && (st.ModTime().Unix() != e.mtime || mounted.Mtime.Unix() != e.mtime) {
		p.Errorf("%s/%s has mtime %d, on the mount %d, want %d", p.dir, name, st.ModTime().Unix(), mounted.Mtime.Unix(), e.mtime)
	}
	if mounted.Size != int64(len(e.data)) {
		p.Errorf("%s/%s has size %d on the mount, want %d", p.dir, name, mounted.Size, len(e.data))
	}
	if f := p.open(name, syscall.O_RDONLY); f != nil {
		p.read(f, name, 0, len(e.data)+1)
		p.must("close "+name, f.Close)
	}
}
