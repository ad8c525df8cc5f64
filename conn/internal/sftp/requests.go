package sftp

import "io"

// Flags of OPEN (section 6.3).
const (
	OpenRead   = 0x01
	OpenWrite  = 0x02
	OpenAppend = 0x04
	OpenCreate = 0x08
	OpenTrunc  = 0x10
	OpenExcl   = 0x20
)

// request makes a Request whose answer goes to done: of type want, decoded by
// decode, or an error. Where want is typeStatus, OK is the answer.
func request[T any](typ byte, want byte, body func([]byte) []byte, decode func(*decoder) T, done func(T, error)) *Request {
	var none T
	return &Request{
		typ: typ, body: body,
		lost: func(err error) { done(none, err) },
		reply: func(got byte, d *decoder) error {
			if got == typeStatus {
				err, broken := d.status()
				if broken != nil {
					return broken
				}
				if err == nil && want != typeStatus {
					return errOK
				}
				done(none, err)
				return nil
			}
			if got != want || want == typeStatus {
				return broken("an answer of the wrong type")
			}
			v := decode(d)
			if err := d.end(); err != nil {
				return brokenBy(err)
			}
			done(v, nil)
			return nil
		},
	}
}

var errOK = broken("OK where an answer belongs")

// status decodes a STATUS: nil for OK, io.EOF, or a *StatusError. Servers of
// before version 3 leave the message out.
func (d *decoder) status() (err, bad error) {
	const maxMessage = 256
	code := d.uint32()
	if d.err != nil {
		return nil, brokenBy(d.err)
	}
	var message []byte
	if len(d.b) > 0 {
		message = d.bytes()
	}
	if len(d.b) > 0 {
		d.bytes() // the message's language
	}
	if err := d.end(); err != nil {
		return nil, brokenBy(err)
	}
	switch code {
	case 0:
		return nil, nil
	case 1:
		return io.EOF, nil
	}
	return &StatusError{Code: code, Message: string(message[:min(len(message), maxMessage)])}, nil
}

func nothing(*decoder) struct{} { return struct{}{} }

// plain adapts an answer without content.
func plain(done func(error)) func(struct{}, error) {
	return func(_ struct{}, err error) { done(err) }
}

func (c *Client) command(typ byte, done func(error), fields ...string) *Request {
	r := request(typ, typeStatus, stringsOf(fields), nothing, plain(done))
	c.start(r)
	return r
}

func stringsOf(fields []string) func([]byte) []byte {
	return func(b []byte) []byte {
		for _, f := range fields {
			b = appendString(b, f)
		}
		return b
	}
}

// extension starts an EXTENDED request that is answered by a status.
func (c *Client) extension(name string, body func([]byte) []byte, done func(error)) *Request {
	r := request(typeExtended, typeStatus, func(b []byte) []byte { return body(appendString(b, name)) }, nothing, plain(done))
	c.start(r)
	return r
}

// Lstat asks for a name's attributes.
func (c *Client) Lstat(path string, done func(Attr, error)) *Request {
	return c.attrs(typeLstat, path, done)
}

// Stat asks for the attributes of what path leads to.
func (c *Client) Stat(path string, done func(Attr, error)) *Request {
	return c.attrs(typeStat, path, done)
}

// Fstat asks for an open file's attributes.
func (c *Client) Fstat(handle string, done func(Attr, error)) *Request {
	return c.attrs(typeFstat, handle, done)
}

func (c *Client) attrs(typ byte, of string, done func(Attr, error)) *Request {
	r := request(typ, typeAttrs, stringsOf([]string{of}), (*decoder).attr, done)
	c.start(r)
	return r
}

// Realpath makes a path canonical.
func (c *Client) Realpath(path string, done func(string, error)) *Request {
	return c.name(typeRealpath, path, done)
}

// Readlink asks for a symbolic link's text.
func (c *Client) Readlink(path string, done func(string, error)) *Request {
	return c.name(typeReadlink, path, done)
}

func (c *Client) name(typ byte, of string, done func(string, error)) *Request {
	r := request(typ, typeName, stringsOf([]string{of}), (*decoder).oneName, done)
	c.start(r)
	return r
}

// Setstat changes attributes of what path leads to, Lsetstat of path itself
// (lsetstat@openssh.com), Fsetstat of an open file.
func (c *Client) Setstat(path string, a Attr, done func(error)) *Request {
	return c.setstat(typeSetstat, path, a, done)
}

// Lsetstat is described at Setstat.
func (c *Client) Lsetstat(path string, a Attr, done func(error)) *Request {
	return c.extension("lsetstat@openssh.com", func(b []byte) []byte {
		return appendAttr(appendString(b, path), a)
	}, done)
}

// Fsetstat is described at Setstat.
func (c *Client) Fsetstat(handle string, a Attr, done func(error)) *Request {
	return c.setstat(typeFsetstat, handle, a, done)
}

func (c *Client) setstat(typ byte, of string, a Attr, done func(error)) *Request {
	r := request(typ, typeStatus, func(b []byte) []byte { return appendAttr(appendString(b, of), a) }, nothing, plain(done))
	c.start(r)
	return r
}

// Mkdir makes a directory; the server's umask holds for perm.
func (c *Client) Mkdir(path string, perm uint32, done func(error)) *Request {
	return c.setstat(typeMkdir, path, Attr{Valid: AttrMode, Mode: perm}, done)
}

// Symlink makes a symbolic link. The order of the arguments on the wire is
// OpenSSH's, the reverse of the draft's (PROTOCOL, section 4.1).
func (c *Client) Symlink(text, path string, done func(error)) *Request {
	return c.command(typeSymlink, done, text, path)
}

// Link makes a hard link (hardlink@openssh.com).
func (c *Client) Link(old, new string, done func(error)) *Request {
	return c.extension("hardlink@openssh.com", stringsOf([]string{old, new}), done)
}

// Rename moves a name to one that is free.
func (c *Client) Rename(old, new string, done func(error)) *Request {
	return c.command(typeRename, done, old, new)
}

// PosixRename moves a name and replaces (posix-rename@openssh.com).
func (c *Client) PosixRename(old, new string, done func(error)) *Request {
	return c.extension("posix-rename@openssh.com", stringsOf([]string{old, new}), done)
}

// Remove removes a name that is no directory.
func (c *Client) Remove(path string, done func(error)) *Request {
	return c.command(typeRemove, done, path)
}

// Rmdir removes an empty directory.
func (c *Client) Rmdir(path string, done func(error)) *Request {
	return c.command(typeRmdir, done, path)
}

// StatVFS asks for a file system's capacity (statvfs@openssh.com).
func (c *Client) StatVFS(path string, done func(StatVFS, error)) *Request {
	r := request(typeExtended, typeExtendedReply, stringsOf([]string{"statvfs@openssh.com", path}), (*decoder).statVFS, done)
	c.start(r)
	return r
}

// Open opens a file; perm counts when it is made, less the server's umask.
func (c *Client) Open(path string, flags, perm uint32, done func(handle string, err error)) *Request {
	r := request(typeOpen, typeHandle, func(b []byte) []byte {
		b = appendUint32(appendString(b, path), flags)
		if flags&OpenCreate == 0 {
			return appendAttr(b, Attr{})
		}
		return appendAttr(b, Attr{Valid: AttrMode, Mode: perm})
	}, (*decoder).handle, done)
	c.start(r)
	return r
}

func (d *decoder) handle() string {
	h := d.bytes()
	if len(h) > maxHandle {
		d.err = errShort
	}
	return string(h)
}

// CloseHandle releases a handle.
func (c *Client) CloseHandle(handle string, done func(error)) *Request {
	return c.command(typeClose, done, handle)
}

// Fsync has an open file brought to disk (fsync@openssh.com).
func (c *Client) Fsync(handle string, done func(error)) *Request {
	return c.extension("fsync@openssh.com", stringsOf([]string{handle}), done)
}

// CopyData has the server copy n bytes between open files (copy-data); n is
// not 0, which on the wire would mean all.
func (c *Client) CopyData(src string, srcOff uint64, n uint64, dst string, dstOff uint64, done func(error)) *Request {
	return c.extension("copy-data", func(b []byte) []byte {
		b = appendUint64(appendUint64(appendString(b, src), srcOff), n)
		return appendUint64(appendString(b, dst), dstOff)
	}, done)
}
