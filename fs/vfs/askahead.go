package vfs

// maxRun bounds the names that are asked for at once ahead of a program that
// goes through a huge directory: some hundred kilobytes, and a few milliseconds
// of the server's before a request that follows.
const maxRun = 1024

// askAhead is told that a program has to wait for a name in a directory too
// large to be listed beside a lookup. One that goes through the names in the
// server's order, as ls -l does when they outlive the TTL, gets the next ones
// asked for in the same round trip: none at the first wait, then 16, and twice
// as many each time that it comes to one behind those.
func (t *Tree) askAhead(nm *name, start instant) {
	if nm == nil || t.ttl == 0 || !nm.in.dir.huge {
		return
	}
	d, w := nm.in, &nm.in.dir.walk
	from := max(w.statAt, 0)
	at := d.dir.find(nm, from)
	switch {
	case at < 0:
		return
	case w.run == 0 && at != from+1, at <= from || at > from+w.run+1:
		w.statAt, w.run = at, 0
		return
	}
	w.run = min(max(2*w.run, firstWindow), maxRun)
	w.statAt = at
	for _, next := range d.dir.order[at+1 : min(at+1+w.run, len(d.dir.order))] {
		if next.in == d && (!t.fresh(next.asked, start) || !t.fresh(next.node.asked, start)) {
			t.ask(d, next.text, start)
		}
	}
}
