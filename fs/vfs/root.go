package vfs

import (
	"context"
	"path"
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

// maxLinks is how many symbolic links are followed on the way to one file, as
// Linux does (path_resolution(7)).
const maxLinks = 40

// findRoot returns the directory that p is or leads to, by a path without
// symbolic links: where links lead is told by comparing paths.
func findRoot(ctx context.Context, r conn.Remote, p string) (string, conn.Attr, error) {
	if strings.HasPrefix(p, "/") && path.Clean(p) == p {
		if a, err, straight := lstatStraight(ctx, r, p); straight {
			return p, a, err
		}
	}
	return followRoot(ctx, r, p)
}

// lstatStraight asks for p's attributes and, beside that, whether one of the
// directories on the way is a link. 1 round trip.
func lstatStraight(ctx context.Context, r conn.Remote, p string) (a conn.Attr, err error, straight bool) {
	calls := []*conn.Call[conn.Attr]{r.Lstat(p)}
	for up := path.Dir(p); up != "/" && up != p; up = path.Dir(up) {
		calls = append(calls, r.Lstat(up))
	}
	for _, c := range calls[1:] {
		if up, err := c.Wait(ctx); err == nil && up.Mode.IsSymlink() {
			return a, nil, false
		}
	}
	a, err = calls[0].Wait(ctx)
	switch {
	case err != nil || a.Mode.IsDir():
		return a, err, true
	case a.Mode.IsSymlink():
		return a, nil, false
	}
	return a, &conn.Error{Op: "mount", Path: p, Kind: conn.NotDir}, true
}

// followRoot follows p name by name, as the server's kernel does. Up to 2 round
// trips for each.
func followRoot(ctx context.Context, r conn.Remote, p string) (cur string, a conn.Attr, err error) {
	rest, links := strings.Split(p, "/"), 0
	for cur = "/"; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			cur = path.Dir(cur)
			continue
		}
		next := join(cur, name)
		if a, err = r.Lstat(next).Wait(ctx); err != nil {
			return "", a, err
		}
		if !a.Mode.IsSymlink() {
			cur = next
			continue
		}
		text, err := r.Readlink(next).Wait(ctx)
		if err != nil {
			return "", a, err
		}
		if links++; links > maxLinks {
			return "", a, &conn.Error{Op: "mount", Path: p, Kind: conn.LinkLoop}
		}
		if strings.HasPrefix(text, "/") {
			cur = "/"
		}
		if rest = append(strings.Split(text, "/"), rest...); len(rest) > maxText {
			return "", a, &conn.Error{Op: "mount", Path: p, Kind: conn.NameTooLong}
		}
	}
	if a, err = r.Lstat(cur).Wait(ctx); err == nil && !a.Mode.IsDir() {
		err = &conn.Error{Op: "mount", Path: p, Kind: conn.NotDir}
	}
	return cur, a, err
}
