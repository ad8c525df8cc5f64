package sftp

import (
	"bytes"
	"errors"
)

// Entry is one name of a listing.
type Entry struct {
	Name  string
	Attr  Attr
	Nlink uint32 // from the long name; 0 where it does not tell
}

// minName is the size of the shortest name in a NAME packet: two empty strings
// and the flags of no attributes. It bounds what a count can announce.
const minName = 12

// names decodes the body of a NAME packet. It returns the entries that can be
// given a local name, and how many it left out. All names share one string:
// a listing is kept and dropped as a whole.
func (d *decoder) names() (entries []Entry, unusable int) {
	count := int(d.uint32())
	if d.err != nil || count > len(d.b)/minName {
		d.err = errShort
		return nil, 0
	}
	entries = make([]Entry, 0, count)
	text := make([]byte, 0, len(d.b)/4)
	ends := make([]int, 0, count)
	for ; count > 0 && d.err == nil; count-- {
		name, long := d.bytes(), d.bytes()
		attr := d.attr()
		switch {
		case d.err != nil:
		case isDot(name):
		case !usable(name):
			unusable++
		default:
			text = append(text, name...)
			ends = append(ends, len(text))
			entries = append(entries, Entry{Attr: attr, Nlink: nlink(long)})
		}
	}
	all, start := string(text), 0
	for i, end := range ends {
		entries[i].Name = all[start:end]
		start = end
	}
	return entries, unusable
}

func isDot(name []byte) bool { return string(name) == "." || string(name) == ".." }

// usable reports whether a name can stand in a directory of a POSIX system:
// what could lead elsewhere, or nowhere, can't.
func usable(name []byte) bool {
	const nameMax = 255 // of Linux's file systems
	return len(name) > 0 && len(name) <= nameMax && bytes.IndexByte(name, '/') < 0 && bytes.IndexByte(name, 0) < 0
}

// nlink returns the link count from a long name, which OpenSSH writes as
// `ls -l` does: mode, links, owner, group, size, date, name. 0 where it is not
// of that form.
func nlink(long []byte) uint32 {
	mode, rest, ok := bytes.Cut(long, []byte(" "))
	if !ok || len(mode) < 10 || len(mode) > 11 {
		return 0
	}
	rest = bytes.TrimLeft(rest, " ")
	var n uint32
	for i, c := range rest {
		switch {
		case c == ' ' && i > 0:
			return n
		case c < '0' || c > '9' || n > (1<<32-1)/10-1:
			return 0
		}
		n = n*10 + uint32(c-'0')
	}
	return 0
}

// oneName decodes the NAME packet that answers REALPATH and READLINK: exactly
// one name, with at least one byte and no NUL.
func (d *decoder) oneName() string {
	count := d.uint32()
	name := d.string()
	d.bytes()
	d.attr()
	if d.err == nil && (count != 1 || name == "" || len(name) > maxPath || bytes.IndexByte([]byte(name), 0) >= 0) {
		d.err = errors.New("not one usable name")
	}
	return name
}

// maxPath is PATH_MAX of Linux, the longest path and link text.
const maxPath = 4096
