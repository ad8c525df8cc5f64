package behave

import (
	"syscall"
)

// errorCases: the errno of what can't be.
var errorCases = []Case{
	{"NoSuchFile", func(c *C) {
		_, err := c.S.Open(c.P("none"), syscall.O_RDONLY, 0)
		c.Is(err, syscall.ENOENT, "open")
		_, err = c.S.Open(c.P("none/a"), syscall.O_WRONLY|syscall.O_CREAT, 0o644)
		c.Is(err, syscall.ENOENT, "create below")
		_, err = c.S.Lstat(c.P("none"))
		c.Is(err, syscall.ENOENT, "lstat")
		_, err = c.S.Readlink(c.P("none"))
		c.Is(err, syscall.ENOENT, "readlink")
		_, err = c.S.OpenDir(c.P("none"))
		c.Is(err, syscall.ENOENT, "opendir")
		c.Is(c.S.Truncate(c.P("none"), 0), syscall.ENOENT, "truncate")
		c.Is(c.S.Mkdir(c.P("none/d"), 0o755), syscall.ENOENT, "mkdir below")
		c.Is(c.S.Symlink("x", c.P("none/l")), syscall.ENOENT, "symlink below")
		c.Is(c.S.Chtimes(c.P("none"), at(0), at(0)), syscall.ENOENT, "utimens")
	}},
	{"NotADirectory", func(c *C) {
		c.Write("f", "x")
		_, err := c.S.Lstat(c.P("f/a"))
		c.Is(err, syscall.ENOTDIR, "lstat below a file")
		_, err = c.S.Open(c.P("f/a"), syscall.O_WRONLY|syscall.O_CREAT, 0o644)
		c.Is(err, syscall.ENOTDIR, "create below a file")
		c.Is(c.S.Mkdir(c.P("f/d"), 0o755), syscall.ENOTDIR, "mkdir below a file")
		c.Is(c.S.Unlink(c.P("f/a")), syscall.ENOTDIR, "unlink below a file")
		_, err = c.S.OpenDir(c.P("f"))
		c.Is(err, syscall.ENOTDIR, "opendir of a file")
	}},
	{"IsADirectory", func(c *C) {
		c.Mkdir("d")
		_, err := c.S.Open(c.P("d"), syscall.O_WRONLY, 0)
		c.Is(err, syscall.EISDIR, "open for writing")
		_, err = c.S.Open(c.P("d"), syscall.O_RDWR|syscall.O_CREAT, 0o644)
		c.Is(err, syscall.EISDIR, "create over it")
		c.Is(c.S.Unlink(c.P("d")), syscall.EISDIR, "unlink")
		c.Is(c.S.Truncate(c.P("d"), 0), syscall.EISDIR, "truncate")
	}},
	{"Exists", func(c *C) {
		c.Write("f", "x")
		c.Mkdir("d")
		for _, name := range []string{"f", "d"} {
			c.Is(c.S.Mkdir(c.P(name), 0o755), syscall.EEXIST, "mkdir %s", name)
			c.Is(c.S.Symlink("x", c.P(name)), syscall.EEXIST, "symlink %s", name)
		}
	}},
	{"PermissionDenied", func(c *C) {
		if c.Root {
			return // modes refuse root nothing
		}
		c.Write("f", "x")
		c.OK(c.S.Chmod(c.P("f"), 0), "chmod")
		_, err := c.S.Open(c.P("f"), syscall.O_RDONLY, 0)
		c.Is(err, syscall.EACCES, "open without r")
		c.Mkdir("d")
		c.Write("d/a", "x")
		c.OK(c.S.Chmod(c.P("d"), 0o500), "chmod")
		_, err = c.S.Open(c.P("d/b"), syscall.O_WRONLY|syscall.O_CREAT, 0o644)
		c.Is(err, syscall.EACCES, "create without w")
		c.Is(c.S.Unlink(c.P("d/a")), syscall.EACCES, "unlink without w")
		c.OK(c.S.Chmod(c.P("d"), 0o700), "chmod")
	}},
}
