package vfs

import "github.com/sbxmount/sbxmount/fs/vfs/content"

// Stats is a Tree's state for people to look at.
type Stats struct {
	Inodes    int           // kept in memory; a long text of a link counts, too
	MaxInodes int           // as Options say
	Handles   int           // files and directories that are open
	MaxOpen   int           // as Options say
	Uses      uint64        // opens, reads and writes so far: what shows that somebody works here
	Unusable  int64         // names that listings left out because no local name can be given
	Ahead     int64         // directories listed and files fetched before they were asked for
	AheadUsed int64         // those of them that somebody then asked for
	Behind    int           // changes of names and attributes in flight that nobody waits for
	Refused   int64         // of those, how many the server did not carry out so far
	Waiting   []Waiting     // files with bytes that the server does not have yet
	Content   content.Stats // bytes cached, dirty, in flight
}

// Waiting is a file with bytes that the server does not have yet.
type Waiting struct {
	Path  string // on the server; "" where it has no name any more
	Bytes int64
}

// Stats tells the Tree's state. No round trips.
func (t *Tree) Stats() Stats {
	s := Stats{Content: t.store.Stats(), Uses: t.uses.Load()}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Inodes, s.MaxInodes, s.Unusable = t.weight(), t.max, t.unusable
	s.Handles, s.MaxOpen = t.handles, t.maxOpen
	s.Behind, s.Refused = t.behind.flying, t.refusals
	s.Ahead, s.AheadUsed = t.walk.ahead, t.walk.used
	for _, w := range s.Content.Waiting {
		if f, ok := w.File.(*file); ok {
			s.Waiting = append(s.Waiting, Waiting{Path: t.path(f.n), Bytes: w.Dirty})
		}
	}
	return s
}
