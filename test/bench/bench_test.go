package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary stand for the program where works start it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "io" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Two made-up systems, one ten times as fast as the other.
func made(w *Work, on Condition) *Report {
	r := newReport("own", 1)
	for name, seconds := range map[string]float64{"sshfs": 10, "sbxmount": 1} {
		r.Results = append(r.Results, Result{
			Work: w.Name, Condition: on.String(), System: name, Sample: Sample{Seconds: seconds},
			MBPerSec: float64(w.Bytes) / 1e6 / seconds, on: on, work: w,
		})
	}
	return r
}

func TestTargets(t *testing.T) {
	for _, test := range []struct {
		target Target
		got    float64
		ok     bool
	}{
		{Target{mid, "sbxmount", "sshfs", 10, 0, 0}, 10, true},
		{Target{mid, "sbxmount", "sshfs", 11, 0, 0}, 10, false},
		{Target{slow, "sbxmount", "link", 0.9, 0, 0}, 0.8, false}, // 20 MB in 1 s of 200 Mbit/s
		{Target{mid, "sshfs", "sbxmount", 0, 2, 0}, 450, false},
		{Target{mid, "sbxmount", "sshfs", 0, 2, 0}, -450, true},
	} {
		w := Work{Name: "read x", Bytes: 20e6, Targets: []Target{test.target}}
		r := made(&w, test.target.On)
		r.judge([]Work{w})
		if len(r.Targets) != 1 || r.Targets[0].OK != test.ok || r.Targets[0].Got-test.got > 1e-9 {
			t.Errorf("%v: %+v", test.target, r.Targets)
		}
	}
}

// What sbxmount takes of memory and processors is judged, too.
func TestBounds(t *testing.T) {
	read := Work{Name: "read x", Bytes: 1 << 30, Limit: ReadBig, On: []Condition{mid}}
	few, many := walkOf(1000), walkOf(100_000)
	row := func(w *Work, system string, cpu float64, rss int64) Result {
		return Result{Work: w.Name, Condition: mid.String(), System: system, on: mid, work: w, Sample: Sample{Seconds: 1, CPUSeconds: cpu, MaxRSS: rss}}
	}
	for _, c := range []struct {
		cpu       float64
		few, many int64
		bad       int
	}{{2, 20 << 20, 60 << 20, 0}, {3, 20 << 20, 60 << 20, 1}, {2, 20 << 20, 120 << 20, 1}, {2, 300 << 20, 357 << 20, 1}} {
		r := newReport("own", 1)
		r.Results = []Result{row(&read, "sbxmount", c.cpu, 1), row(&read, "sshfs", 2.5, 1), row(&few, "sbxmount", 0, c.few), row(&many, "sbxmount", 0, c.many)}
		r.judge([]Work{read, few, many})
		bad := 0
		for _, v := range r.Targets {
			if !v.OK {
				bad++
			}
		}
		if len(r.Targets) != 3 || bad != c.bad {
			t.Errorf("%+v: %+v", c, r.Targets)
		}
	}
}

func TestFailedCellsAreNoTimes(t *testing.T) {
	w := Work{Name: "read x", Targets: []Target{{mid, "sbxmount", "sshfs", 1, 0, 0}}}
	r := made(&w, mid)
	r.Results[0].Error = "a byte was missing"
	r.judge([]Work{w})
	if len(r.Targets) != 0 || r.failure() == nil {
		t.Errorf("targets %+v, failure %v", r.Targets, r.failure())
	}
	var out strings.Builder
	r.print(&out)
	if !strings.Contains(out.String(), ": a byte was missing") {
		t.Error(out.String())
	}
}

func TestReportIsWritten(t *testing.T) {
	w := Work{Name: "read x", Bytes: 20e6}
	r, dir := made(&w, mid), t.TempDir()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	for i, curve := range []Work{walkOf(1000), walkOf(10_000), readersOf(1, 1<<20), readersOf(4, 1<<20)} {
		r.Results = append(r.Results, Result{
			Work: curve.Name, Condition: mid.String(), System: "sbxmount", on: mid, work: &curve,
			MBPerSec: float64(i + 1), Sample: Sample{Seconds: float64(i + 1), MaxRSS: int64(i+1) << 20},
		})
	}
	if err := drawAll(r, dir); err != nil {
		t.Fatal(err)
	}
	for name, holds := range map[string]string{"results.json": `"system": "sbxmount"`, "read.svg": "<svg", "works.svg": "sbxmount",
		"files.svg": "seconds", "memory.svg": "MB", "readers.svg": "MB/s"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !strings.Contains(string(text), holds) {
			t.Errorf("%s: %v, or without %s", name, err, holds)
		}
	}
}

// Each target must be about a condition that its work is measured under, and a
// system that there is.
func TestTableIsConsistent(t *testing.T) {
	known := "link"
	for _, s := range systems(&lab{}) {
		known += " " + s.Name()
	}
	names := make(map[string]bool)
	for _, w := range works(full) {
		if names[w.Name] {
			t.Errorf("%s is there twice", w.Name)
		}
		names[w.Name] = true
		if w.Do == nil || w.Packets == "" || len(w.On) == 0 || len(w.Targets) == 0 && w.Curve.Name == "" && w.MaxTrips == 0 || w.Writes && w.Check == nil {
			t.Errorf("%s is incomplete", w.Name)
		}
		for _, target := range w.Targets {
			measured := false
			for _, c := range w.On {
				measured = measured || c == target.On
			}
			if !measured || !strings.Contains(known, target.System) || !strings.Contains(known, target.Against) || w.Probes != (target.Probes > 0) {
				t.Errorf("%s: target %v at %v cannot be judged", w.Name, target, target.On)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-run", "find|git", "-rtt", "0,20", "-systems", "sshfs", "-quick"})
	if err != nil || s.n != 1 || len(s.rtts) != 2 || s.rtts[1] != 20*time.Millisecond {
		t.Fatalf("%+v, %v", s, err)
	}
	chosen := s.selects(works(quick))
	for _, w := range chosen {
		if !regexp.MustCompile("find|git").MatchString(w.Name) || len(w.On) != 2 {
			t.Errorf("%s under %v is chosen", w.Name, w.On)
		}
	}
	if len(chosen) != 4 {
		t.Errorf("%d works, want 4", len(chosen))
	}
	for _, bad := range [][]string{{"-rtt", "x"}, {"-run", "("}, {"-bridge", "none"}, {"-n", "0"}, {"rest"}} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// local measures on the local disk what is otherwise done over a mount: the
// works and their checks have to agree with a file system that is right.
func TestWorksOnALocalDirectory(t *testing.T) {
	for _, w := range works(Scale{Big: 8 << 20, Huge: 100, Files: []int{300}, Readers: []int{3}}) {
		t.Run(w.Name, func(t *testing.T) {
			b := &bench{lab: &lab{temp: t.TempDir(), self: os.Args[0]}}
			site, err := b.site(&w)
			if err != nil {
				t.Fatal(err)
			}
			site.Mount = site.Dir
			if err := b.reset(&w, site); err != nil {
				t.Fatal(err)
			}
			times := 1
			if w.Warm {
				times = 2
			}
			for range times {
				if err := w.Do(t.Context(), site); err != nil {
					t.Fatal(err)
				}
			}
			if w.Probes {
				if took, err := probed(site); err != nil || took <= 0 {
					t.Errorf("probes: %v, %v", took, err)
				}
			}
			if w.Check == nil {
				return
			}
			if err := w.Check(t.Context(), site); err != nil {
				t.Error(err)
			}
			if w.Writes && w.Check(t.Context(), emptied(t, site)) == nil && !strings.HasPrefix(w.Name, "rm ") {
				t.Error("nothing on the server, and the check is content")
			}
		})
	}
}

// emptied is a site of which the server got nothing.
func emptied(t *testing.T, site *Site) *Site {
	empty := *site
	empty.Dir = t.TempDir()
	return &empty
}

func TestChecksSeeOneWrongByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := writeBig(path, 1<<20); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []string{
		`printf x | dd of="$0" bs=1 seek=70000 conv=notrunc status=none`,
		`truncate -s +1 "$0"`,
		`truncate -s -1 "$0"`,
	} {
		if err := readBig(path, 1<<20); err != nil {
			t.Fatal(err)
		}
		if err := exec.Command("sh", "-c", spoil, path).Run(); err != nil {
			t.Fatal(err)
		}
		if err := readBig(path, 1<<20); err == nil {
			t.Errorf("%s goes unnoticed", spoil)
		}
		if err := writeBig(path, 1<<20); err != nil {
			t.Fatal(err)
		}
	}
}

// The repository has the size that the targets were set for.
func TestRepository(t *testing.T) {
	site := &Site{Dir: t.TempDir()}
	dir := filepath.Join(site.Dir, "repo")
	if err := makeRepository(dir); err != nil {
		t.Fatal(err)
	}
	site.Local = t.TempDir()
	if err := site.run(context.Background(), dir, `find . -type f | wc -l >"$LOCAL/n"; find . -type d | wc -l >>"$LOCAL/n"`); err != nil {
		t.Fatal(err)
	}
	n, err := os.ReadFile(filepath.Join(site.Local, "n"))
	if err != nil || string(n) != "877\n267\n" {
		t.Errorf("%q files and directories, %v", n, err)
	}
}
