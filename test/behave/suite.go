package behave

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Case is one way in which the file system behaves.
type Case struct {
	Name string
	Run  func(c *C)
}

// Traits are what a System can't do, or does otherwise, for a reason that lies
// with the server or with who runs the test.
type Traits struct {
	// Root: the server's login user is root there, so that modes refuse
	// nothing and owners can be changed.
	Root bool
	// Local: it is a local file system, which carries what SFTP does not
	// (times of any age).
	Local bool
	// Limited: the client below is pkg/sftp's, which can't send the attributes
	// of a link, nor times through a handle alone. Both are refused.
	Limited bool
	// Umask is taken off the modes of what is created.
	Umask uint32
}

// Run runs every case, each in a directory of its own below dir.
func Run(t *testing.T, s System, dir string, traits Traits) {
	all := map[string]bool{}
	for _, cases := range [][]Case{fileCases, dataCases, nameCases, linkCases, attrCases, dirCases, errorCases, busyCases} {
		for _, c := range cases {
			if all[c.Name] {
				t.Fatalf("two cases are called %s", c.Name)
			}
			all[c.Name] = true
			t.Run(c.Name, func(t *testing.T) {
				own := path.Join(dir, c.Name)
				if err := s.Mkdir(own, 0o755); err != nil {
					t.Fatalf("mkdir %s: %v", own, err)
				}
				c.Run(&C{T: t, S: s, dir: own, Traits: traits})
			})
		}
	}
}

// C is a case being run.
type C struct {
	*testing.T
	S System
	Traits
	dir string
}

// P returns a path in the case's directory.
func (c *C) P(name string) string { return c.dir + "/" + name }

// OK ends the case where err is not nil.
func (c *C) OK(err error, what string, args ...any) {
	c.Helper()
	if err != nil {
		c.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

// Is reports an error that is not the errno wanted.
func (c *C) Is(err error, want syscall.Errno, what string, args ...any) {
	c.Helper()
	if !errors.Is(err, want) {
		c.Errorf("%s: got %v, want %v", fmt.Sprintf(what, args...), err, want)
	}
}

// Carried is OK for what a Limited client may refuse, and reports whether it
// was done.
func (c *C) Carried(err error, what string) bool {
	c.Helper()
	if c.Limited && errors.Is(err, syscall.EOPNOTSUPP) {
		return false
	}
	c.OK(err, "%s", what)
	return true
}

// Open opens a file and closes it at the case's end, if it is open then.
func (c *C) Open(name string, flags int) File {
	c.Helper()
	f, err := c.S.Open(c.P(name), flags, 0o644)
	c.OK(err, "open %s", name)
	f = &once{File: f}
	c.Cleanup(func() { f.Close() })
	return f
}

// once makes a second Close harmless.
type once struct {
	File
	closed bool
}

func (o *once) Close() error {
	if o.closed {
		return nil
	}
	o.closed = true
	return o.File.Close()
}

func unwrap(f File) File {
	if o, ok := f.(*once); ok {
		return o.File
	}
	return f
}

// Write makes a file with this content.
func (c *C) Write(name, content string) {
	c.Helper()
	f := c.Open(name, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_TRUNC)
	c.WriteTo(f, content)
	c.OK(f.Close(), "close %s", name)
}

// WriteTo writes at the file's position.
func (c *C) WriteTo(f File, content string) {
	c.Helper()
	for len(content) > 0 {
		n, err := f.Write([]byte(content))
		c.OK(err, "write")
		if n == 0 {
			c.Fatalf("write: 0 bytes")
		}
		content = content[n:]
	}
}

// Read returns a file's content.
func (c *C) Read(name string) string {
	c.Helper()
	f := c.Open(name, syscall.O_RDONLY)
	defer f.Close()
	return c.ReadAll(f)
}

// ReadAll returns an open file's content from its position.
func (c *C) ReadAll(f File) string {
	c.Helper()
	var all bytes.Buffer
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		c.OK(err, "read")
		if n == 0 {
			return all.String()
		}
		all.Write(buf[:n])
	}
}

// Holds reports a file whose content is not this.
func (c *C) Holds(name, want string) {
	c.Helper()
	if got := c.Read(name); got != want {
		c.Errorf("%s holds %s, want %s", name, brief(got), brief(want))
	}
}

func brief(s string) string {
	if len(s) <= 80 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q... (%d bytes)", s[:60], len(s))
}

// Lstat returns a name's attributes.
func (c *C) Lstat(name string) Stat {
	c.Helper()
	st, err := c.S.Lstat(c.P(name))
	c.OK(err, "lstat %s", name)
	return st
}

// Missing reports a name that is there.
func (c *C) Missing(name string) {
	c.Helper()
	_, err := c.S.Lstat(c.P(name))
	c.Is(err, syscall.ENOENT, "lstat %s", name)
}

// Entries returns a directory's entries, without "." and "..".
func (c *C) Entries(name string) map[string]Name {
	c.Helper()
	d, err := c.S.OpenDir(c.P(name))
	c.OK(err, "opendir %s", name)
	defer d.Close()
	all := map[string]Name{}
	for {
		some, err := d.Next(100)
		c.OK(err, "readdir %s", name)
		if len(some) == 0 {
			break
		}
		for _, e := range some {
			if _, twice := all[e.Name]; twice {
				c.Errorf("readdir %s: %q twice", name, e.Name)
			}
			all[e.Name] = e
		}
	}
	if all["."].Name == "" || all[".."].Name == "" {
		c.Errorf("readdir %s: no dot entries", name)
	}
	delete(all, ".")
	delete(all, "..")
	return all
}

// Names returns a directory's names in order, as one string.
func (c *C) Names(name string) string {
	c.Helper()
	return strings.Join(slices.Sorted(maps.Keys(c.Entries(name))), " ")
}

// HasNames reports a directory whose names are not these.
func (c *C) HasNames(name, want string) {
	c.Helper()
	if got := c.Names(name); got != want {
		c.Errorf("%s has %q, want %q", name, got, want)
	}
}

// Mkdir makes a directory.
func (c *C) Mkdir(name string) {
	c.Helper()
	c.OK(c.S.Mkdir(c.P(name), 0o755), "mkdir %s", name)
}

const (
	seekSet = io.SeekStart
	seekCur = io.SeekCurrent
	seekEnd = io.SeekEnd
)
