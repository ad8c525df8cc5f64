package sftp

import (
	"errors"
	"io"
	"slices"
)

// Listing is a directory's content.
type Listing struct {
	Entries  []Entry
	Complete bool // false: it has more than was asked for
	Unusable int  // names left out: empty, too long, with a slash or NUL, or twice
}

// MaxEntries bounds a listing: at some 100 bytes an entry, 100 MB.
const MaxEntries = 1 << 20

// maxListed bounds what all listings of a session that are being made hold: one
// of MaxEntries names of usual length. A program that reads many directories at
// a time, all of them endless, must not cost more.
const (
	maxListed = 128 << 20
	entrySize = 100 // beside the name
)

// READDIRs in flight: two answer a small directory and its end in one round
// trip; sixteen names of hundred each outrun any link.
const (
	firstReaddirs = 2
	maxReaddirs   = 16
)

// list is a listing being made. Its fields belong to the reader goroutine.
type list struct {
	c       *Client
	max     int // 0: none but MaxEntries
	done    func(Listing, error)
	handle  string
	out     Listing
	seen    map[string]struct{}
	told    int   // names that came, usable or not
	bytes   int   // what out takes, counted in Client.listed
	window  int   // READDIRs to keep in flight
	flight  []int // numbers of the READDIRs in flight
	sent    int   // the number of the last one
	end     int   // the number of the first one that said EOF; 0: none did
	replied bool  // done was called
}

// List lists a directory up to max entries, 0 for all; one of more than
// MaxEntries ends with ErrTooLarge. 2 round trips, and one for each 100 names
// beyond 100, fewer as the number of requests in flight grows.
func (c *Client) List(path string, max int, done func(Listing, error)) *Request {
	l := &list{c: c, max: max, done: done, window: firstReaddirs, seen: make(map[string]struct{})}
	r := request(typeOpendir, typeHandle, stringsOf([]string{path}), (*decoder).handle, func(h string, err error) {
		if err != nil {
			done(Listing{}, err)
			return
		}
		l.handle = h
		l.more()
	})
	c.start(r)
	return r
}

// more fills the window.
func (l *list) more() {
	for l.end == 0 && !l.replied && len(l.flight) < l.window {
		l.sent++
		number := l.sent
		l.flight = append(l.flight, number)
		l.c.start(request(typeReaddir, typeName, stringsOf([]string{l.handle}), decodeNames, func(b nameBatch, err error) {
			l.names(number, b, err)
		}))
	}
}

type nameBatch struct {
	entries  []Entry
	unusable int
	count    int
}

func decodeNames(d *decoder) nameBatch {
	if len(d.b) < 4 {
		d.err = errShort
		return nameBatch{}
	}
	count := (&decoder{b: d.b}).uint32()
	entries, unusable := d.names()
	if d.err == nil && count == 0 {
		d.err = errors.New("a NAME packet without names")
	}
	return nameBatch{entries: entries, unusable: unusable, count: int(count)}
}

// names takes one READDIR's answer. The listing is whole when one said EOF and
// all before it were answered, in whatever order.
func (l *list) names(number int, batch nameBatch, err error) {
	l.flight = slices.DeleteFunc(l.flight, func(n int) bool { return n == number })
	switch {
	case l.replied:
		return
	case err == io.EOF:
		if l.end == 0 || number < l.end {
			l.end = number
		}
	case err != nil:
		l.finish(err, false)
		return
	default:
		l.add(batch)
	}
	if !l.replied && l.end > 0 && (len(l.flight) == 0 || slices.Min(l.flight) > l.end) {
		l.finish(nil, true)
	}
}

func (l *list) add(batch nameBatch) {
	l.out.Unusable += batch.unusable
	l.told += batch.count
	for _, e := range batch.entries {
		if l.max > 0 && len(l.out.Entries) == l.max {
			l.finish(nil, false)
			return
		}
		if _, twice := l.seen[e.Name]; twice {
			l.out.Unusable++
			continue
		}
		l.seen[e.Name] = struct{}{}
		l.out.Entries = append(l.out.Entries, e)
		l.bytes += entrySize + len(e.Name)
		l.c.listed += entrySize + len(e.Name)
	}
	if l.told > MaxEntries || l.c.listed > maxListed {
		l.finish(ErrTooLarge, false)
		return
	}
	l.window = min(l.window*2, maxReaddirs)
	l.more()
}

// finish answers, and closes the directory behind the READDIRs on their way.
func (l *list) finish(err error, complete bool) {
	l.replied = true
	l.c.listed -= l.bytes
	if _, lost := err.(*LostError); !lost {
		l.c.CloseHandle(l.handle, func(error) {})
	}
	out := l.out
	out.Complete = complete
	l.out, l.seen = Listing{}, nil
	if err != nil {
		out = Listing{}
	}
	l.done(out, err)
}
