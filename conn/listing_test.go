package conn

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A long listing whose connection is lost midway is told once more from the
// start: nothing is missing, and nothing comes that is not there.
func TestLongListingSurvivesCuts(t *testing.T) {
	const names = 5000
	l := newLab(t)
	l.rtt = time.Millisecond
	c := l.dialClient(Options{MaxPause: 10 * time.Millisecond})
	dir := t.TempDir()
	for i := range names {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("f%04d", i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	told, parts := map[string]bool{}, 0
	add := func(ls Listing) {
		for _, e := range ls.Entries {
			told[e.Name] = true
		}
	}
	ls := must(t, c.List(dir, 0, Foreground, func(ls Listing) {
		add(ls)
		if parts++; parts == 3 || parts == 20 {
			go l.cut() // not on the session's own goroutine
		}
	}))
	add(ls)
	if !ls.Complete || len(told) != names {
		t.Errorf("%d names told, complete %v", len(told), ls.Complete)
	}
	if s := c.Status(); s.Reconnects == 0 {
		t.Errorf("it was not cut: %+v", s)
	}
}
