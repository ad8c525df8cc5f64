package hostile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A player is a program in a mount: this test's binary, started anew, since a
// process that serves a mount must not use it. It does at random what programs
// do, takes no error amiss, and says what no sandbox may make it see.

// What a player is told by its environment.
const (
	playIn   = "HOSTILE_PLAY"   // the mount
	playSeed = "HOSTILE_SEED"   // of its choices
	playFor  = "HOSTILE_FOR"    // how long
	started  = "start of play"  // a name that it looks for when it begins
	secret   = "a local secret" // what the canary holds
)

type player struct {
	*rand.Rand
	dir           string
	calls, failed int
	worst         time.Duration
	doing         string
	bad           int
}

// call is one system call, or a few of Go's on one file, which has to end.
func (p *player) call(f func() error) error {
	at := time.Now()
	err := f()
	took := time.Since(at)
	if p.worst = max(p.worst, took); took > bound {
		p.report("takes %v", took)
	}
	if p.calls++; err != nil {
		p.failed++
	}
	return err
}

func playerMain(dir string) int {
	seed, _ := strconv.ParseUint(os.Getenv(playSeed), 10, 64)
	length, _ := time.ParseDuration(os.Getenv(playFor))
	debug.SetPanicOnFault(true) // a page beyond a file's end
	p := &player{Rand: rand.New(rand.NewPCG(seed, 1)), dir: dir}
	os.Open(dir + "/" + started)
	for begin := time.Now(); time.Since(begin) < length; {
		what, name := plays[p.IntN(len(plays))], p.path()
		p.doing = what.name + " " + name
		_ = p.call(func() error { return what.do(p, name) })
	}
	fmt.Printf("%d operations, %d failed, the longest took %v\n", p.calls, p.failed, p.worst.Round(time.Millisecond))
	return p.bad
}

// report tells of what must not be.
func (p *player) report(format string, a ...any) {
	fmt.Printf("BAD: %s: %s\n", p.doing, fmt.Sprintf(format, a...))
	p.bad = 3
}

var (
	playDirs  = []string{".", "d", "d/e", "made", "swap", ".sbxmount-root", ".sbxmount-root/home", ".sbxmount-root/usr", "none"}
	playNames = []string{
		"small", "large", "link", "middle", "out", "inside", "new", "a", "b", "name", "etc", "passwd", "..x",
		"attack0", "attack1", "attack2", "attack3", "attack4", "attack5", "attack6", "attack7", "attack8", "attack9",
	}
)

func (p *player) path() string {
	dir := playDirs[p.IntN(len(playDirs))]
	return p.dir + "/" + dir + "/" + playNames[p.IntN(len(playNames))]
}

// plays are what programs do, by name.
var plays = []struct {
	name string
	do   func(p *player, path string) error
}{
	{"list", func(p *player, name string) error { return p.list(path.Dir(name)) }},
	{"list", func(p *player, name string) error { return p.list(path.Dir(name)) }},
	{"stat", (*player).stat},
	{"stat", (*player).stat},
	{"read", (*player).read},
	{"read", (*player).read},
	{"map", (*player).mapped},
	{"write", (*player).write},
	{"save", (*player).save},
	{"create", func(p *player, name string) error {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NONBLOCK, 0o644)
		if err == nil {
			err = f.Close()
		}
		return err
	}},
	{"readlink", func(p *player, name string) error {
		text, err := os.Readlink(name)
		if err == nil && (text == "" || text[0] == '/' || strings.IndexByte(text, 0) >= 0) {
			p.report("a link with the text %q", text)
		}
		return err
	}},
	{"rename", func(p *player, name string) error { return os.Rename(name, p.path()) }},
	{"link", func(p *player, name string) error { return os.Link(name, p.path()) }},
	{"symlink", func(p *player, name string) error { return os.Symlink(playNames[p.IntN(len(playNames))], name) }},
	{"remove", func(p *player, name string) error { return os.Remove(name) }},
	{"mkdir", func(p *player, name string) error { return os.Mkdir(name, 0o755) }},
	{"chmod", func(p *player, name string) error { return os.Chmod(name, 0o600+os.FileMode(p.IntN(64))) }},
	{"truncate", func(p *player, name string) error { return os.Truncate(name, p.Int64N(100_000)) }},
	{"chtimes", func(p *player, name string) error { return os.Chtimes(name, time.Unix(1, 0), time.Unix(2, 0)) }},
	{"statfs", func(p *player, name string) error { return syscall.Statfs(name, new(syscall.Statfs_t)) }},
	{"through a link", func(p *player, name string) error {
		f, err := os.OpenFile(name+"/secret", os.O_WRONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
		if err == nil {
			f.WriteString("overwritten")
			err = f.Close()
		}
		return err
	}},
}

// shown is how many names of a directory a player looks at. Each of two calls may
// take as long as the client needs to find out that its link is dead: a second,
// since it looks once a second. The bound is for all of them.
const shown = 3

func (p *player) list(dir string) error {
	d, err := p.open(dir, os.O_RDONLY|syscall.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Readdirnames(2000)
	for i, name := range names {
		if name == "" || name == "." || name == ".." || len(name) > 255 || strings.ContainsAny(name, "/\x00") {
			p.report("it has %q", name)
		}
		if i < shown {
			p.stat(dir + "/" + name)
		}
	}
	return err
}

func (p *player) stat(name string) error {
	var st syscall.Stat_t
	err := syscall.Lstat(name, &st)
	if err == nil {
		p.sane(&st)
	}
	if follow := syscall.Stat(name, &st); follow == nil {
		p.sane(&st)
	}
	return err
}

func (p *player) sane(st *syscall.Stat_t) {
	if st.Size < 0 || st.Blocks < 0 || st.Mode&syscall.S_IFMT == 0 {
		p.report("size %d, %d blocks, mode %o", st.Size, st.Blocks, st.Mode)
	}
}

// open never waits for the other end of a FIFO.
func (p *player) open(name string, flags int) (*os.File, error) {
	fd, err := unix.Open(name, flags|unix.O_NONBLOCK|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (p *player) read(name string) error {
	f, err := p.open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := io.ReadAll(io.LimitReader(f, 1<<20))
	if err == nil {
		_, err = f.ReadAt(make([]byte, 100), p.Int64())
	}
	if bytes.Contains(got, []byte(secret)) {
		p.report("reads the canary")
	}
	if err == io.EOF {
		err = nil
	}
	return err
}

// mapped reads a mapping's pages, those beyond the end too: a signal is what a
// local file gives there.
func (p *player) mapped(name string) (err error) {
	f, err := p.open(name, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	m, err := unix.Mmap(int(f.Fd()), 0, 1<<20, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer unix.Munmap(m)
	defer func() {
		if recover() != nil {
			err = errors.New("fault")
		}
	}()
	if bytes.Contains(m, []byte(secret)) {
		p.report("maps the canary")
	}
	return nil
}

func (p *player) write(name string) error {
	f, err := p.open(name, os.O_RDWR)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content[:p.IntN(len(content))], p.Int64N(100_000))
	if p.IntN(2) == 0 {
		f.Sync()
	}
	return errors.Join(err, f.Close())
}

// save is an editor's.
func (p *player) save(name string) error {
	f, err := p.open(name+"~", os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(content[:p.IntN(len(content))])
	return errors.Join(err, f.Sync(), f.Close(), os.Rename(name+"~", name))
}
