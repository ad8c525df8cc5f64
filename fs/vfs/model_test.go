package vfs_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// thing is what a path of the model leads to.
type thing struct {
	kind   string // "dir", "link", "file"
	data   []byte // or a link's text
	remote bool   // changed behind the mount while it was open
}

// opened is an open file of the model.
type opened struct {
	h     *vfs.Handle
	flags conn.OpenFlags
	is    *thing
}

// model is what a file system that does what it should would have, beside a
// mount that is asked to do the same.
type model struct {
	*mount
	r      *rand.Rand
	things map[string]*thing
	open   []opened
	steps  []string
	async  bool
}

func TestRandomOperations(t *testing.T) {
	seeds := seedsToRun()
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := vfs.Options{TTL: []time.Duration{ttl, none, 10 * time.Second}[seed%3]}
				if seed%4 == 1 {
					o.KeepInodes = 8
				}
				switch seed % 5 {
				case 2:
					o.Writes = vfs.WriteThrough
				case 1, 3:
					o.Writes = vfs.WriteAsync
				}
				x := &model{mount: open(t, fake.NewServer(), rtt, o), r: rand.New(rand.NewPCG(uint64(seed), 0)), things: map[string]*thing{"/": {kind: "dir"}}, async: o.Writes == vfs.WriteAsync}
				for range 150 {
					x.step()
					if t.Failed() {
						t.Fatalf("after\n%s", strings.Join(x.steps[max(0, len(x.steps)-30):], "\n"))
					}
				}
				for _, o := range x.open {
					o.h.Release()
				}
				x.close()
			})
		})
	}
}

func (x *model) log(format string, args ...any) {
	x.steps = append(x.steps, fmt.Sprintf(format, args...))
}

// path picks a path that may or may not exist.
func (x *model) path() string {
	p := "/"
	for range 1 + x.r.IntN(3) {
		p = path.Join(p, string(rune('a'+x.r.IntN(4))))
	}
	return p
}

// at returns the node of a path's directory and its last name.
func (x *model) at(p string) (vfs.NodeID, string, bool) {
	e, err := x.find(path.Dir(p))
	return e.Node, path.Base(p), err == nil && x.is(path.Dir(p), "dir")
}

func (x *model) is(p, kind string) bool { t := x.things[p]; return t != nil && t.kind == kind }

func (x *model) hasBelow(p string) bool {
	for q := range x.things {
		if strings.HasPrefix(q, p+"/") {
			return true
		}
	}
	return false
}

func (x *model) want(op string, err error, want error) {
	x.Helper()
	x.log("%s: %v", op, err)
	if want == nil && err != nil || want != nil && !errors.Is(err, want) {
		x.Errorf("%s: %v, want %v", op, err, want)
	}
}

func (x *model) step() {
	p := x.path()
	dir, name, ok := x.at(p)
	if !ok {
		return
	}
	there := x.things[p]
	switch x.r.IntN(16) {
	case 0, 1:
		_, err := x.tree.Mkdir(x.ctx, dir, name, 0o755)
		x.want("mkdir "+p, err, when(there != nil, conn.Exist))
		if err == nil {
			x.things[p] = &thing{kind: "dir"}
		}
	case 2:
		_, err := x.tree.Symlink(x.ctx, dir, name, "to/"+name)
		x.want("symlink "+p, err, when(there != nil, conn.Exist))
		if err == nil {
			x.things[p] = &thing{kind: "link", data: []byte("to/" + name)}
		}
	case 3, 4:
		x.create(dir, p, there)
	case 5:
		x.unlink(dir, p, there)
	case 6:
		x.rmdir(dir, p, there)
	case 7, 8:
		x.rename(dir, p, there)
	case 9:
		x.openFile(p, there)
	case 10, 11:
		x.useOpen()
	case 12:
		x.setattr(p, there)
	case 13:
		x.change(p, there)
	case 14:
		x.link(dir, p, there)
	case 15:
		d := time.Duration(x.r.IntN(3000)) * time.Millisecond
		x.log("sleep %v", d)
		time.Sleep(d)
	}
	x.compare()
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}

func (x *model) create(dir vfs.NodeID, p string, there *thing) {
	flags := conn.OpenRead | conn.OpenWrite
	if x.r.IntN(2) == 0 {
		flags |= conn.OpenExcl
	}
	var want error
	switch {
	case there == nil:
	case flags&conn.OpenExcl != 0:
		want = conn.Exist
	case there.kind == "dir":
		want = conn.IsDir
	case there.kind == "link":
		want = conn.LinkLoop
	}
	e, h, err := x.tree.Create(x.ctx, dir, path.Base(p), flags, 0o644)
	x.want("create "+p, err, want)
	if err != nil {
		return
	}
	if there == nil {
		there = &thing{kind: "file"}
		x.things[p] = there
	}
	if int(e.Attr.Size) != len(there.data) {
		x.Errorf("created %s of size %d, want %d", p, e.Attr.Size, len(there.data))
	}
	o := opened{h, flags, there}
	x.write(o)
	x.keep(o)
}

// keep keeps an open file for later, or closes it.
func (x *model) keep(o opened) {
	if x.r.IntN(2) == 0 {
		x.open = append(x.open, o)
		return
	}
	x.must(o.h.Flush(x.ctx))
	o.h.Release()
	x.log("closed")
}

func (x *model) write(o opened) {
	off := x.r.IntN(20)
	p := bytes.Repeat([]byte{byte('A' + x.r.IntN(26))}, 1+x.r.IntN(20))
	n, err := o.h.Write(x.ctx, p, int64(off))
	x.want(fmt.Sprintf("write %d at %d", len(p), off), err, nil)
	if n != len(p) {
		x.Errorf("wrote %d", n)
	}
	t := o.is
	for len(t.data) < off+len(p) {
		t.data = append(t.data, 0)
	}
	copy(t.data[off:], p)
	if x.r.IntN(2) == 0 {
		x.must(o.h.Sync(x.ctx))
		x.log("fsync")
	}
}

func (x *model) useOpen() {
	if len(x.open) == 0 {
		return
	}
	i := x.r.IntN(len(x.open))
	o := x.open[i]
	if o.is.remote || x.r.IntN(3) == 0 {
		x.open = slices.Delete(x.open, i, i+1)
		x.must(o.h.Flush(x.ctx))
		o.h.Release()
		x.log("closed one")
		return
	}
	if o.flags&conn.OpenWrite != 0 && x.r.IntN(2) == 0 {
		x.write(o)
	}
	if got := x.readAll(o.h); got != string(o.is.data) {
		x.Errorf("an open file reads %q, want %q", got, o.is.data)
	}
	x.log("read an open one")
}

func (x *model) openFile(p string, there *thing) {
	if there == nil || there.kind != "file" {
		return
	}
	flags := conn.OpenRead
	switch x.r.IntN(4) {
	case 0:
		flags |= conn.OpenWrite
	case 1:
		flags |= conn.OpenWrite | conn.OpenTrunc
	}
	h, err := x.tree.Open(x.ctx, x.node(p), flags)
	x.want("open "+p, err, nil)
	if err != nil {
		return
	}
	if flags&conn.OpenTrunc != 0 {
		there.data = nil
	}
	x.keep(opened{h, flags, there})
}

func (x *model) unlink(dir vfs.NodeID, p string, there *thing) {
	err := x.tree.Unlink(x.ctx, dir, path.Base(p))
	switch {
	case there == nil:
		x.want("unlink "+p, err, conn.NotExist)
	case there.kind == "dir":
		x.want("unlink "+p, err, conn.IsDir)
	default:
		x.want("unlink "+p, err, nil)
		delete(x.things, p)
	}
}

func (x *model) rmdir(dir vfs.NodeID, p string, there *thing) {
	err := x.tree.Rmdir(x.ctx, dir, path.Base(p))
	switch {
	case there == nil:
		x.want("rmdir "+p, err, conn.NotExist)
	case there.kind != "dir":
		x.want("rmdir "+p, err, conn.NotDir)
	case x.hasBelow(p):
		x.want("rmdir "+p, err, conn.NotEmpty)
	default:
		x.want("rmdir "+p, err, nil)
		delete(x.things, p)
	}
}

func (x *model) rename(dir vfs.NodeID, p string, there *thing) {
	q := x.path()
	to, name, ok := x.at(q)
	if !ok || there == nil {
		return
	}
	replace := x.r.IntN(3) > 0
	target := x.things[q]
	var want error
	switch {
	case target != nil && !replace:
		want = conn.Exist
	case target == there:
		// nothing happens
	case strings.HasPrefix(q, p+"/"):
		want = conn.Invalid
	case target != nil && target.kind == "dir" && there.kind != "dir":
		want = conn.IsDir
	case target != nil && target.kind != "dir" && there.kind == "dir":
		want = conn.NotDir
	case target != nil && x.hasBelow(q):
		want = conn.NotEmpty
	}
	before := x.stat(p).Ino
	err := x.tree.Rename(x.ctx, dir, path.Base(p), to, name, replace)
	x.want(fmt.Sprintf("rename %s %s %v", p, q, replace), err, want)
	if err != nil || target == there {
		return
	}
	for old, t := range maps.Clone(x.things) {
		if old == p || strings.HasPrefix(old, p+"/") {
			delete(x.things, old)
			x.things[q+old[len(p):]] = t
		}
	}
	if ino := x.stat(q).Ino; ino != before {
		x.Errorf("rename changed the inode number")
	}
}

func (x *model) link(dir vfs.NodeID, p string, there *thing) {
	q := x.path()
	if !x.is(q, "file") {
		return
	}
	e, err := x.tree.Link(x.ctx, x.node(q), dir, path.Base(p))
	x.want("link "+q+" "+p, err, when(there != nil, conn.Exist))
	if err == nil {
		x.things[p] = x.things[q]
		if a := x.stat(q); a.Ino != e.Attr.Ino && x.tree.Stats().Inodes > 8 {
			x.log("inode numbers of links differ")
		}
	}
}

func (x *model) setattr(p string, there *thing) {
	if there == nil || there.kind != "file" {
		return
	}
	id := x.node(p)
	var set vfs.SetAttr
	switch x.r.IntN(3) {
	case 0:
		set = vfs.SetAttr{Valid: vfs.SetMode, Mode: conn.Mode(0o600 + x.r.IntN(8)*8)}
	case 1:
		set = vfs.SetAttr{Valid: vfs.SetMtime, Mtime: time.Unix(int64(x.r.IntN(1e9)), 0)}
	case 2:
		set = vfs.SetAttr{Valid: vfs.SetSize, Size: int64(x.r.IntN(40))}
	}
	a, err := x.tree.SetAttr(x.ctx, id, nil, set)
	x.want(fmt.Sprintf("setattr %s %+v", p, set), err, nil)
	switch {
	case err != nil:
	case set.Valid == vfs.SetMode && a.Mode.Perm() != set.Mode, set.Valid == vfs.SetMtime && !a.Mtime.Equal(set.Mtime):
		x.Errorf("setattr gave %+v", a)
	case set.Valid == vfs.SetSize:
		for len(there.data) < int(set.Size) {
			there.data = append(there.data, 0)
		}
		there.data = there.data[:set.Size]
	}
}

// change does something on the server, behind the mount, and waits until it
// must be seen.
func (x *model) change(p string, there *thing) {
	for _, o := range x.open { // else it would be two writers of one file
		if o.is == there {
			return
		}
	}
	x.sync()
	content := fmt.Sprint("remote", x.r.IntN(1000))
	switch {
	case there == nil:
		x.server.WriteFile(home+p, content)
		x.things[p] = &thing{kind: "file", data: []byte(content)}
	case there.kind == "file" && x.r.IntN(2) == 0:
		x.server.WriteFile(home+p, content)
		there.data = []byte(content)
	default:
		for q, t := range maps.Clone(x.things) {
			if q == p || strings.HasPrefix(q, p+"/") {
				delete(x.things, q)
				t.remote = true
			}
		}
		x.server.Remove(home + p)
		if x.r.IntN(2) == 0 {
			x.server.MkdirAll(home + p)
			x.things[p] = &thing{kind: "dir"}
		}
	}
	x.log("change on the server: %s", p)
	time.Sleep(11 * time.Second)
}

// sync has the server have everything.
func (x *model) sync() {
	x.Helper()
	if x.async {
		x.must(x.tree.Sync(x.ctx))
	}
}

// compare holds what the mount shows and what the server has against the
// model.
func (x *model) compare() {
	x.Helper()
	shown := map[string]string{}
	x.show("/", vfs.RootID, shown)
	want := map[string]string{}
	for p, t := range x.things {
		switch t.kind {
		case "dir":
			want[p] = "dir"
		case "link":
			want[p] = "-> " + string(t.data)
		case "file":
			want[p] = string(t.data)
		}
	}
	diff(x.T, "shown", shown, want)
	if len(x.open) > 0 || x.async && x.r.IntN(8) > 0 {
		return // not everything is there yet
	}
	x.sync()
	have := map[string]string{}
	for p, what := range x.server.Tree(home) {
		have[path.Join("/", strings.TrimPrefix(p, home))] = what
	}
	diff(x.T, "on the server", have, want)
}

func diff(t *testing.T, what string, got, want map[string]string) {
	t.Helper()
	for p, w := range want {
		if g, ok := got[p]; !ok || g != w {
			t.Errorf("%s: %s is %q (%v), want %q", what, p, g, ok, w)
		}
	}
	for p, g := range got {
		if _, ok := want[p]; !ok {
			t.Errorf("%s: %s is %q, want nothing", what, p, g)
		}
	}
}

func (x *model) show(p string, id vfs.NodeID, out map[string]string) {
	x.Helper()
	out[p] = "dir"
	for name, e := range x.list(id) {
		if name == "." || name == ".." {
			continue
		}
		q := path.Join(p, name)
		switch e.Mode {
		case conn.TypeDir:
			x.show(q, e.Entry.Node, out)
		case conn.TypeSymlink:
			text, err := x.tree.Readlink(x.ctx, e.Entry.Node)
			x.must(err)
			out[q] = "-> " + text
		default:
			h, err := x.tree.Open(x.ctx, e.Entry.Node, conn.OpenRead)
			if err != nil {
				x.Fatalf("open %s: %v\nafter\n%s", q, err, strings.Join(x.steps[max(0, len(x.steps)-30):], "\n"))
			}
			out[q] = x.readAll(h)
			if size := x.getattr(e.Entry.Node).Size; size != int64(len(out[q])) {
				x.Errorf("%s: size %d, read %d bytes", q, size, len(out[q]))
			}
			h.Release()
		}
		x.tree.Forget(e.Entry.Node, 1)
	}
}

// seedsToRun is 60, or what SBXMOUNT_SEEDS says.
func seedsToRun() int {
	if n, err := strconv.Atoi(os.Getenv("SBXMOUNT_SEEDS")); err == nil {
		return n
	}
	return 60
}
