package vfs

import (
	"context"
	"strings"

	"github.com/sbxmount/sbxmount/conn"
)

// An anchor is an inode whose path on the server is given rather than made of
// names: the root, and the outside view, a directory that presents the
// sandbox's whole file system. Links that lead out of the mounted directory are
// shown as leading through the latter: see linkTexts. It is found by Lookup of
// OutsideName in the root and by nothing else. In it the mounted directory is
// shown as a symbolic link to the root, since one directory can't be at two
// places of a mount; that link, what is above it and OutsideName itself stay as
// they are whatever the sandbox or a program here does.

// anchor reports whether n is one.
func (t *Tree) anchor(n *inode) bool { return n == t.root || n == t.outside }

// anchorPath returns an anchor's path on the server.
func (t *Tree) anchorPath(n *inode) string {
	if n == t.root {
		return t.rootPath
	}
	return "/"
}

// anchorOf returns the anchor that d is below, nil where d has no place.
func (t *Tree) anchorOf(d *inode) *inode {
	for !t.anchor(d) {
		if d.names == nil {
			return nil
		}
		d = d.names.in
	}
	return d
}

// startOutside makes the outside view, unless the root presents everything.
func (t *Tree) startOutside(o *Options) {
	t.contain = o.Links == LinksContain
	if !t.contain || t.rootPath == "/" {
		return
	}
	t.reserved = OutsideName
	t.rootName = t.rootPath[strings.LastIndexByte(t.rootPath, '/')+1:]
	if o.Outside {
		t.outside = t.newInode("/", conn.Attr{Mode: conn.TypeDir | 0o755}, never)
	}
}

// hidden reports whether a name is OutsideName in the root.
func (t *Tree) hidden(d *inode, text string) bool {
	return d == t.root && text == t.reserved && text != ""
}

// fixed reports whether a name belongs to the mount rather than to the sandbox.
func (t *Tree) fixed(d *inode, text string) bool {
	if t.hidden(d, text) {
		return true
	}
	if t.outside == nil || t.anchorOf(d) != t.outside {
		return false
	}
	p := t.pathOf(d, text)
	return p == t.rootPath || strings.HasPrefix(t.rootPath, p+"/")
}

// wayBack reports whether n is the link that the mounted directory is shown as.
func (t *Tree) wayBack(n *inode) bool {
	return t.outside != nil && n.attr.Mode.IsSymlink() && n.names != nil && t.isRoot(n.names.in, n.names.text)
}

// isRoot reports whether a name is the mounted directory's in the outside view.
func (t *Tree) isRoot(d *inode, text string) bool {
	return t.outside != nil && text == t.rootName && t.pathOf(d, text) == t.rootPath
}

// shownAs returns the attributes that a name's inode has, given the server's.
func (t *Tree) shownAs(d *inode, text string, a conn.Attr) conn.Attr {
	if t.isRoot(d, text) {
		a.Mode, a.Size, a.Nlink = conn.TypeSymlink|0o777, int64(len(t.rootPath)), 1
	}
	return a
}

// lookOutside is Lookup of OutsideName in the root.
func (t *Tree) lookOutside(ctx context.Context) (Entry, error) {
	if t.outside == nil {
		return Entry{}, t.fail("lookup", t.root, OutsideName, conn.NotPermitted)
	}
	if err := t.revalidate(ctx, t.outside, t.tick()); err != nil {
		return Entry{}, err
	}
	t.outside.lookups++
	return Entry{Node: t.outside.id, Attr: t.show(t.outside), Valid: t.valid(t.outside.asked)}, nil
}
