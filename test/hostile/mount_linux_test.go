package hostile

import (
	"bytes"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/process"
)

// mounted is a world with the kernel on the other side, and a canary beside it:
// a local tree that links of the sandbox lead to, were they followed here.
type mounted struct {
	*world
	*fs.Mounted
	base   string // has the mount and the canary in it
	before string // the canary's looks
}

func newMounted(t *testing.T) *mounted {
	t.Helper()
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m := &mounted{world: newWorld(t), base: base}
	for _, dir := range []string{m.canary(), m.point()} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(m.canary()+"/secret", []byte(secret), 0o666); err != nil {
		t.Fatal(err)
	}
	m.attack()
	m.before = m.looks()
	m.Mounted, err = fs.Mount(t.Context(), fs.Options{
		Mountpoint: m.point(), Tree: m.tree, Log: slog.New(slog.NewTextHandler(m.log, nil)),
		IDMap: fs.IDMap{MapUser: true, LocalUID: uint32(os.Getuid()), LocalGID: uint32(os.Getgid())},
	})
	if err != nil {
		t.Fatal(err)
	}
	// A test whose time is up must not leave programs that wait for its mount.
	if deadline, ok := t.Deadline(); ok {
		alarm := time.AfterFunc(time.Until(deadline)-5*time.Second, m.Abort)
		t.Cleanup(func() { alarm.Stop() })
	}
	t.Cleanup(m.end)
	return m
}

func (m *mounted) point() string  { return filepath.Join(m.base, "mnt") }
func (m *mounted) canary() string { return filepath.Join(m.base, "canary") }

// attack puts links into the sandbox that lead to the canary, by name attackN.
func (m *mounted) attack() {
	up, c := strings.Repeat("../", 30), m.canary()
	for i, text := range []string{
		c + "/secret", c, up + c[1:] + "/secret", up + c[1:], "d/e/../../" + up + c[1:] + "/secret",
		"swap/../" + up + c[1:] + "/secret", "/proc/self/root" + c, "/proc/self/cwd/../canary/secret",
		strings.Repeat("./", 1500) + up + c[1:], "attack3/secret",
	} {
		for _, dir := range []string{"home", "home/d", "home/d/e"} {
			if err := os.Symlink(text, filepath.Join(m.dir, dir, fmt.Sprint("attack", i))); err != nil {
				m.Fatal(err)
			}
		}
	}
}

// looks is the canary as a text, and all that is beside it: a change shows.
func (m *mounted) looks() string {
	var b strings.Builder
	for _, p := range []string{m.base, m.canary(), m.canary() + "/secret"} {
		info, err := os.Lstat(p)
		if err != nil {
			m.Fatal(err)
		}
		fmt.Fprintln(&b, p, info.Mode(), info.ModTime(), info.Size())
	}
	for _, dir := range []string{m.base, m.canary()} {
		names, err := os.ReadDir(dir)
		fmt.Fprintln(&b, names, err)
	}
	got, err := os.ReadFile(m.canary() + "/secret")
	fmt.Fprintln(&b, string(got), err)
	return b.String()
}

// letIn takes back what players did to the modes of the sandbox's directories.
func (m *mounted) letIn() {
	_ = filepath.WalkDir(m.dir, func(p string, d iofs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			err = os.Chmod(p, 0o755)
		}
		return err
	})
}

// end unmounts, whatever the sandbox is doing, and looks at the canary.
func (m *mounted) end() {
	m.Abort()
	select {
	case <-m.Done():
	case <-time.After(bound):
		buf := make([]byte, 1<<20)
		m.Errorf("the mount does not end\n%s", buf[:runtime.Stack(buf, true)])
	}
	m.letIn()
	if after := m.looks(); after != m.before {
		m.Errorf("outside of the mount there was\n%s\nand now there is\n%s", m.before, after)
	}
}

// honest has the sandbox tell the truth from now on, and puts the file back that
// tells of it.
func (m *mounted) honest() {
	m.server.SetSFTP(faults.SFTP{})
	m.mendWire()
	m.letIn()
	large := filepath.Join(m.dir, "home/large")
	os.RemoveAll(large)
	if err := os.WriteFile(large, content, 0o644); err != nil {
		m.Error(err)
	}
}

// play has a program play in the mount for a while, and returns what it said.
// With a trace, strace writes there what the program opened.
func (m *mounted) play(seed uint64, length time.Duration, trace string) string {
	m.Helper()
	args := []string{os.Args[0]}
	if trace != "" {
		args = append([]string{"strace", "-f", "-qq", "-y", "-s", "300", "-e", "trace=open,openat,openat2,creat", "-o", trace}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), playIn+"="+m.point(), playSeed+"="+fmt.Sprint(seed), playFor+"="+length.String())
	p, err := process.Start(cmd)
	if err != nil {
		m.Fatal(err)
	}
	defer p.Kill()
	select {
	case <-p.Ended():
	case <-time.After(length + 2*bound + 100*timeout):
		buf := make([]byte, 1<<20)
		m.Errorf("the player does not end\n%s\n%s", p.Output(), buf[:runtime.Stack(buf, true)])
		m.Abort()
		return ""
	}
	said := p.Output()
	if strings.Contains(said, "BAD") || !strings.Contains(said, " operations, ") {
		m.Errorf("seed %d: a player ended with %s and said\n%s", seed, p.State(), said)
	}
	return said
}

// opened is a line of strace's for what was opened: the descriptor's file is
// what the kernel found.
var opened = regexp.MustCompile(`(?:open|openat|openat2|creat)(?:\(| resumed>).* = \d+<(.*)>$`)

// stayedInside looks at what a player opened since it began to play.
func (m *mounted) stayedInside(trace string) {
	m.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		m.Fatal(err)
	}
	_, played, ok := bytes.Cut(text, []byte(started))
	inside := 0
	for line := range strings.Lines(string(played)) {
		found := opened.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case found == nil:
		case found[1] == m.point() || strings.HasPrefix(found[1], m.point()+"/"):
			inside++
		default:
			m.Errorf("a player opened %s: %s", found[1], line)
		}
	}
	if !ok || inside == 0 {
		m.Errorf("strace saw %d files opened\n%.2000s", inside, text)
	}
}

// direct changes what the sandbox does to its client, by seed, until stop is
// closed: lies of all kinds at all rates, broken frames, cut streams, refused
// dials, and a directory that turns into a link and back.
func (m *mounted) direct(seed uint64, stop <-chan struct{}) {
	r := rand.New(rand.NewPCG(seed, 2))
	gentle := []faults.Lie{ // that the connection lives on after
		faults.NameEmpty, faults.NameDot, faults.NameDotDot, faults.NameSlash, faults.NameEscape, faults.NameNUL,
		faults.NameLong, faults.NameControl, faults.NameHalfUTF8, faults.NameTwice, faults.NamesEndless, faults.LongnameOdd,
		faults.LinkCount, faults.SizeMax, faults.SizeHuge, faults.TypeOdd, faults.TypeDevice, faults.TypeFIFO,
		faults.TypeSwapped, faults.ModeSetID, faults.TimesMax, faults.ShortData, faults.OneByte, faults.EOFInstead, faults.OddStatus,
	}
	for round := uint64(0); ; round++ {
		var s faults.SFTP
		wire := false
		switch kind := r.IntN(10); kind {
		case 0: // the truth
		case 1, 2, 3, 4, 5, 6:
			s.Hostile = &faults.Hostile{Seed: seed + round, Rate: []float64{0.1, 0.5, 0.95}[r.IntN(3)], Fit: true, Lies: gentle}
		default:
			s.Hostile = &faults.Hostile{Seed: seed + round, Rate: []float64{0.001, 0.01, 0.05}[r.IntN(3)], Fit: r.IntN(2) == 0}
			wire = kind == 9
		}
		m.server.SetSFTP(s)
		if wire {
			m.breakWire(r)
		}
		for range 10 {
			m.swap(r)
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
			}
		}
		if wire {
			m.mendWire()
		}
	}
}

// breakWire has the next connections meet something below SFTP, and makes them
// necessary.
func (m *mounted) breakWire(r *rand.Rand) {
	switch r.IntN(4) {
	case 0:
		m.server.SetFrames([]faults.Frames{{Message: 1}, {Fragment: 7, Ping: 3}, {Empty: 2}}[r.IntN(3)])
	case 1:
		m.server.SetFrames(faults.Frames{End: pick(r, faults.Ends()), After: r.Int64N(50_000)})
	case 2:
		m.server.SetStream(faults.Stream{CloseOut: r.Int64N(20_000), CloseIn: r.Int64N(20_000), Times: 2})
	case 3:
		m.server.SetEdge(faults.Edge{Answer: pick(r, faults.Answers()), Times: 1})
	}
	m.server.Drop()
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }

func (m *mounted) mendWire() {
	m.server.SetFrames(faults.Frames{})
	m.server.SetStream(faults.Stream{})
	m.server.SetEdge(faults.Edge{})
	m.server.Drop()
}

// swap makes the sandbox's home/swap a directory or a link to the canary.
func (m *mounted) swap(r *rand.Rand) {
	swap := filepath.Join(m.dir, "home/swap")
	os.RemoveAll(swap)
	switch r.IntN(3) {
	case 0:
		os.Mkdir(swap, 0o755)
	case 1:
		os.Symlink(m.canary(), swap)
	case 2:
		os.Symlink("../"+strings.Repeat("../", 30)+m.canary()[1:], swap)
	}
}
