package contract

import (
	"fmt"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// opensAtOnce keeps well below the open handles that a server allows.
const opensAtOnce = 200

// fill makes n empty files, many at once.
func (s *suite) fill(dir string, n int) {
	s.Helper()
	calls := make([]*conn.Call[conn.Attr], n)
	for i := range n {
		if i >= opensAtOnce {
			ok(s, calls[i-opensAtOnce])
		}
		f, opened := s.Remote.Open(dir+"/"+numbered(i), conn.OpenWrite|conn.OpenCreate, 0o644)
		f.Close()
		calls[i] = opened
	}
	for _, c := range calls {
		ok(s, c)
	}
}

func testListSizes(s *suite) {
	// READDIR answers 100 names; the numbers around that, and many of them.
	for _, n := range []int{0, 1, 97, 98, 99, 100, 101, 500, 5000} {
		dir := s.path(fmt.Sprint("d", n))
		ok(s, s.Remote.Mkdir(dir, 0o755))
		s.fill(dir, n)
		l := ok(s, s.Remote.List(dir, 0, conn.Foreground, nil))
		if !l.Complete || l.Unusable != 0 || len(l.Entries) != n {
			s.Errorf("%d names: %d listed, complete %v, %d unusable", n, len(l.Entries), l.Complete, l.Unusable)
		}
		s.allListed(l.Entries, n)
	}
}

func (s *suite) allListed(entries []conn.Entry, n int) {
	s.Helper()
	seen := map[string]bool{}
	for _, e := range entries {
		seen[e.Name] = true
	}
	for i := range n {
		if !seen[numbered(i)] {
			s.Errorf("%s is not listed", numbered(i))
		}
	}
	if len(entries) != n {
		s.Errorf("%d entries listed of %d", len(entries), n)
	}
}

// A long listing may be told in parts, none of them asked for before List was
// called or after it came, which together are the listing.
func testListParts(s *suite) {
	const n = 3000
	s.fill(s.Dir, n)
	var entries []conn.Entry
	began := time.Now()
	part := func(l conn.Listing) {
		entries = append(entries, l.Entries...)
		if !l.Asked.IsZero() && (l.Asked.Before(began) || l.Asked.After(time.Now())) {
			s.Errorf("a part was asked for %v after the start", l.Asked.Sub(began))
		}
	}
	l := ok(s, s.Remote.List(s.Dir, 0, conn.Foreground, part))
	s.Logf("%d entries came before the answer", len(entries))
	part(l)
	want(s, "complete", l.Complete, true)
	s.allListed(entries, n)
}

func testListMax(s *suite) {
	s.fill(s.Dir, 250)
	for _, limit := range []int{1, 99, 249} {
		l := ok(s, s.Remote.List(s.Dir, limit, conn.Foreground, nil))
		if l.Complete || len(l.Entries) > limit || len(l.Entries) == 0 {
			s.Errorf("at most %d: %d listed, complete %v", limit, len(l.Entries), l.Complete)
		}
	}
	l := ok(s, s.Remote.List(s.Dir, 251, conn.Background, nil))
	want(s, "all but one less than allowed", l.Complete && len(l.Entries) == 250, true)
}

// What a listing tells of an entry is what Lstat tells of it.
func testListAttrs(s *suite) {
	s.put("file", "12345")
	ok(s, s.Remote.Mkdir(s.path("dir"), 0o711))
	ok(s, s.Remote.Symlink("nowhere", s.path("link")))
	s.put("file2", "")
	l := ok(s, s.Remote.List(s.Dir, 0, conn.Foreground, nil))
	want(s, "the number of entries", len(l.Entries), 4)
	for _, e := range l.Entries {
		a := s.stat(e.Name)
		if e.Attr.Nlink == 0 != s.Lacks.LinkCounts {
			s.Errorf("%s has %d links", e.Name, e.Attr.Nlink)
		}
		a.Nlink, e.Attr.Nlink = 0, 0
		want(s, e.Name, e.Attr, a)
	}
}

func testListKinds(s *suite) {
	s.put("file", "x")
	fails(s, s.Remote.List(s.path("file"), 0, conn.Foreground, nil), conn.NotDir)
	fails(s, s.Remote.List(s.path("missing"), 0, conn.Foreground, nil), conn.NotExist)
}

// Background work is answered as well, also with Foreground work beside it.
func testBackground(s *suite) {
	s.fill(s.Dir, 150)
	var behind []*conn.Call[conn.Listing]
	for range 10 {
		behind = append(behind, s.Remote.List(s.Dir, 0, conn.Background, nil))
	}
	for range 20 {
		s.stat(numbered(7))
	}
	for _, c := range behind {
		want(s, "the number of names", len(ok(s, c).Entries), 150)
	}
	s.put("file", "behind")
	f, _ := s.Remote.Open(s.path("file"), conn.OpenRead|conn.OpenBackground, 0)
	want(s, "the content", string(s.read(f, 0, 6)), "behind")
	f.Close()
}
