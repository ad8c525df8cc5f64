package fake

import (
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// Server is the sandbox's side: its file system, which a test may change
// behind the back of the Remotes that are connected to it.
type Server struct {
	UID, GID uint32 // the login user's; 0 may do everything
	Umask    conn.Mode

	mu    sync.Mutex // guards the tree and clock
	root  *node
	clock func() int64
	room  int64 // bytes that may still be written; -1: no limit
}

type node struct {
	mode         conn.Mode
	uid, gid     uint32
	atime, mtime int64
	nlink        uint32
	data         sparse
	text         string
	names        []string // in the order of making, as READDIR tells them
	children     map[string]*node
}

// NewServer returns a server with an empty root directory and a home at
// /home/user, both the login user's (uid and gid 1000).
func NewServer() *Server {
	s := &Server{UID: 1000, GID: 1000, Umask: 0o022, room: -1}
	s.clock = func() int64 { return time.Now().Unix() }
	s.root = s.newNode(conn.TypeDir | 0o755)
	s.MkdirAll("/home/user")
	return s
}

// SetClock replaces the server's clock, in seconds since 1970.
func (s *Server) SetClock(f func() int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = f
}

// SetRoom limits the bytes by which files may still grow; -1 lifts the limit.
func (s *Server) SetRoom(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room = n
}

func (s *Server) newNode(mode conn.Mode) *node {
	now := s.clock()
	n := &node{mode: mode, uid: s.UID, gid: s.GID, atime: now, mtime: now, nlink: 1}
	if mode.IsDir() {
		n.children = map[string]*node{}
	}
	return n
}

func (n *node) attr() conn.Attr {
	a := conn.Attr{Size: n.data.size, Mode: n.mode, UID: n.uid, GID: n.gid, Atime: n.atime, Mtime: n.mtime}
	switch n.mode.Type() {
	case conn.TypeDir:
		a.Size = 4096
	case conn.TypeSymlink:
		a.Size = int64(len(n.text))
	}
	return a
}

func (n *node) link(name string, child *node) {
	if _, ok := n.children[name]; !ok {
		n.names = append(n.names, name)
	}
	n.children[name] = child
}

func (n *node) unlink(name string) {
	delete(n.children, name)
	for i, have := range n.names {
		if have == name {
			n.names = append(n.names[:i:i], n.names[i+1:]...)
			return
		}
	}
}

// walk finds the node at p. A link in the last component is not followed.
func (s *Server) walk(p string) (*node, error) {
	way, rest, links := []*node{s.root}, strings.Split(strings.Trim(p, "/"), "/"), 0
	for len(rest) > 0 {
		n, name := way[len(way)-1], rest[0]
		if n.mode.IsSymlink() {
			if links++; links > 40 {
				return nil, conn.LinkLoop
			}
			way = way[:len(way)-1]
			if strings.HasPrefix(n.text, "/") {
				way = way[:1]
			}
			rest = append(strings.Split(n.text, "/"), rest...)
			continue
		}
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			way = way[:max(1, len(way)-1)]
			continue
		}
		if !n.mode.IsDir() {
			return nil, conn.NotDir
		}
		if !s.may(n, 1) {
			return nil, conn.Permission
		}
		if len(name) > 255 {
			return nil, conn.NameTooLong
		}
		child, ok := n.children[name]
		if !ok {
			return nil, conn.NotExist
		}
		way = append(way, child)
	}
	return way[len(way)-1], nil
}

// parent finds the directory that p's last component is or would be in.
func (s *Server) parent(p string) (*node, string, error) {
	dir, name := path.Split(p)
	n, err := s.walk(dir + ".") // itself, not a link to it
	switch {
	case err != nil:
		return nil, "", err
	case !n.mode.IsDir():
		return nil, "", conn.NotDir
	case name == "":
		return nil, "", conn.Exist
	case len(name) > 255:
		return nil, "", conn.NameTooLong
	}
	return n, name, nil
}

// may reports whether the login user has all of the rwx bits want on n.
func (s *Server) may(n *node, want conn.Mode) bool {
	if s.UID == 0 {
		return true
	}
	switch {
	case n.uid == s.UID:
		return n.mode>>6&want == want
	case n.gid == s.GID:
		return n.mode>>3&want == want
	}
	return n.mode&want == want
}

// MkdirAll makes a directory and its parents on the server's side.
func (s *Server) MkdirAll(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.root
	for _, name := range strings.Split(strings.Trim(p, "/"), "/") {
		if name == "" {
			continue
		}
		child, ok := n.children[name]
		if !ok {
			child = s.newNode(conn.TypeDir | 0o755)
			n.link(name, child)
		}
		n = child
	}
}

// WriteFile puts a regular file with this content at p on the server's side,
// in place where there is one already, making directories as needed.
func (s *Server) WriteFile(p, content string) {
	s.MkdirAll(path.Dir(p))
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, name, err := s.parent(p)
	if err != nil {
		panic(err)
	}
	n, ok := dir.children[name]
	if !ok {
		n = s.newNode(conn.TypeRegular | 0o644)
		dir.link(name, n)
		dir.mtime = s.clock()
	}
	n.data.truncate(0)
	n.data.writeAt([]byte(content), 0)
	n.mtime = s.clock()
}

// Replace puts a new file with this content in p's place, as a rename over it
// does.
func (s *Server) Replace(p, content string) {
	s.Remove(p)
	s.WriteFile(p, content)
}

// ReadFile returns the content of the file at p on the server's side, and
// whether there is one.
func (s *Server) ReadFile(p string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.walk(p)
	if err != nil || !n.mode.IsRegular() {
		return "", false
	}
	b := make([]byte, n.data.size)
	n.data.readAt(b, 0)
	return string(b), true
}

// Remove takes the name p, with all below it, away on the server's side.
func (s *Server) Remove(p string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dir, name, err := s.parent(p); err == nil {
		if n := dir.children[name]; n != nil {
			n.nlink--
			dir.unlink(name)
			dir.mtime = s.clock()
		}
	}
}

// Symlink makes a link on the server's side.
func (s *Server) Symlink(text, p string) {
	s.MkdirAll(path.Dir(p))
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, name, _ := s.parent(p)
	n := s.newNode(conn.TypeSymlink | 0o777)
	n.text = text
	dir.link(name, n)
	dir.mtime = s.clock()
}

// Change edits attributes of what is at p on the server's side.
func (s *Server) Change(p string, edit func(*conn.Attr)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.walk(p)
	if err != nil {
		panic(err)
	}
	a := n.attr()
	edit(&a)
	n.mode, n.uid, n.gid, n.atime, n.mtime = a.Mode, a.UID, a.GID, a.Atime, a.Mtime
	if n.mode.IsRegular() {
		n.data.truncate(a.Size)
	}
}

// Stat returns the attributes of what is at p, and whether there is anything.
func (s *Server) Stat(p string) (conn.Attr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.walk(p)
	if err != nil {
		return conn.Attr{}, false
	}
	return n.attr(), true
}

// Tree returns every path on the server with what is there: "dir", a link's
// text behind "-> ", or a file's content. For comparing with what is expected.
func (s *Server) Tree(under string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	var visit func(p string, n *node)
	visit = func(p string, n *node) {
		switch n.mode.Type() {
		case conn.TypeDir:
			out[p] = "dir"
			names := append([]string(nil), n.names...)
			sort.Strings(names)
			for _, name := range names {
				visit(path.Join(p, name), n.children[name])
			}
		case conn.TypeSymlink:
			out[p] = "-> " + n.text
		default:
			b := make([]byte, n.data.size)
			n.data.readAt(b, 0)
			out[p] = string(b)
		}
	}
	if n, err := s.walk(under); err == nil {
		visit(path.Clean(under), n)
	}
	return out
}
