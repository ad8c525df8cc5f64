package fake

import (
	"github.com/sbxmount/sbxmount/conn"
)

type none = struct{}

// Info implements conn.Remote.
func (r *Remote) Info() conn.Info {
	return conn.Info{
		Home: "/home/user", UID: r.server.UID, GID: r.server.GID, OwnerKnown: true,
		MaxRead: r.MaxIO, MaxWrite: r.MaxIO, Copies: true, Links: true,
	}
}

// Lstat implements conn.Remote.
func (r *Remote) Lstat(p string) *conn.Call[conn.Attr] {
	return start(r, Request{Op: "lstat", Path: p}, func() (conn.Attr, error) {
		n, err := r.server.walk(p)
		if err != nil {
			return conn.Attr{}, err
		}
		return n.attr(), nil
	})
}

// Readlink implements conn.Remote.
func (r *Remote) Readlink(p string) *conn.Call[string] {
	return start(r, Request{Op: "readlink", Path: p}, func() (string, error) {
		n, err := r.server.walk(p)
		switch {
		case err != nil:
			return "", err
		case !n.mode.IsSymlink():
			return "", conn.Invalid
		}
		return n.text, nil
	})
}

// SetAttr implements conn.Remote.
func (r *Remote) SetAttr(p string, set conn.SetAttr) *conn.Call[none] {
	return start(r, Request{Op: "setattr", Path: p, Set: set}, func() (none, error) {
		n, err := r.server.walk(p)
		if err != nil {
			return none{}, err
		}
		return none{}, r.server.change(n, set)
	})
}

func (s *Server) change(n *node, set conn.SetAttr) error {
	if s.UID != 0 && n.uid != s.UID && set.Valid&^conn.SetSize != 0 {
		return conn.NotPermitted
	}
	if set.Valid&conn.SetSize != 0 {
		switch {
		case !n.mode.IsRegular():
			return conn.Invalid
		case !s.may(n, 2):
			return conn.Permission
		}
		n.data.truncate(set.Size)
		n.mtime = s.clock()
	}
	if set.Valid&conn.SetOwner != 0 {
		if s.UID != 0 && (set.UID != n.uid || set.GID != n.gid && set.GID != s.GID) {
			return conn.NotPermitted
		}
		n.uid, n.gid = set.UID, set.GID
	}
	if set.Valid&conn.SetMode != 0 {
		n.mode = n.mode.Type() | set.Mode.Perm()
	}
	if set.Valid&conn.SetTimes != 0 {
		n.atime, n.mtime = set.Atime, set.Mtime
	}
	return nil
}

// add makes a new name p for what build returns.
func (r *Remote) add(p string, build func() (*node, error)) (conn.Attr, error) {
	dir, name, err := r.server.parent(p)
	if err != nil {
		return conn.Attr{}, err
	}
	if _, ok := dir.children[name]; ok {
		return conn.Attr{}, conn.Exist
	}
	if !r.server.may(dir, 3) {
		return conn.Attr{}, conn.Permission
	}
	n, err := build()
	if err != nil {
		return conn.Attr{}, err
	}
	dir.link(name, n)
	dir.mtime = r.server.clock()
	return n.attr(), nil
}

// Mkdir implements conn.Remote.
func (r *Remote) Mkdir(p string, perm conn.Mode) *conn.Call[conn.Attr] {
	return start(r, Request{Op: "mkdir", Path: p}, func() (conn.Attr, error) {
		return r.add(p, func() (*node, error) { return r.server.newNode(conn.TypeDir | perm.Perm()), nil })
	})
}

// Symlink implements conn.Remote.
func (r *Remote) Symlink(text, p string) *conn.Call[conn.Attr] {
	return start(r, Request{Op: "symlink", Path: p, To: text}, func() (conn.Attr, error) {
		return r.add(p, func() (*node, error) {
			n := r.server.newNode(conn.TypeSymlink | 0o777)
			n.text = text
			return n, nil
		})
	})
}

// Link implements conn.Remote.
func (r *Remote) Link(old, new string) *conn.Call[conn.Attr] {
	return start(r, Request{Op: "link", Path: old, To: new}, func() (conn.Attr, error) {
		return r.add(new, func() (*node, error) {
			n, err := r.server.walk(old)
			switch {
			case err != nil:
				return nil, err
			case n.mode.IsDir():
				return nil, conn.NotPermitted
			}
			n.nlink++
			return n, nil
		})
	})
}

// Rename implements conn.Remote.
func (r *Remote) Rename(old, new string, replace bool) *conn.Call[none] {
	return start(r, Request{Op: "rename", Path: old, To: new}, func() (none, error) {
		return none{}, r.server.rename(old, new, replace)
	})
}

func (s *Server) rename(old, new string, replace bool) error {
	from, oldName, err := s.parent(old)
	if err != nil {
		return err
	}
	to, newName, err := s.parent(new)
	if err != nil {
		return err
	}
	n, ok := from.children[oldName]
	there, taken := to.children[newName]
	switch {
	case !ok:
		return conn.NotExist
	case !s.may(from, 3) || !s.may(to, 3):
		return conn.Permission
	case taken && !replace:
		return conn.Exist
	case there == n:
		return nil
	case contains(n, to):
		return conn.Invalid
	case taken && there.mode.IsDir() && !n.mode.IsDir():
		return conn.IsDir
	case taken && !there.mode.IsDir() && n.mode.IsDir():
		return conn.NotDir
	case taken && there.mode.IsDir() && len(there.names) > 0:
		return conn.NotEmpty
	}
	if taken {
		there.nlink--
	}
	from.unlink(oldName)
	to.link(newName, n)
	from.mtime, to.mtime = s.clock(), s.clock()
	return nil
}

// contains reports whether dir is n or somewhere below it.
func contains(n, dir *node) bool {
	if n == dir {
		return true
	}
	for _, child := range n.children {
		if contains(child, dir) {
			return true
		}
	}
	return false
}

func (r *Remote) remove(p string, wantDir bool) (none, error) {
	dir, name, err := r.server.parent(p)
	if err != nil {
		return none{}, err
	}
	n, ok := dir.children[name]
	switch {
	case !ok:
		return none{}, conn.NotExist
	case !r.server.may(dir, 3):
		return none{}, conn.Permission
	case wantDir && !n.mode.IsDir():
		return none{}, conn.NotDir
	case !wantDir && n.mode.IsDir():
		return none{}, conn.IsDir
	case len(n.names) > 0:
		return none{}, conn.NotEmpty
	}
	n.nlink--
	dir.unlink(name)
	dir.mtime = r.server.clock()
	return none{}, nil
}

// Unlink implements conn.Remote.
func (r *Remote) Unlink(p string) *conn.Call[none] {
	return start(r, Request{Op: "unlink", Path: p}, func() (none, error) { return r.remove(p, false) })
}

// Rmdir implements conn.Remote.
func (r *Remote) Rmdir(p string) *conn.Call[none] {
	return start(r, Request{Op: "rmdir", Path: p}, func() (none, error) { return r.remove(p, true) })
}

// StatFS implements conn.Remote.
func (r *Remote) StatFS(p string) *conn.Call[conn.StatFS] {
	return start(r, Request{Op: "statfs", Path: p}, func() (conn.StatFS, error) {
		if _, err := r.server.walk(p); err != nil {
			return conn.StatFS{}, err
		}
		return conn.StatFS{
			BlockSize: 4096, Blocks: 1 << 20, BlocksFree: 1 << 19, BlocksAvail: 1 << 19,
			Files: 1 << 20, FilesFree: 1 << 19, FilesAvail: 1 << 19, NameMax: 255,
		}, nil
	})
}
