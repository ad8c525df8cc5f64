package sandboxd_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

const (
	oRead, oWrite, oAppend, oCreate, oTrunc, oExcl = 1, 2, 4, 8, 16, 32
)

// box is a sandbox, its directory on the disk and a raw session.
func box(t *testing.T, o sandboxd.Options) (string, *raw) {
	t.Helper()
	o.Dir = t.TempDir()
	return o.Dir, dialRaw(t, start(t, o))
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stat(t *testing.T, dir, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(filepath.Join(dir, name), &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestModesAtOpenAndMkdir(t *testing.T) {
	dir, c := box(t, sandboxd.Options{Umask: 0o077})
	c.handle(pOpen, "/f", oWrite|oCreate, mode(0o4755))
	c.want(ok, pMkdir, "/d", mode(0o750))
	if m := stat(t, dir, "f").Mode & 0o7777; m != 0o4700 {
		t.Errorf("file has mode %o", m)
	}
	if m := stat(t, dir, "d").Mode & 0o7777; m != 0o700 {
		t.Errorf("directory has mode %o", m)
	}
}

func TestOpenFlags(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	write(t, dir, "there", "content")
	if err := os.Symlink("missing", filepath.Join(dir, "dangling")); err != nil {
		t.Fatal(err)
	}
	c.want(noSuchFile, pOpen, "/no", oWrite, attr{})
	c.want(failure, pOpen, "/there", oWrite|oCreate|oExcl, attr{})
	c.want(failure, pOpen, "/dangling", oWrite|oCreate|oExcl, attr{})
	h := c.handle(pOpen, "/there", oWrite|oAppend, attr{})
	c.want(ok, pWrite, h, uint64(0), "+")
	if got := content(t, dir, "there"); got != "content+" {
		t.Errorf("after an append: %q", got)
	}
	c.handle(pOpen, "/there", oWrite|oTrunc, attr{})
	if got := content(t, dir, "there"); got != "" {
		t.Errorf("after truncation: %q", got)
	}
	c.handle(pOpen, "/dangling", oWrite|oCreate, attr{})
	content(t, dir, "missing")
	if err := unix.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.want(failure, pOpen, "/fifo", oRead, attr{})
}

// An open handle goes on to work when its file has no name any more, for all
// that it can be asked.
func TestUnlinkedFileLivesOn(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	h := c.handle(pOpen, "/f", oRead|oWrite|oCreate, mode(0o600))
	c.want(ok, pRemove, "/f")
	write(t, dir, "f", "another")
	c.want(ok, pWrite, h, uint64(0), "hello")
	c.want(ok, pFsetstat, h, attr{flags: 13, size: 4, mode: 0o640, atim: 7, mtim: 8})
	a := c.attrs(pFstat, h)
	if a.size != 4 || a.mode != 0o100640 || a.atim != 7 || a.mtim != 8 {
		t.Errorf("attributes %+v", a)
	}
	if p := c.get(pData, pRead, h, uint64(0), 100); string(p[4:]) != "hell" {
		t.Errorf("read %q", p[4:])
	}
	c.want(ok, pExtended, "fsync@openssh.com", h)
	c.want(ok, pClose, h)
	c.want(failure, pFstat, h)
	if got := content(t, dir, "f"); got != "another" {
		t.Errorf("the new file has %q", got)
	}
}

func TestReads(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	write(t, dir, "f", strings.Repeat("x", 300_000))
	h := c.handle(pOpen, "/f", oRead, attr{})
	for _, test := range []struct {
		off      uint64
		ask, get int
	}{{0, 1, 1}, {0, 261_120, 261_120}, {0, 1 << 30, 261_120}, {299_999, 10, 1}} {
		p := c.get(pData, pRead, h, test.off, test.ask)
		if len(p) != 4+test.get {
			t.Errorf("%d bytes at %d: got %d", test.ask, test.off, len(p)-4)
		}
	}
	c.want(eof, pRead, h, uint64(300_000), 10)
	c.want(badMessage, pRead, h, uint64(1)<<63, 10)
	c.want(noSuchFile, pWrite, h, uint64(0), "x") // EBADF: not open for writing
	c.want(failure, pRead, "\x00\x00\x00\x09", uint64(0), 10)
	c.want(failure, pRead, "bad", uint64(0), 10)
}

func TestSetstat(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	write(t, dir, "f", "content")
	if err := os.Symlink("f", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	c.want(ok, pSetstat, "/l", attr{flags: 13, size: 3, mode: 0o7711, atim: 1, mtim: 1<<32 - 1})
	st := stat(t, dir, "f")
	if st.Size != 3 || st.Mode != 0o107711 || st.Atim.Sec != 1 || st.Mtim.Sec != 1<<32-1 {
		t.Errorf("%+v", st)
	}
	c.want(ok, pExtended, "lsetstat@openssh.com", "/l", attr{flags: 8, atim: 5, mtim: 6})
	if st := stat(t, dir, "l"); st.Atim.Sec != 5 || st.Mtim.Sec != 6 {
		t.Errorf("the link's times are %d, %d", st.Atim.Sec, st.Mtim.Sec)
	}
	if st := stat(t, dir, "f"); st.Mtim.Sec != 1<<32-1 {
		t.Errorf("the file's mtime became %d", st.Mtim.Sec)
	}
	c.want(failure, pExtended, "lsetstat@openssh.com", "/l", mode(0o600)) // no modes on links
	c.want(badMessage, pExtended, "lsetstat@openssh.com", "/f", attr{flags: 1, size: 1})
	c.want(noSuchFile, pSetstat, "/no", mode(0o600))
}

func TestNames(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	write(t, dir, "a", "a")
	write(t, dir, "b", "b")
	c.want(failure, pRename, "/a", "/b")
	c.want(ok, pRename, "/a", "/c")
	c.want(ok, pExtended, "posix-rename@openssh.com", "/c", "/b")
	if got := content(t, dir, "b"); got != "a" {
		t.Errorf("after the rename: %q", got)
	}
	c.want(ok, pExtended, "hardlink@openssh.com", "/b", "/hard")
	c.want(failure, pExtended, "hardlink@openssh.com", "/b", "/hard")
	c.want(ok, pSymlink, "../../any text", "/link")
	if got := c.name(pReadlink, "/link"); got != "../../any text" {
		t.Errorf("link %q", got)
	}
	c.want(badMessage, pReadlink, "/b")
	c.want(ok, pMkdir, "/d", attr{})
	c.want(failure, pMkdir, "/d", attr{})
	c.want(failure, pRemove, "/d")
	c.want(ok, pMkdir, "/d/e", attr{})
	c.want(failure, pRmdir, "/d")
	c.want(ok, pRmdir, "/d/e")
	c.want(ok, pRmdir, "/d")
	c.want(ok, pRemove, "/link")
	c.want(noSuchFile, pRemove, "/link")
	c.want(noSuchFile, pMkdir, "/b/d", attr{}) // ENOTDIR
	c.want(badMessage, pMkdir, "/"+strings.Repeat("n", 256), attr{})
	c.want(badMessage, pMkdir, "/nul\x00", attr{})
}

func TestListing(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	const files = 250
	for i := range files {
		write(t, dir, fmt.Sprintf("f%03d", i), "x")
	}
	write(t, dir, "bytes\xff\n", "x")
	if err := os.Link(filepath.Join(dir, "f000"), filepath.Join(dir, "hard")); err != nil {
		t.Fatal(err)
	}
	h := c.handle(pOpendir, "/")
	seen := map[string]string{}
	for {
		p := c.ask(pReaddir, h)
		if p[0] == pStatus {
			break
		}
		n := binary.BigEndian.Uint32(p[5:])
		if n == 0 || n > 100 {
			t.Fatalf("%d names in an answer", n)
		}
		for p = p[9:]; n > 0; n-- {
			name := text(&p)
			seen[name] = text(&p)
			p = p[32:]
		}
	}
	if len(seen) != files+4 { // the odd name, the hard link, "." and ".."
		t.Errorf("%d names", len(seen))
	}
	if long := seen["hard"]; !strings.HasPrefix(long, "-rw-r--r--    2 ") || !strings.HasSuffix(long, " hard") {
		t.Errorf("long name %q", long)
	}
	if seen["bytes\xff\n"] == "" {
		t.Error("a name is not as it is")
	}
	c.want(eof, pReaddir, h)
	c.want(noSuchFile, pOpendir, "/f000") // ENOTDIR
	f := c.handle(pOpen, "/f000", oRead, attr{})
	c.want(failure, pReaddir, f)
}

func TestExtended(t *testing.T) {
	dir, c := box(t, sandboxd.Options{Home: "/home/user"})
	if err := os.MkdirAll(filepath.Join(dir, "home/user"), 0o755); err != nil {
		t.Fatal(err)
	}
	if p := c.get(pReply, pExtended, "limits@openssh.com"); !bytes.Equal(p,
		fields(uint64(262_144), uint64(261_120), uint64(261_120), uint64(1000))) {
		t.Errorf("limits %x", p)
	}
	if p := c.get(pReply, pExtended, "statvfs@openssh.com", "/"); len(p) != 88 || binary.BigEndian.Uint64(p[80:]) != 255 {
		t.Errorf("statvfs %x", p)
	}
	if got := c.name(pExtended, "home-directory", "user"); got != "/home/user" {
		t.Errorf("home %q", got)
	}
	if got := c.name(pRealpath, "."); got != "/home/user" {
		t.Errorf("real path of . %q", got)
	}
	if got := c.name(pExtended, "expand-path@openssh.com", "~/x"); got != "/home/user/x" {
		t.Errorf("~/x is %q", got)
	}
	p := c.get(pReply, pExtended, "users-groups-by-id@openssh.com", string(fields(0, 4_000_000)), string(fields(0)))
	users, groups := text(&p), text(&p)
	if users != string(fields("root", "")) || groups[4] == 0 {
		t.Errorf("users %q, groups %q", users, groups)
	}
	c.want(unsupported, pExtended, "nobody@example.com")
}

func TestCopyData(t *testing.T) {
	dir, c := box(t, sandboxd.Options{})
	write(t, dir, "from", "0123456789")
	from := c.handle(pOpen, "/from", oRead|oWrite, attr{})
	to := c.handle(pOpen, "/to", oWrite|oCreate, attr{})
	c.want(ok, pExtended, "copy-data", from, uint64(2), uint64(3), to, uint64(1))
	if got := content(t, dir, "to"); got != "\x00234" {
		t.Errorf("copied %q", got)
	}
	c.want(ok, pExtended, "copy-data", from, uint64(5), uint64(0), to, uint64(0))
	c.want(ok, pExtended, "copy-data", from, uint64(8), uint64(5), to, uint64(5))
	c.want(eof, pExtended, "copy-data", from, uint64(8), uint64(200_000), to, uint64(5))
	if got := content(t, dir, "to"); got != "5678989" {
		t.Errorf("copied %q", got)
	}
	c.want(failure, pExtended, "copy-data", from, uint64(0), uint64(5), from, uint64(5))
}

func TestHandleNumbersComeBack(t *testing.T) {
	_, c := box(t, sandboxd.Options{MaxHandles: 2})
	a := c.handle(pOpen, "/a", oWrite|oCreate, attr{})
	c.handle(pOpen, "/b", oWrite|oCreate, attr{})
	c.want(failure, pOpen, "/c", oWrite|oCreate, attr{})
	c.want(ok, pClose, a)
	if b := c.handle(pOpendir, "/"); a != b {
		t.Errorf("handle %x after %x was closed", b, a)
	}
}

func TestExtensionsCanBeMissing(t *testing.T) {
	dir := t.TempDir()
	s := start(t, sandboxd.Options{Dir: dir, Extensions: []string{"fsync@openssh.com"}})
	session, err := dialSSH(t, s).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	w, _ := session.StdinPipe()
	r, _ := session.StdoutPipe()
	if err := session.RequestSubsystem("sftp"); err != nil {
		t.Fatal(err)
	}
	c := &raw{t: t, w: w, r: r}
	if p := c.init(); !bytes.Equal(p, append([]byte{2}, fields(3, "fsync@openssh.com", "1")...)) {
		t.Errorf("version %q", p)
	}
	c.want(unsupported, pExtended, "statvfs@openssh.com", "/")
}

// A packet that breaks the protocol ends the session and harms nothing else.
func TestMalformedPackets(t *testing.T) {
	s := start(t, sandboxd.Options{})
	for name, p := range map[string][]byte{
		"length 0":          {0, 0, 0, 0},
		"4 GiB":             {0xff, 0xff, 0xff, 0xff, 3},
		"over the limit":    {0, 4, 0, 1, 3},
		"type alone":        {0, 0, 0, 1, 3},
		"string too long":   {0, 0, 0, 9, 17, 0, 0, 0, 1, 0, 0, 1, 0},
		"string over 2 GiB": {0, 0, 0, 9, 17, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff},
		"attributes":        append([]byte{0, 0, 0, 18, 9, 0, 0, 0, 1}, fields("/", uint32(1<<31), uint32(1<<32-1))[:13]...),
	} {
		c := dialRaw(t, s)
		if _, err := c.w.Write(p); err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if n, err := c.r.Read(b[:]); err == nil {
			t.Errorf("%s: answered with %d bytes", name, n)
		}
	}
	dialRaw(t, s).want(noSuchFile, pStat, "/no")
}
