package survive_test

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"

	"github.com/sbxmount/sbxmount/test/behave"
)

func itoa(n int) string { return strconv.Itoa(n) }

// load is what one player does: round after round, until the faults are over.
type load struct {
	name  string
	begin func(*player) // on the server's side, before the first round
	round func(*player)
}

var loads = []load{
	{"big-read", prepareBig, bigRead},
	{"big-write", nil, bigWrite},
	{"rsync", nil, rsync},
	{"untar", nil, untar},
	{"clone", nil, clone},
	{"editor", nil, editor},
	{"random", prepareRandom, randomly},
	{"append", prepareLog, appends},
}

// bigSize is more than the site's cache.
const bigSize = 16<<20 + 4321

func prepareBig(p *player) { p.put("big", p.bytes(bigSize)) }

// put makes a file on the server's side.
func (p *player) put(name string, data []byte) {
	if err := os.WriteFile(p.there(name), data, 0o644); err != nil {
		p.Fatal(err)
	}
	p.model[name] = &entry{data: data}
}

// bigRead reads a file from one end to the other, as cp does.
func bigRead(p *player) {
	f := p.open("big", syscall.O_RDONLY)
	if f == nil {
		return
	}
	for off := 0; off < bigSize && !p.Failed(); off += 256 << 10 {
		p.read(f, "big", off, 256<<10)
	}
	p.must("close", f.Close)
}

// bigWrite writes a file of some megabytes, from the start or over what is
// there, with an fsync somewhere.
func bigWrite(p *player) {
	name := "big" + itoa(p.r.IntN(3))
	var f behave.File
	if p.model[name] == nil {
		f = p.create(name, 0o644)
	} else if p.r.IntN(2) == 0 {
		if f = p.open(name, syscall.O_WRONLY|syscall.O_TRUNC); f != nil {
			p.model[name].data = nil
		}
	} else {
		f = p.open(name, syscall.O_RDWR)
	}
	if f == nil {
		return
	}
	size := 1 + p.r.IntN(3<<20)
	ok := p.write(f, name, 0, p.bytes(size), 128<<10)
	if ok && p.r.IntN(2) == 0 {
		p.synced(f, name)
		p.write(f, name, p.r.IntN(size), p.bytes(1+p.r.IntN(1<<20)), 64<<10)
	}
	p.closed(f, name)
}

// rsync writes beside the target, sets attributes, and renames over it.
func rsync(p *player) {
	name := "f" + itoa(p.r.IntN(20))
	temp := "." + name + "." + itoa(p.r.IntN(1e9))
	f := p.create(temp, 0o600)
	if f == nil {
		return
	}
	p.write(f, temp, 0, p.bytes(p.r.IntN(100_000)), 32<<10)
	p.closed(f, temp)
	p.setTime(temp)
	p.setMode(temp, 0o640)
	p.rename(temp, name)
}

// untar makes a directory of small files, each with its attributes, and takes
// another one away.
func untar(p *player) {
	dir := "d" + itoa(p.rounds)
	if !p.mkdir(dir) {
		return
	}
	for i := range 6 {
		name := dir + "/f" + itoa(i)
		f := p.create(name, 0o644)
		if f == nil {
			continue
		}
		p.write(f, name, 0, p.bytes(p.r.IntN(9000)), 10240)
		p.setMode(name, 0o755)
		p.closed(f, name)
		p.setTime(name)
	}
	link := dir + "/link"
	if p.named("symlink", func() error { return p.sys.Symlink("f0", p.at(link)) }, func() bool { return p.exists(link) }, link) {
		p.model[link] = &entry{link: "f0"}
	}
	if p.rounds >= 4 {
		p.remove("d" + itoa(p.rounds-4))
	}
}

// remove takes a directory of the model away, with what is in it.
func (p *player) remove(dir string) {
	p.Helper()
	inside := func(name string) bool { return len(name) > len(dir) && name[:len(dir)+1] == dir+"/" }
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(p.model))) {
		switch {
		case name != dir && !inside(name):
		case !p.model[name].dir:
			p.unlink(name)
		case p.named("rmdir "+name, func() error { return p.sys.Rmdir(p.at(name)) }, func() bool { return !p.exists(name) }, name):
			delete(p.model, name)
		}
	}
}

// clone does what git clone does: objects that are written beside their place
// and moved there, files that are replaced by way of a lock, a pack that is
// written and read back, and a working tree.
func clone(p *player) {
	dir := "c" + itoa(p.rounds)
	for _, name := range []string{dir, dir + "/git", dir + "/git/objects"} {
		if !p.mkdir(name) {
			return
		}
	}
	for range 4 {
		fan := dir + "/git/objects/" + itoa(p.r.IntN(3))
		if p.model[fan] == nil && !p.mkdir(fan) {
			continue
		}
		p.replace(fan+"/tmp_obj", fan+"/"+itoa(p.r.IntN(1e9)), p.bytes(p.r.IntN(5000)))
	}
	for range 3 {
		p.replace(dir+"/git/config.lock", dir+"/git/config", p.bytes(p.r.IntN(500)))
	}
	pack := dir + "/git/objects/pack"
	if f := p.create(pack, 0o444); f != nil {
		data := p.bytes(100_000 + p.r.IntN(200_000))
		p.write(f, pack, 0, data, 8192)
		p.read(f, pack, p.r.IntN(50_000), 30_000)
		p.synced(f, pack)
		p.closed(f, pack)
	}
	for i := range 3 {
		name := dir + "/file" + itoa(i)
		if f := p.create(name, 0o644); f != nil {
			p.write(f, name, 0, p.bytes(p.r.IntN(20_000)), 4096)
			p.closed(f, name)
		}
	}
	p.replace(dir+"/git/index.lock", dir+"/git/index", p.bytes(2000))
	if p.rounds >= 2 {
		p.remove("c" + itoa(p.rounds-2))
	}
}

// replace makes a file by way of another name.
func (p *player) replace(temp, name string, data []byte) {
	p.Helper()
	f := p.create(temp, 0o644)
	if f == nil {
		if p.model[temp] != nil {
			p.unlink(temp)
		}
		return
	}
	p.write(f, temp, 0, data, 4096)
	p.closed(f, temp)
	p.rename(temp, name)
	if p.model[temp] != nil {
		p.unlink(temp)
	}
}

// editor saves: the old file is kept as a backup, the new one is written,
// brought to the disk, and the backup taken away; or it is written beside and
// renamed over it.
func editor(p *player) {
	const name, backup, temp = "text", "text~", ".text.swp"
	text := p.bytes(p.r.IntN(50_000))
	target := name
	if p.r.IntN(2) == 0 {
		target = temp
	} else if p.model[name] != nil && !p.rename(name, backup) {
		return
	}
	f := p.create(target, 0o644)
	if f == nil {
		if p.model[target] != nil {
			p.unlink(target)
		}
		return
	}
	p.write(f, target, 0, text, 4096)
	p.synced(f, target)
	p.closed(f, target)
	if target == temp {
		p.rename(temp, name)
	}
	if p.model[backup] != nil {
		p.unlink(backup)
	}
	if p.model[temp] != nil {
		p.unlink(temp)
	}
}

func prepareRandom(p *player) {
	for i := range 3 {
		p.put("r"+itoa(i), p.bytes(p.r.IntN(200_000)))
	}
}

// randomly does random operations on an open file.
func randomly(p *player) {
	name := "r" + itoa(p.r.IntN(3))
	f := p.open(name, syscall.O_RDWR)
	if f == nil {
		return
	}
	e := p.model[name]
	for range 12 {
		if p.Failed() {
			break
		}
		off := p.r.IntN(200_000)
		switch p.r.IntN(8) {
		case 0, 1, 2:
			p.write(f, name, off, p.bytes(1+p.r.IntN(30_000)), 16<<10)
		case 3, 4:
			p.read(f, name, off, 1+p.r.IntN(60_000))
		case 5:
			size := p.r.IntN(200_000)
			if p.must("truncate", func() error { return f.Truncate(int64(size)) }) {
				e.data = append(e.data, make([]byte, max(0, size-len(e.data)))...)[:size]
			}
		case 6:
			p.must("fstat", func() error {
				st, err := f.Stat()
				if err == nil && st.Size != int64(len(e.data)) {
					p.Errorf("%s has size %d, want %d", name, st.Size, len(e.data))
				}
				return err
			})
		case 7:
			p.synced(f, name)
		}
	}
	p.closed(f, name)
	if to := "r" + itoa(p.r.IntN(3)); to != name && p.r.IntN(4) == 0 {
		if p.rename(name, "moved") && p.rename("moved", name) && !p.late() {
			p.onServer(name, "rename")
		}
	}
}

// A log's records have one length and carry their number.
const recordSize = 512

func (p *player) record(n int) []byte {
	b := p.bytes(recordSize)
	binary.BigEndian.PutUint64(b, uint64(n))
	return b
}

func prepareLog(p *player) { p.put("log", nil) }

// appends adds records to a file opened with O_APPEND, several before each
// fsync. A record whose fsync failed may be there once, or not.
func appends(p *player) {
	e := p.model["log"]
	f := p.open("log", syscall.O_WRONLY|syscall.O_APPEND)
	if f == nil {
		return
	}
	var fresh [][]byte
	failed := false
	for range 1 + p.r.IntN(4) {
		r := p.record(len(e.data)/recordSize + len(fresh))
		fresh = append(fresh, r)
		if err := p.do("append", func() error {
			n, err := f.Write(r)
			if err == nil && n != len(r) {
				p.Errorf("an append took %d bytes of %d and said no error", n, len(r))
			}
			return err
		}); err != nil {
			p.lostAppend(err)
			failed = true
			break
		}
	}
	for _, end := range []func() error{f.Sync, f.Close} {
		if err := p.do("fsync or close of the log", end); err != nil {
			p.lostAppend(err)
			failed = true
		}
	}
	want := slices.Concat(append([][]byte{e.data}, fresh...)...)
	if !failed {
		got, _ := os.ReadFile(p.there("log"))
		for i, r := range fresh {
			if n := bytes.Count(got, r); n != 1 {
				p.Errorf("of %d acknowledged records number %d is there %d times", len(fresh), i, n)
			}
		}
		e.data = want
		p.onServer("log", "fsync")
		return
	}
	got, err := os.ReadFile(p.there("log"))
	if err != nil || !bytes.HasPrefix(got, e.data) || len(got)%recordSize != 0 {
		p.Errorf("the log has %d bytes of %d to %d, %v", len(got), len(e.data), len(want), err)
	}
	for _, r := range fresh {
		if n := bytes.Count(got, r); n > 1 {
			p.Errorf("a record is there %d times", n)
		}
	}
	e.data = got
}

// lostAppend checks the error of an append that nobody can know of.
func (p *player) lostAppend(err error) {
	p.Helper()
	p.unclear++
	if !isEIO(err) {
		p.Errorf("append: %v", err)
	}
}
