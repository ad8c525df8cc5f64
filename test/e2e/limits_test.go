package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// limits are status --json's.
type limits struct {
	Inodes, Open, Requests, Goroutines, Memory int64
	MaxInodes                                  int64 `json:"max_inodes"`
	MaxOpen                                    int64 `json:"max_open"`
	MaxRequests                                int64 `json:"max_requests"`
	MaxGoroutines                              int64 `json:"max_goroutines"`
	MaxMemory                                  int64 `json:"max_memory"`
}

func (d *desk) limits(point string) limits {
	d.t.Helper()
	var s struct{ Limits limits }
	d.decode(d.ok("status", "--json", point), &s)
	l := s.Limits
	for what, n := range map[string][2]int64{
		"inodes": {l.Inodes, l.MaxInodes}, "open": {l.Open, l.MaxOpen}, "requests": {l.Requests, l.MaxRequests},
		"goroutines": {l.Goroutines, l.MaxGoroutines}, "memory": {l.Memory, l.MaxMemory},
	} {
		if n[0] > n[1] || n[1] == 0 {
			d.t.Errorf("status has %d of %d %s", n[0], n[1], what)
		}
	}
	if text := d.ok("status", point); !strings.Contains(text, fmt.Sprintf(" of %d inodes, ", l.MaxInodes)) {
		d.t.Errorf("%s", text)
	}
	return l
}

// TestLimits: a tree of nearly twice the inodes that may be kept is gone through
// all the same; a directory of more is refused; and so is one open file too many.
func TestLimits(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	h := embeddedHost(t)
	const dirs, files, most = 70, 100, 4000
	for i := range dirs {
		sub := h.path("tree", fmt.Sprint("d", i/20), fmt.Sprint("d", i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for f := range files {
			if err := os.Mkdir(filepath.Join(sub, fmt.Sprint(f)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.sh(h.dir, fmt.Sprintf(`mkdir large; cd large; seq 1 %d | xargs touch`, most+200))
	point := d.mount(h, "--max-inodes", fmt.Sprint(most), "--max-open", "256", "--max-requests", "256", "--cache-size=16M", "--write-buffer=8M")
	defer d.umount(point)
	for range 2 {
		out := d.sh(point, "find tree -ls | wc -l")
		if want := fmt.Sprint(1+(dirs+19)/20+dirs+dirs*files, "\n"); out != want {
			t.Errorf("find sees %q, want %q", out, want)
		}
		if l := d.limits(point); l.Inodes < most/2 {
			t.Errorf("the bound was not reached: %+v", l)
		}
	}
	if _, err := os.ReadDir(filepath.Join(point, "large")); !errors.Is(err, syscall.ENOMEM) {
		t.Errorf("a directory over the bound: %v", err)
	}
	d.limits(point)

	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	d.sh(point, "echo content > file; cat file")
	for len(open) < 300 {
		f, err := os.Open(filepath.Join(point, "file"))
		if err != nil {
			if !errors.Is(err, syscall.ENFILE) {
				t.Error(err)
			}
			break
		}
		open = append(open, f)
	}
	if l := d.limits(point); len(open) != 256 || l.Open != 256 {
		t.Errorf("%d are open, %+v", len(open), l)
	}
	open[0].Close()
	open = open[1:]
	d.sh(point, "cat file")
}
