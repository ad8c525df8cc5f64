package faults

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
)

// attributes is an ATTRS structure without its extended pairs.
type attributes struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32
	pairs        uint32 // count of extended pairs that is told; there are none
}

// A regular file's attributes, where the true answer has none.
var plain = attributes{flags: 0xf, size: 1, mode: 0o100644, atime: 1e9, mtime: 1e9}

// parseAttrs reads attributes as the sandbox sends them: all or none.
func parseAttrs(p []byte) attributes {
	f := fields(p)
	if f.u32() != 0xf || len(f) < 28 {
		return plain
	}
	size := uint64(f.u32())<<32 | uint64(f.u32())
	return attributes{0xf, size, f.u32(), f.u32(), f.u32(), f.u32(), f.u32(), 0}
}

func (a attributes) build() build {
	b := build{}.u32(a.flags)
	if a.flags&1 != 0 {
		b = b.u64(a.size)
	}
	if a.flags&2 != 0 {
		b = b.u32(a.uid).u32(a.gid)
	}
	if a.flags&4 != 0 {
		b = b.u32(a.mode)
	}
	if a.flags&8 != 0 {
		b = b.u32(a.atime).u32(a.mtime)
	}
	if a.flags&(1<<31) != 0 {
		b = b.u32(a.pairs)
	}
	return b
}

// attrLies are the lies about attributes.
var attrLies = map[Lie]func(attributes) attributes{
	SizeNegative: func(a attributes) attributes { a.size = 1 << 63; return a },
	SizeMax:      func(a attributes) attributes { a.size = 1<<64 - 1; return a },
	SizeHuge:     func(a attributes) attributes { a.size = 1 << 62; return a },
	TypeOdd:      func(a attributes) attributes { a.mode |= 0o170000; return a },
	TypeDevice:   func(a attributes) attributes { a.mode = 0o060666; return a },
	TypeFIFO:     func(a attributes) attributes { a.mode = 0o010666; return a },
	TypeSwapped:  func(a attributes) attributes { a.mode = swapType(a.mode); return a },
	ModeSetID:    func(a attributes) attributes { a.mode |= 0o6111; return a },
	AttrsNone:    func(attributes) attributes { return attributes{} },
	AttrsFlags:   func(a attributes) attributes { a.flags |= 0x7ffffff0; return a },
	AttrsPairs:   func(a attributes) attributes { a.flags |= 1 << 31; a.pairs = 1<<32 - 1; return a },
	TimesMax:     func(a attributes) attributes { a.atime, a.mtime = 1<<32-1, 1<<32-1; return a },
}

func swapType(mode uint32) uint32 {
	if mode>>12 == 0o04 {
		return mode&0o7777 | 0o100000
	}
	return mode&0o7777 | 0o040000
}

// entry is one name of a NAME packet.
type entry struct {
	name, long string
	attrs      attributes
}

// namesOf are the names of the lies about one name.
var namesOf = map[Lie]string{
	NameEmpty: "", NameDot: ".", NameDotDot: "..", NameSlash: "a/b", NameEscape: "../../../etc/passwd",
	NameNUL: "a\x00b", NameLong: strings.Repeat("n", 300), NameHuge: strings.Repeat("n", 100_000),
	NameControl: "\x1b[2J\r\nbell\a", NameHalfUTF8: "caf\xc3",
}

// names returns the lies that are told in a NAME packet.
func (l Lie) names(q *request, p []byte, rnd *rand.Rand) []byte {
	entries := parseNames(p)
	lied := victim(&entries, rnd)
	count := len(entries)
	if name, ok := namesOf[l]; ok {
		lied.name = name
	}
	if change := attrLies[l]; change != nil {
		if lied.attrs.flags == 0 { // a link's text has none
			lied.attrs = plain
		}
		lied.attrs = change(lied.attrs)
	}
	switch l {
	case NameTwice:
		entries = append(entries, *lied)
		count++
	case NamesNone:
		entries, count = nil, 0
	case NamesCount:
		count = 1<<32 - 1
	case NamesFewer:
		count += 3
	case NamesMore:
		count--
	case NamesEndless:
		entries = endless(rnd)
		count = len(entries)
	case LongnameOdd:
		lied.long = "\x00%s%n -1 -1 -1"
	case LinkCount:
		lied.long = fmt.Sprintf("-rw-r--r-- %d%d user group 1 Jan  1 00:00 %s", 1_000_000, 1_000_000, lied.name)
	}
	return buildNames(q.ID, uint32(count), entries)
}

// victim chooses the entry that is lied about: none of "." and "..", which
// clients leave out anyway.
func victim(entries *[]entry, rnd *rand.Rand) *entry {
	var others []int
	for i, e := range *entries {
		if e.name != "." && e.name != ".." {
			others = append(others, i)
		}
	}
	if others == nil {
		*entries = append(*entries, entry{name: "name", long: "name", attrs: plain})
		return &(*entries)[len(*entries)-1]
	}
	return &(*entries)[others[rnd.IntN(len(others))]]
}

// endless makes a hundred names that were not there before.
func endless(rnd *rand.Rand) []entry {
	entries := make([]entry, 100)
	for i := range entries {
		entries[i] = entry{name: fmt.Sprintf("endless-%016x", rnd.Uint64()), attrs: plain}
	}
	return entries
}

// parseNames reads a NAME packet as the sandbox sends it; one name where the
// true answer is another packet.
func parseNames(p []byte) []entry {
	var entries []entry
	if p[0] == fxpName {
		f := fields(p[5:])
		for n := f.u32(); n > 0 && len(f) > 0; n-- {
			e := entry{name: f.str(), long: f.str(), attrs: parseAttrs(f)}
			if binary.BigEndian.Uint32(f) != 0 {
				f.skip(28)
			} else {
				e.attrs = attributes{}
			}
			f.skip(4)
			entries = append(entries, e)
		}
	}
	if entries == nil {
		entries = []entry{{name: "name", long: "name", attrs: plain}}
	}
	return entries
}

func buildNames(id, count uint32, entries []entry) []byte {
	b := reply(fxpName, id).u32(count)
	for _, e := range entries {
		b = b.str(e.name).str(e.long).bytes(e.attrs.build())
	}
	return b
}
