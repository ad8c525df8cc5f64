package sftp

import (
	"errors"
	"io"
	"slices"
	"time"
)

// Listing is a directory's content.
type Listing struct {
	Entries  []Entry
	Complete bool // false: it has more than was asked for
	Unusable int  // names left out: empty, too long, with a slash or NUL, or twice

	// Asked is when the first of the READDIRs was sent that told these entries:
	// the server looked at each of them later than that.
	Asked time.Time
}

// long is how many names make a listing one whose entries are told as they
// come: what is shorter takes one or two round trips and is told at once.
const long = 1000

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
	some    func(Listing)
	done    func(Listing, error)
	handle  string
	out     Listing
	seen    map[string]struct{}
	told    int       // names that came, usable or not
	bytes   int       // what out and seen take, counted in Client.listed
	window  int       // READDIRs to keep in flight
	flight  []readdir // in flight
	sent    int       // the number of the last one
	end     int       // the number of the first one that said EOF; 0: none did
	replied bool      // done was called
}

// readdir is one READDIR.
type readdir struct {
	number int
	sent   time.Time
}

// List lists a directory up to max entries, 0 for all; one of more than
// MaxEntries ends with ErrTooLarge. 2 round trips, and one for each 100 names
// beyond 100, fewer as the number of requests in flight grows. If there are many
// names and some is not nil, it is called with the entries as they come, before
// done, which gets the rest.
func (c *Client) List(path string, max int, some func(Listing), done func(Listing, error)) *Request {
	l := &list{c: c, max: max, some: some, done: done, window: firstReaddirs, seen: make(map[string]struct{})}
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
		r := readdir{number: l.sent, sent: time.Now()}
		l.flight = append(l.flight, r)
		l.c.start(request(typeReaddir, typeName, stringsOf([]string{l.handle}), decodeNames, func(b nameBatch, err error) {
			l.names(r, b, err)
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
func (l *list) names(r readdir, batch nameBatch, err error) {
	l.flight = slices.DeleteFunc(l.flight, func(f readdir) bool { return f == r })
	switch {
	case l.replied:
		return
	case err == io.EOF:
		if l.end == 0 || r.number < l.end {
			l.end = r.number
		}
	case err != nil:
		l.finish(err, false)
		return
	default:
		l.add(batch, r.sent)
	}
	before := func(f readdir) bool { return f.number <= l.end }
	if !l.replied && l.end > 0 && !slices.ContainsFunc(l.flight, before) {
		l.finish(nil, true)
	}
}

func (l *list) add(batch nameBatch, asked time.Time) {
	if len(l.out.Entries) == 0 || asked.Before(l.out.Asked) {
		l.out.Asked = asked
	}
	l.out.Unusable += batch.unusable
	l.told += batch.count
	for _, e := range batch.entries {
		if l.max > 0 && len(l.seen) == l.max {
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
	if l.some != nil && l.told > long {
		l.some(l.out)
		l.out = Listing{}
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
