package contract

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Subject is a Remote under test.
type Subject struct {
	Remote conn.Remote
	Dir    string // an existing, empty directory of the server's
	Lacks  Lacks
}

// Lacks are what a server or its client can't do.
type Lacks struct {
	LinkCounts bool // listings tell no link counts
	LinkAttrs  bool // no lsetstat: a symbolic link's own attributes can't be set
}

// Run runs the suite. open is called once.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	s := open(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := s.Dir + "/" + c.name
			run := &suite{T: t, Subject: Subject{Remote: s.Remote, Dir: dir, Lacks: s.Lacks}}
			ok(run, s.Remote.Mkdir(dir, 0o755))
			c.run(run)
		})
	}
}

// cases are in the files named after their family.
var cases = []struct {
	name string
	run  func(*suite)
}{
	{"info", testInfo},
	{"lstat", testLstat},
	{"create", testCreate},
	{"open-kinds", testOpenKinds},
	{"mkdir-rmdir", testMkdirRmdir},
	{"unlink", testUnlink},
	{"unlinked-open", testUnlinkedOpen},
	{"rename", testRename},
	{"rename-dirs", testRenameDirs},
	{"strange-names", testStrangeNames},
	{"missing-parents", testMissingParents},
	{"symlinks", testSymlinks},
	{"links", testLinks},
	{"list-sizes", testListSizes},
	{"list-max", testListMax},
	{"list-parts", testListParts},
	{"list-attrs", testListAttrs},
	{"list-kinds", testListKinds},
	{"modes", testModes},
	{"times", testTimes},
	{"sizes", testSizes},
	{"link-attrs", testLinkAttrs},
	{"open-attrs", testOpenAttrs},
	{"statfs", testStatFS},
	{"read", testRead},
	{"read-write-big", testBig},
	{"read-write-random", testRandom},
	{"sparse", testSparse},
	{"truncate-open", testOpenTrunc},
	{"append", testAppend},
	{"read-only-handle", testHandleKinds},
	{"closed", testClosed},
	{"copy", testCopy},
	{"early-use", testEarlyUse},
	{"early-failure", testEarlyFailure},
	{"order-in-file", testOrderInFile},
	{"order-of-names", testOrderOfNames},
	{"rename-publishes", testRenamePublishes},
	{"many-at-once", testManyAtOnce},
	{"background", testBackground},
}

// suite is one case under way.
type suite struct {
	*testing.T
	Subject
}

// bound is what a case waits for one answer at most: no link is slow here.
const bound = 30 * time.Second

// path is a name in the case's directory.
func (s *suite) path(name string) string { return s.Dir + "/" + name }

// wait returns a Call's answer.
func wait[T any](s *suite, c *conn.Call[T]) (T, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	v, err := c.Wait(ctx)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		s.Fatalf("no answer within %v", bound)
	}
	return v, err
}

// ok returns the answer of a Call that must succeed.
func ok[T any](s *suite, c *conn.Call[T]) T {
	s.Helper()
	v, err := wait(s, c)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

// fails checks that a Call ends with one of the kinds, in an *Error that says
// what failed.
func fails[T any](s *suite, c *conn.Call[T], kinds ...conn.Kind) {
	s.Helper()
	_, err := wait(s, c)
	for _, k := range kinds {
		if errors.Is(err, k) {
			return
		}
	}
	s.Errorf("ended with %v, not with %v", err, kinds)
}

// create makes a file with this content and returns it open for reading and
// writing.
func (s *suite) create(name string, content []byte) conn.File {
	s.Helper()
	f, opened := s.Remote.Open(s.path(name), conn.OpenRead|conn.OpenWrite|conn.OpenCreate|conn.OpenTrunc, 0o644)
	ok(s, opened)
	if len(content) > 0 {
		ok(s, f.WriteAt(content, 0))
	}
	return f
}

// put makes a file with this content.
func (s *suite) put(name string, content string) {
	s.Helper()
	s.create(name, []byte(content)).Close()
}

// get returns a file's content.
func (s *suite) get(name string) string {
	s.Helper()
	f, opened := s.Remote.Open(s.path(name), conn.OpenRead, 0)
	size := ok(s, opened).Size
	defer f.Close()
	return string(s.read(f, 0, int(size)))
}

// read returns n bytes, fewer at the end of the file.
func (s *suite) read(f conn.File, off int64, n int) []byte {
	s.Helper()
	buf := make([]byte, n+1)
	got, err := wait(s, f.ReadAt(buf, off))
	if err != io.EOF && (err != nil || got != len(buf)) {
		s.Fatalf("read %d of %d bytes at %d: %v", got, len(buf), off, err)
	}
	return buf[:min(got, n)]
}

// stat returns a name's attributes.
func (s *suite) stat(name string) conn.Attr {
	s.Helper()
	return ok(s, s.Remote.Lstat(s.path(name)))
}

// want compares two values.
func want[T comparable](s *suite, what string, got, expected T) {
	s.Helper()
	if got != expected {
		s.Errorf("%s is %v, not %v", what, got, expected)
	}
}

// pattern is n bytes that differ from place to place and from seed to seed.
func pattern(n int, seed byte) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16) ^ seed
	}
	return p
}

func numbered(i int) string { return fmt.Sprintf("n%05d", i) }
