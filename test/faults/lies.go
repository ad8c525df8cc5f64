package faults

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Lie is one way in which a server's answer is wrong; empty is none. A lie
// about a field that the true answer does not have is told by a whole answer
// of the lie's own making, so that every lie fits every request.
type Lie string

// Lies about the answer as a whole.
const (
	NoAnswer      Lie = "no answer"
	UnknownID     Lie = "id that nobody asked with"
	Twice         Lie = "answer twice"
	Unasked       Lie = "answer that nobody asked for" // before the true one
	WrongType     Lie = "answer of another type"
	NoSuchType    Lie = "type that does not exist"
	IsRequest     Lie = "request in place of an answer"
	OKInstead     Lie = "status OK where more is due"
	EOFInstead    Lie = "status EOF"
	OddStatus     Lie = "status code 4294967295"
	Truncated     Lie = "packet cut short" // its length is right, fields are missing
	Trailing      Lie = "bytes after the last field"
	Empty         Lie = "packet of no bytes"
	TypeOnly      Lie = "packet of a type alone"
	Announced4GiB Lie = "packet of 4 GiB announced" // and nothing after it
	Announced1MiB Lie = "packet of 1 MiB announced" // and nothing after it
	Garbage       Lie = "random bytes"
	HalfThenClose Lie = "half of the answer, then the channel ends"
	HalfThenDrop  Lie = "half of the answer, then a reset"
	HalfThenWait  Lie = "half of the answer, then nothing"
	Drips         Lie = "a byte at a time"
)

// Lies about DATA and HANDLE.
const (
	ShortData   Lie = "half of the data"
	OneByte     Lie = "one byte of the data"
	EmptyData   Lie = "data of no bytes"
	LongData    Lie = "more data than asked for"
	DataLength  Lie = "data longer than its packet"
	EmptyHandle Lie = "handle of no bytes"
	LongHandle  Lie = "handle of 300 bytes"
)

// Lies about names: a listing's, or a link's text.
const (
	NameEmpty    Lie = "name of no bytes"
	NameDot      Lie = "name ."
	NameDotDot   Lie = "name .."
	NameSlash    Lie = "name with a slash"
	NameEscape   Lie = "name ../../../etc/passwd"
	NameNUL      Lie = "name with NUL"
	NameLong     Lie = "name of 300 bytes"
	NameHuge     Lie = "name of 100,000 bytes"
	NameControl  Lie = "name with control characters"
	NameHalfUTF8 Lie = "name with half a character"
	NameTwice    Lie = "the same name twice"
	NamesNone    Lie = "listing of no names"
	NamesCount   Lie = "count of 4294967295 names"
	NamesFewer   Lie = "count above the names"
	NamesMore    Lie = "count below the names"
	NamesEndless Lie = "names without end" // each READDIR it meets brings 100 new ones
	LongnameOdd  Lie = "long name of nothing like one"
	LinkCount    Lie = "1000000 times 1000000 links in a long name"
)

// Lies about attributes.
const (
	SizeNegative Lie = "size 2^63"
	SizeMax      Lie = "size 2^64-1"
	SizeHuge     Lie = "size 2^62"
	TypeOdd      Lie = "type bits that are none"
	TypeDevice   Lie = "block device"
	TypeFIFO     Lie = "FIFO"
	TypeSwapped  Lie = "file for directory, directory for file"
	ModeSetID    Lie = "set-user-id"
	AttrsNone    Lie = "no attributes"
	AttrsFlags   Lie = "unknown attribute flags"
	AttrsPairs   Lie = "count of 4294967295 extended attributes"
	TimesMax     Lie = "times 2^32-1"
)

// Lies about VERSION.
const (
	VersionOld  Lie = "version 2"
	VersionNew  Lie = "version 6"
	VersionMax  Lie = "version 2^32-1"
	VersionHalf Lie = "extension without a value"
	VersionMany Lie = "10,000 extensions"
)

// Lies returns all lies about answers to requests, in a fixed order; those
// about VERSION are not among them.
func Lies() []Lie { return slices.Clone(allLies) }

var allLies = []Lie{
	NoAnswer, UnknownID, Twice, Unasked, WrongType, NoSuchType, IsRequest, OKInstead, EOFInstead, OddStatus,
	Truncated, Trailing, Empty, TypeOnly, Announced4GiB, Announced1MiB, Garbage, HalfThenClose, HalfThenDrop,
	HalfThenWait, Drips,
	ShortData, OneByte, EmptyData, LongData, DataLength, EmptyHandle, LongHandle,
	NameEmpty, NameDot, NameDotDot, NameSlash, NameEscape, NameNUL, NameLong, NameHuge, NameControl, NameHalfUTF8,
	NameTwice, NamesNone, NamesCount, NamesFewer, NamesMore, NamesEndless, LongnameOdd, LinkCount,
	SizeNegative, SizeMax, SizeHuge, TypeOdd, TypeDevice, TypeFIFO, TypeSwapped, ModeSetID, AttrsNone, AttrsFlags,
	AttrsPairs, TimesMax,
}

// VersionLies returns the lies about VERSION.
func VersionLies() []Lie { return []Lie{VersionOld, VersionNew, VersionMax, VersionHalf, VersionMany} }

// hostile chooses lies for one session.
type hostile struct{ rand *rand.Rand }

func (h *hostile) choose(k *Hostile) Lie {
	lies := k.Lies
	if lies == nil {
		lies = allLies
	}
	if h.rand.Float64() >= k.Rate {
		return ""
	}
	return lies[h.rand.IntN(len(lies))]
}

// fits reports whether the true answer has what the lie is about.
func (l Lie) fits(q *request, packet []byte) bool {
	has := func(types ...byte) bool { return len(packet) > 0 && slices.Contains(types, packet[0]) }
	switch {
	case q.Op == "REALPATH": // which is asked in the handshake
		return false
	case slices.Contains(dataLies, l):
		return has(fxpData)
	case slices.Contains(nameLies(), l):
		breaks := []Lie{NameEmpty, NameNUL, NameTwice, NameHuge, NamesEndless} // a link has one text
		return has(fxpName) && !(q.Op == "READLINK" && slices.Contains(breaks, l))
	case attrLies[l] != nil:
		return has(fxpName, fxpAttrs)
	}
	return true
}

var dataLies = []Lie{ShortData, OneByte, EmptyData, LongData, DataLength}

func nameLies() []Lie {
	return append([]Lie{NameTwice, NamesNone, NamesCount, NamesFewer, NamesMore, NamesEndless, LongnameOdd, LinkCount},
		slices.Collect(maps.Keys(namesOf))...)
}

// tell turns a true answer into a lie.
func (l Lie) tell(a *answer, packet []byte, rnd *rand.Rand) {
	whole := a.bytes
	switch l {
	case NoAnswer:
		a.bytes = nil
	case Drips:
		a.drip = true
	case HalfThenClose, HalfThenDrop, HalfThenWait:
		a.bytes = whole[:len(whole)/2]
		a.last, a.drop = l == HalfThenClose, l == HalfThenDrop
	case Twice:
		a.bytes = append(slices.Clone(whole), whole...)
	case Unasked:
		a.bytes = append(framed(status(a.q.ID+1_000_000, fxOK, "")), whole...)
	case Empty:
		a.bytes = make([]byte, 4)
	case Announced4GiB:
		a.bytes = append([]byte{0xff, 0xff, 0xff, 0xff}, packet...)
	case Announced1MiB:
		a.bytes = append([]byte{0, 0x10, 0, 0}, packet...)
	case Garbage:
		a.bytes = make([]byte, 1+rnd.IntN(300))
		for i := range a.bytes {
			a.bytes[i] = byte(rnd.Uint32())
		}
	default:
		a.bytes = framed(l.packet(a.q, packet, rnd))
	}
}

// packet returns the packet of a lie that is one packet long.
func (l Lie) packet(q *request, p []byte, rnd *rand.Rand) []byte {
	p = slices.Clone(p)
	id := q.ID
	switch l {
	case UnknownID:
		binary.BigEndian.PutUint32(p[1:], id+1_000_000)
		return p
	case WrongType:
		return wrongType(p[0], id)
	case NoSuchType:
		p[0] = 99
		return p
	case IsRequest:
		return reply(17, id).str("/")
	case OKInstead:
		return status(id, fxOK, "")
	case EOFInstead:
		return status(id, fxEOF, "")
	case OddStatus:
		return status(id, 1<<32-1, "")
	case Truncated:
		return p[:max(1, len(p)-1-rnd.IntN(max(1, min(len(p)-1, 20))))]
	case Trailing:
		return append(p, "trailing"...)
	case TypeOnly:
		return p[:1]
	case EmptyHandle:
		return reply(fxpHandle, id).str("")
	case LongHandle:
		return reply(fxpHandle, id).str(strings.Repeat("h", 300))
	}
	if data, ok := l.data(q, p); ok {
		return data
	}
	if version, ok := l.version(); ok {
		return version
	}
	if p[0] == fxpAttrs && attrLies[l] != nil {
		return reply(fxpAttrs, id).bytes(attrLies[l](parseAttrs(p[5:])).build())
	}
	return l.names(q, p, rnd)
}

// wrongType answers with a packet that is well formed and of another type than
// the true one.
func wrongType(kind byte, id uint32) []byte {
	if kind == fxpData {
		return reply(fxpHandle, id).str("handle")
	}
	return reply(fxpData, id).str("data")
}

// data returns the lies about DATA.
func (l Lie) data(q *request, p []byte) ([]byte, bool) {
	data := []byte("no data was asked for")
	if p[0] == fxpData && len(p) >= 9 {
		data = p[9:]
	}
	switch l {
	case ShortData:
		data = data[:(len(data)+1)/2]
	case OneByte:
		data = data[:min(1, len(data))]
	case EmptyData:
		data = nil
	case LongData:
		data = append(slices.Clone(data), make([]byte, max(int(q.length)-len(data), 0)+1)...)
	case DataLength:
		return reply(fxpData, q.ID).u32(uint32(len(data)) + 1000).bytes(data), true
	default:
		return nil, false
	}
	return reply(fxpData, q.ID).str(string(data)), true
}

// version returns the lies about VERSION.
func (l Lie) version() ([]byte, bool) {
	versions := map[Lie]uint32{VersionOld: 2, VersionNew: 6, VersionMax: 1<<32 - 1, VersionHalf: 3, VersionMany: 3}
	v, ok := versions[l]
	b := reply(fxpVersion, v)
	switch l {
	case VersionHalf:
		b = b.str("posix-rename@openssh.com")
	case VersionMany:
		for range 10_000 {
			b = b.str("x@example.com").str("1")
		}
	}
	return b, ok
}
