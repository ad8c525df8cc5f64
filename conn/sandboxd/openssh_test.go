package sandboxd_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// sftpServer finds OpenSSH's sftp-server, whose answers the sandbox's are
// compared with.
func sftpServer(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/libexec/sftp-server"} {
		if _, err := os.Stat(p); err == nil {
			return p
		}
	}
	t.Fatal("OpenSSH's sftp-server is needed (Debian: openssh-sftp-server)")
	return ""
}

// dialOpenSSH starts OpenSSH's sftp-server.
func dialOpenSSH(t *testing.T, home string) *raw {
	t.Helper()
	cmd := exec.Command(sftpServer(t), "-e", "-l", "QUIET")
	cmd.Dir = home
	w, _ := cmd.StdinPipe()
	r, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = cmd.Wait() })
	return &raw{t: t, w: w, r: r}
}

// twins are a sandbox and OpenSSH's sftp-server, each over a directory of its
// own whose names are equally long. They are asked the same.
type twins struct {
	t         *testing.T
	box, real *raw
	dirs      [2]string
}

func newTwins(t *testing.T) *twins {
	base := t.TempDir()
	tw := &twins{t: t, dirs: [2]string{base + "/one", base + "/two"}}
	for _, d := range tw.dirs {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tw.box = dialRaw(t, start(t, sandboxd.Options{Dir: "/", Home: tw.dirs[0]}))
	tw.real = dialOpenSSH(t, tw.dirs[1])
	tw.real.init()
	return tw
}

// ask asks both; "$" at the front of a string is the directory. It returns the
// sandbox's answer.
func (tw *twins) ask(kind byte, list ...any) []byte {
	tw.t.Helper()
	box := tw.box.ask(kind, in(tw.dirs[0], list)...)
	real := tw.real.ask(kind, in(tw.dirs[1], list)...)
	a := normal(box)
	b := normal(bytes.ReplaceAll(real, []byte(tw.dirs[1]), []byte(tw.dirs[0])))
	if a != b {
		tw.t.Errorf("request %d %q\n sandbox %q\n OpenSSH %q", kind, list, a, b)
	}
	return box
}

func in(dir string, list []any) []any {
	list = slices.Clone(list)
	for i, f := range list {
		if s, ok := f.(string); ok {
			if rest, ok := strings.CutPrefix(s, "$"); ok {
				list[i] = dir + rest
			}
		}
	}
	return list
}

// normal makes answers comparable: without ids, times of the moment, and the
// order of a listing.
func normal(p []byte) string {
	body := p[5:]
	switch p[0] {
	case pAttrs:
		return fmt.Sprintf("attrs %x", recent(body))
	case pName:
		var entries []string
		n := binary.BigEndian.Uint32(body)
		for body = body[4:]; n > 0; n-- {
			name, long := text(&body), text(&body)
			size := 4
			if body[3] != 0 {
				size = 32
				long = long[:min(len(long), 42)] // up to the size; directories' sizes and dates are the moment's
			}
			entries = append(entries, fmt.Sprintf("%q %q %x", name, long, recent(body[:size])))
			body = body[size:]
		}
		slices.Sort(entries)
		return fmt.Sprint("names ", entries)
	}
	return fmt.Sprintf("%d %q", p[0], body)
}

// recent blanks times that are not old, which are those that no test has set.
func recent(a []byte) []byte {
	a = slices.Clone(a)
	if len(a) == 32 {
		for _, t := range [][]byte{a[24:28], a[28:32]} {
			if s := binary.BigEndian.Uint32(t); s > 1_000_000_000 && s < 4_000_000_000 {
				copy(t, "now.")
			}
		}
	}
	return a
}

func TestVersionLikeOpenSSH(t *testing.T) {
	s := start(t, sandboxd.Options{})
	session, err := dialSSH(t, s).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	w, _ := session.StdinPipe()
	r, _ := session.StdoutPipe()
	if err := session.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	box := (&raw{t: t, w: w, r: r}).init()
	real := dialOpenSSH(t, t.TempDir()).init()
	if !bytes.Equal(box, real) {
		t.Errorf("\n sandbox %q\n OpenSSH %q", box, real)
	}
}

func TestAnswersLikeOpenSSH(t *testing.T) {
	tw := newTwins(t)
	for _, d := range tw.dirs {
		if err := os.Symlink("loop", filepath.Join(d, "loop")); err != nil {
			t.Fatal(err)
		}
	}
	long := strings.Repeat("n", 256)
	old := attr{flags: 8, atim: 100, mtim: 200}
	file := func(kind byte, list ...any) { tw.t.Helper(); tw.ask(kind, list...) }

	file(pOpen, "$/f", oRead|oWrite|oCreate, mode(0o640)) // handle 0
	file(pWrite, "\x00\x00\x00\x00", uint64(3), "hello")
	file(pFstat, "\x00\x00\x00\x00")
	file(pRead, "\x00\x00\x00\x00", uint64(1), 100)
	file(pRead, "\x00\x00\x00\x00", uint64(8), 100)
	file(pRead, "\x00\x00\x00\x00", uint64(0), 0)
	file(pRead, "\x00\x00\x00\x00", uint64(1)<<63, 1)
	file(pWrite, "\x00\x00\x00\x00", uint64(1)<<63, "x")
	file(pWrite, "\x00\x00\x00\x00", uint64(0), "")
	file(pFsetstat, "\x00\x00\x00\x00", attr{flags: 15, size: 6, mode: 0o4711, uid: uint32(os.Getuid()), gid: uint32(os.Getgid()), atim: 7, mtim: 9})
	file(pFstat, "\x00\x00\x00\x00")
	file(pFsetstat, "\x00\x00\x00\x00", attr{flags: 1, size: 1 << 63})
	file(pSetstat, "$/f", attr{flags: 5, size: 1 << 63, mode: 0o600})
	file(pLstat, "$/f")
	file(pOpen, "$/f", oWrite|oCreate|oExcl, attr{})
	file(pOpen, "$/no/f", oWrite|oCreate, attr{})
	file(pOpen, "$/f/x", oRead, attr{})
	file(pOpen, "$", oRead, attr{}) // a directory, as handle 1
	file(pRead, "\x00\x00\x00\x01", uint64(0), 10)
	file(pReaddir, "\x00\x00\x00\x01")
	file(pClose, "\x00\x00\x00\x01")
	file(pOpen, "$", oWrite, attr{})
	file(pOpen, "$/f", 0, attr{})
	file(pClose, "\x00\x00\x00\x01")
	file(pClose, "\x00\x00\x00\x01")
	file(pClose, "four")
	file(pClose, "longer")
	file(pOpen, "$/loop", oRead, attr{})
	file(pStat, "$/loop")
	file(pLstat, "$/loop")
	file(pStat, "$/"+long)
	file(pStat, "")
	file(pReadlink, "$/f")
	file(pReadlink, "$/loop")
	file(pMkdir, "$/d", mode(0o3750))
	file(pLstat, "$/d")
	file(pMkdir, "$/d", attr{})
	file(pMkdir, "$/f/d", attr{})
	file(pMkdir, "$/"+long, attr{})
	file(pSymlink, "f", "$/d/up")
	file(pSymlink, "../f", "$/d/up2")
	file(pSymlink, "", "$/empty")
	file(pStat, "$/d/up2")
	file(pSetstat, "$/d/up2", old)
	file(pStat, "$/f")
	file(pExtended, "lsetstat@openssh.com", "$/d/up2", old)
	file(pExtended, "lsetstat@openssh.com", "$/d/up2", mode(0o600))
	file(pExtended, "lsetstat@openssh.com", "$/f", attr{flags: 1})
	file(pLstat, "$/d/up2")
	file(pRealpath, "$/d/../d/up2")
	file(pRealpath, "$/d/new")
	file(pRealpath, "$/no/new")
	file(pRealpath, "$/f/new")
	file(pRealpath, "$/loop")
	file(pRealpath, "$/d/up")
	file(pRealpath, ".")
	file(pRealpath, "")
	file(pRealpath, "d")
	file(pExtended, "expand-path@openssh.com", "$/d/../f")
	file(pExtended, "hardlink@openssh.com", "$/f", "$/hard")
	file(pExtended, "hardlink@openssh.com", "$/f", "$/hard")
	file(pExtended, "hardlink@openssh.com", "$/d", "$/dhard")
	file(pExtended, "hardlink@openssh.com", "$/loop", "$/loop2")
	file(pLstat, "$/loop2")
	file(pOpendir, "$/f")
	file(pOpendir, "$/no")
	file(pOpendir, "$/loop")
	file(pOpendir, "$") // handle 1
	file(pReaddir, "\x00\x00\x00\x01")
	file(pReaddir, "\x00\x00\x00\x01")
	file(pFstat, "\x00\x00\x00\x01")
	file(pRead, "\x00\x00\x00\x01", uint64(0), 1)
	file(pWrite, "\x00\x00\x00\x01", uint64(0), "x")
	file(pReaddir, "\x00\x00\x00\x00")
	file(pExtended, "fsync@openssh.com", "\x00\x00\x00\x00")
	file(pExtended, "fsync@openssh.com", "\x00\x00\x00\x01")
	file(pExtended, "fsync@openssh.com", "\x00\x00\x00\x07")
	file(pRename, "$/hard", "$/f")
	file(pRename, "$/hard", "$/d")
	file(pRename, "$/d", "$/hard")
	file(pRename, "$/no", "$/f")
	file(pRename, "$/hard", "$/hard")
	file(pRename, "$/d", "$/d/in")
	file(pExtended, "posix-rename@openssh.com", "$/d", "$/hard")
	file(pExtended, "posix-rename@openssh.com", "$/hard", "$/d")
	file(pExtended, "posix-rename@openssh.com", "$/hard", "$/f")
	file(pExtended, "posix-rename@openssh.com", "$/d", "$/d/in")
	file(pRemove, "$/d")
	file(pRemove, "$/no")
	file(pRemove, "$/f/no")
	file(pRmdir, "$/d")
	file(pRmdir, "$/f")
	file(pRmdir, "$/no")
	file(pExtended, "limits@nobody", "")
	file(pExtended, "users-groups-by-id@openssh.com", string(fields(0, 1, 54321)), string(fields(0, 54321)))
	file(pExtended, "statvfs@openssh.com", "$/no")
	file(pExtended, "fstatvfs@openssh.com", "\x00\x00\x00\x09")
	file(pOpen, "$/append", oWrite|oCreate|oAppend, mode(0o600)) // handle 2
	file(pWrite, "\x00\x00\x00\x02", uint64(100), "abc")
	file(pWrite, "\x00\x00\x00\x02", uint64(0), "def")
	file(pRead, "\x00\x00\x00\x02", uint64(0), 1)
	file(pLstat, "$/append")
}

// Copies with lengths and places at random, within a file too, leave the same
// answers and the same files.
func TestCopiesLikeOpenSSH(t *testing.T) {
	tw := newTwins(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, name := range []string{"$/a", "$/b"} {
		tw.ask(pOpen, name, oRead|oWrite|oCreate, mode(0o600))
	}
	handles := []string{"\x00\x00\x00\x00", "\x00\x00\x00\x01"}
	for range 300 {
		h := func() string { return handles[rnd.IntN(2)] }
		n := func() uint64 { return uint64(rnd.IntN(30)) }
		if rnd.IntN(10) == 0 { // over several of the chunks that it copies by
			n = func() uint64 { return uint64(rnd.IntN(300_000)) }
		}
		tw.ask(pWrite, h(), n(), "0123456789"[rnd.IntN(9):])
		tw.ask(pExtended, "copy-data", h(), n(), n(), h(), n())
		tw.ask(pFsetstat, h(), attr{flags: 1, size: n()})
		tw.ask(pRead, h(), uint64(0), 200_000)
	}
}

// Requests at random, most of them senseless, are answered the same.
func TestRandomRequestsLikeOpenSSH(t *testing.T) {
	tw := newTwins(t)
	rnd := rand.New(rand.NewPCG(3, 4))
	names := []string{"$/a", "$/b", "$/d", "$/d/a", "$/d/b", "$/l", "$/a/x", "$/no/x", "$/l/a"}
	texts := []string{"a", "d", "../a", "d/l", "no", ".", "./d//b"}
	name := func() string { return names[rnd.IntN(len(names))] }
	handle := func() string { return string([]byte{0, 0, 0, byte(rnd.IntN(5))}) }
	n := func() uint64 { return uint64(rnd.IntN(20)) }
	some := func() attr {
		return attr{flags: uint32(rnd.IntN(16)) &^ 2, size: n(), mode: uint32(0o600 | rnd.IntN(0o200)), atim: uint32(n()), mtim: uint32(n())}
	}
	requests := []func(){
		func() { tw.ask(pOpen, name(), rnd.IntN(64), mode(0o644)) },
		func() { tw.ask(pClose, handle()) },
		func() { tw.ask(pRead, handle(), n(), int(n())) },
		func() { tw.ask(pWrite, handle(), n(), "data") },
		func() { tw.ask(pLstat, name()) },
		func() { tw.ask(pStat, name()) },
		func() { tw.ask(pFstat, handle()) },
		func() { tw.ask(pSetstat, name(), some()) },
		func() { tw.ask(pFsetstat, handle(), some()) },
		func() { tw.ask(pExtended, "lsetstat@openssh.com", name(), some()) },
		func() { tw.ask(pOpendir, name()) },
		func() { tw.ask(pRemove, name()) },
		func() { tw.ask(pMkdir, name(), mode(0o755)) },
		func() { tw.ask(pRmdir, name()) },
		func() { tw.ask(pRename, name(), name()) },
		func() { tw.ask(pExtended, "posix-rename@openssh.com", name(), name()) },
		func() { tw.ask(pExtended, "hardlink@openssh.com", name(), name()) },
		func() { tw.ask(pSymlink, texts[rnd.IntN(len(texts))], name()) },
		func() { tw.ask(pReadlink, name()) },
		func() { tw.ask(pRealpath, name()) },
	}
	for i := 0; i < 20_000 && !t.Failed(); i++ {
		requests[rnd.IntN(len(requests))]()
	}
}
