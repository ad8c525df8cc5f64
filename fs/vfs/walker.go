package vfs

import (
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// walker fetches ahead what a program that walks through the tree asks for
// next: find, git, rsync, grep, a compiler. It sees what is asked for. Visiting
// a directory's first sub-directory after reading it, or the sub-directory that
// follows the one before (in the server's order or by name), is evidence of a
// walk; so are three sub-directories in any order. Then the walk's continuation
// is listed ahead, depth first: what is below, the siblings that follow, then
// those of the parents that are walked through themselves. Where only stale
// listings are known they tell the structure.
//
// A window bounds what was fetched and not asked for. It starts at firstWindow,
// doubles with each expected step for which the walk had to wait, and grows by
// one where it had not; what nobody asks for in the walk halves it. What grew
// stale before the walk came is fetched again when the walk waits near it. A
// budget bounds what is useless: each fetch takes 1 from it, each that somebody
// asks for gives 2 back, each expected step for which nothing was there gives 1.
// So what is fetched in vain is never more than what was fetched to good use,
// and maxBudget, and the walk's own steps.
// All of it is Background work. The window counts along the continuation: what
// turns up near by is listed though there is much unused far ahead, up to
// maxBudget in all.
//
// Tree.mu guards it.
type walker struct {
	dirs, files window
	at          *inode  // the directory that was visited last
	flat        bool    // the walk passes by what is below the directories it visits
	ahead, used int64   // for Stats
	last        instant // when a program went somewhere
	heard       instant // when the server last told something
	opened      *inode  // the file that was opened last
	streak      int     // evidence that files are opened in an order
	openedAt    instant // when that was
	trail       *inode  // where programs came last
	arrived     instant // when that was
}

const (
	// firstWindow is what a walk starts with: it costs some ten kilobytes if
	// the evidence was wrong, and is open wide two steps later if it was right.
	firstWindow = 16
	maxWindow   = 128
	// maxBudget is what may be fetched in vain before anything proves useful: the
	// first levels of a tree whose structure nobody knows.
	maxBudget = 2 * maxWindow
	// pause ends a walk: what is asked for after it is something else.
	pause = instant(10 * time.Second)
	// beyond is how far the walk is followed out of a directory that may be the
	// only one wanted of its parent.
	beyond = 2 * firstWindow
	// prompt is how soon a program that walks goes on: people are slower.
	prompt = instant(200 * time.Millisecond)
	// reach bounds the names that are looked at for one step of a walk.
	reach = 4096
)

// window is what was fetched ahead and was not asked for yet.
type window struct {
	size   int
	unused int
	budget int
	bytes  int64 // of files
	queue  []aheadItem
}

type aheadItem struct {
	d     *inode // or
	f     *file
	asked instant
}

// take counts what is fetched ahead.
func (w *window) take() {
	w.unused++
	w.budget--
}

// give adds to the budget.
func (w *window) give(n int) { w.budget = min(w.budget+n, maxBudget) }

func (w *window) grow(late bool) {
	if late {
		w.size *= 2
	} else {
		w.size++
	}
	w.size = min(w.size, maxWindow)
}

// restart gives a new walk a small window, and some budget though the ones
// before it wasted theirs.
func (w *window) restart() {
	w.size, w.budget = firstWindow, max(w.budget, 2*firstWindow)
}

func (w *window) shrink() { w.size = max(w.size/2, 1) }

// restart sets the windows for a new walk, or for one that goes on after
// everything known has grown stale.
func (w *walker) restart(now, ttl instant) {
	idle := now - w.last
	if w.last == never || idle >= pause {
		w.flat = false
	}
	if w.last == never || idle >= min(2*ttl, pause) {
		w.dirs.restart()
		w.files.restart()
		w.dirs.giveUp(now - 2*ttl) // stale: they must be listed again
	}
	w.last = now
}

// dirWalk is what the walker knows of a directory. A turn is one going through
// its sub-directories.
type dirWalk struct {
	ahead   bool    // listed ahead and not asked for yet
	aheadAt instant // when, the last time
	visited instant // by a program
	turn    uint32  // counts turns
	seen    uint32  // the parent's turn in which it was visited
	read    instant // when a program got to know its names
	looked  instant // when a program looked a name up
	burst   int     // lookups in a row, each as soon as could be
	keen    bool    // the first sub-directory was visited in such a row, or right after the reading
	visits  int     // sub-directories visited in this turn
	steps   int     // of them those that an order made expected
	at      int     // where the last of them is in order
	fileAt  int     // likewise of files opened
	statAt  int     // likewise of names that had to be asked for one by one
	run     int     // names asked for ahead behind that
	last    *name   // the last of them; nil in a new turn

	arrived instant // when a program came here, for the trail
	next    *inode  // where it went from here
	guessed bool    // that it goes there again, and it has not yet
}

// walkReadDir and walkLookup tell the walker what programs ask for.
func (t *Tree) walkReadDir(d *inode, start instant) {
	w := &d.dir.walk
	w.turn++
	w.visits, w.steps, w.last, w.at = 0, 0, nil, -1
	t.visit(d, start)
}

func (t *Tree) walkLookup(d *inode, start instant) {
	w := &d.dir.walk
	if w.burst++; start-max(w.looked, t.walk.heard) > prompt {
		w.burst = 1
	}
	w.looked = start
	if t.walk.at == d && !w.ahead && t.fresh(w.visited, start) {
		w.visited = start
		return // one more name in the same directory
	}
	t.visit(d, start)
}

// visit follows a program into d.
func (t *Tree) visit(d *inode, start instant) {
	t.lru.touch(&d.dir.lru)
	if t.ttl == 0 {
		return // nothing fetched ahead could be used
	}
	t.walk.restart(start, instant(t.ttl))
	t.expire(start)
	w := &d.dir.walk
	again := t.walk.at == d && start-w.visited < pause
	known := t.fresh(d.dir.listed, start)
	w.visited = start
	t.walk.at = d
	expected := false
	if d.names != nil && !again {
		expected = t.step(d.names.in, d.names)
	}
	switch {
	case w.ahead:
		w.ahead = false
		t.walk.dirs.unused--
		t.walk.used++
		t.walk.dirs.give(2)
		t.walk.dirs.grow(!known)
	case expected && !known:
		t.walk.dirs.give(1)
		t.walk.dirs.grow(true)
	}
	t.arrive(d, start)
	if d.names != nil && t.walked(d.names.in, start) || w.steps > 0 {
		t.extend(start, !known)
	}
}

// step takes note of a visit to a sub-directory of p, and reports whether an
// order made it expected.
func (t *Tree) step(p *inode, nm *name) (expected bool) {
	w, dw := &p.dir.walk, &nm.node.dir.walk
	if w.last == nm {
		return false
	}
	if dw.seen == w.turn && w.turn != 0 {
		w.turn++ // been there: a new turn
		w.visits, w.steps, w.last, w.at = 0, 0, nil, -1
	}
	if w.turn == 0 {
		w.turn, w.at = 1, -1
	}
	if w.last != nil && w.last.node.dir != nil && w.last.node.dir.walk.visits == 0 && w.last.node.dir.hasDirs() {
		t.walk.flat = true // it went on without looking below
	}
	if p.names != nil && w.visits == 0 {
		t.walk.flat = false // it goes down
	}
	expected = p.dir.follows(nm)
	if expected {
		w.steps++
	}
	if w.visits == 0 {
		w.keen = w.burst >= 3 || w.read != never && t.walk.last-w.read <= prompt
	}
	w.visits++
	w.visited, w.last, dw.seen = t.last, nm, w.turn
	w.at = p.dir.find(nm, w.at)
	return expected
}

// follows reports whether nm is the sub-directory that comes after the last
// visited one, the first one after none, in the server's order or by name.
func (d *dir) follows(nm *name) bool {
	w := &d.walk
	for i := w.at + 1; i < len(d.order); i++ {
		if n := d.order[i]; n == nm {
			return true
		} else if n.in != nil && n.node.dir != nil {
			break
		}
	}
	if len(d.order) > reach {
		return false
	}
	for _, n := range d.order { // none between the last one and nm?
		if n.in != nil && n.node.dir != nil && n.text < nm.text && (w.last == nil || n.text > w.last.text) {
			return false
		}
	}
	return w.last == nil || nm.text > w.last.text
}

// find returns a name's place in order, looking a while from at on; -1 where it
// was not found.
func (d *dir) find(nm *name, at int) int {
	at = max(at, 0)
	for i := range min(len(d.order), reach) {
		if j := (at + i) % len(d.order); d.order[j] == nm {
			return j
		}
	}
	return -1
}

func (d *dir) hasDirs() bool {
	for i, nm := range d.order {
		if nm.in != nil && nm.node.dir != nil {
			return true
		}
		if i == reach {
			break
		}
	}
	return false
}

// walked reports whether a program is going through p's sub-directories.
func (t *Tree) walked(p *inode, start instant) bool {
	w := &p.dir.walk
	return (w.steps > 0 || w.visits >= 3) && start-w.visited < pause
}

// extend lists the continuation of the walk ahead, as far as the window goes.
// What grew stale since it was listed ahead is listed again only if the walk
// waits: what is near is then reached soon.
func (t *Tree) extend(start instant, waits bool) {
	w := &t.walk.dirs
	near, limit := 0, w.size // directories on the way that wait to be asked for
	up := func(p *inode) {
		if p.dir.walk.visits == 1 && !p.dir.walk.keen {
			limit = min(limit, near+beyond) // perhaps only this one is wanted
		}
	}
	t.follow(t.walk.at, -1, start, false, up, func(nm *name) (down, on bool) {
		d := nm.node.dir
		if d == nil {
			return false, true
		}
		t.listAhead(nm.node, start, waits)
		if d.walk.ahead {
			near++
		}
		return !t.walk.flat, near < limit && w.unused < maxBudget && w.budget > 0
	})
}

// listAhead lists a directory that nobody has asked for yet.
func (t *Tree) listAhead(d *inode, start instant, again bool) {
	dir := d.dir
	if dir.walk.ahead {
		start += instant(t.ttl) / 2 // it must still be fresh when the walk comes
	}
	if dir.listing != nil || dir.huge || t.fresh(dir.listed, start) || dir.refused != never && start-dir.refused < refusedFor {
		return
	}
	if dir.walk.ahead && !again {
		return
	}
	w := &t.walk.dirs
	l := t.list(d, besideMax, conn.Background)
	if !dir.walk.ahead {
		dir.walk.ahead = true
		w.take()
		t.walk.ahead++
	}
	dir.walk.aheadAt = l.asked
	w.queue = append(w.queue, aheadItem{d: d, asked: l.asked})
}

// walkListed is called when a listing has arrived: the structure below is
// known now.
func (t *Tree) walkListed(d *inode, l *listing) {
	if l.err != nil && d.dir.walk.ahead {
		d.dir.walk.ahead = false
		t.walk.dirs.unused--
	}
	at := t.walk.at
	if at == nil || t.ttl == 0 || l.err != nil {
		return
	}
	now := t.tick()
	if at.dir.walk.steps > 0 || at.names != nil && t.walked(at.names.in, now) {
		t.extend(now, false)
	}
}

// expire gives up on what was listed ahead and not asked for in this walk.
func (t *Tree) expire(now instant) {
	for range t.walk.dirs.giveUp(now - pause) {
		t.walk.dirs.shrink()
	}
}

// giveUp gives up on directories that were listed ahead before then and not
// asked for, and returns how many there were.
func (w *window) giveUp(then instant) (n int) {
	for len(w.queue) > 0 {
		it := w.queue[0]
		if d := it.d; d != nil && d.dir.walk.ahead && d.dir.walk.aheadAt == it.asked {
			if it.asked >= then {
				return n
			}
			d.dir.walk.ahead = false
			w.unused--
			n++
		}
		w.queue = w.queue[1:]
	}
	return n
}

// follow goes through the names that a depth-first walk meets after the one at
// place at of d (-1: from d's first on): those of d, what is below them, those
// before at (not all walks follow the server's order), then what follows d in
// its parent if that is being walked through, and so on. Where the walk has
// been in this turn it does not go down again, unless again is true: programs
// may list a whole tree before they open its files. up is told each parent;
// visit says whether to go down, where something is known below, and whether
// to go on.
func (t *Tree) follow(d *inode, at int, start instant, again bool, up func(p *inode), visit func(*name) (down, on bool)) {
	f := follower{left: reach, again: again, visit: visit}
	for f.around(d, at, true) {
		if d.names == nil || !t.walked(d.names.in, start) {
			return
		}
		p := d.names.in
		at = p.dir.find(d.names, p.dir.walk.at)
		d = p
		up(p)
	}
}

type follower struct {
	left  int // names that may still be looked at
	again bool
	visit func(*name) (down, on bool)
}

// around goes through d's names, from the one after at round to it. current
// says that the walk is in d.
func (f *follower) around(d *inode, at int, current bool) bool {
	order, turn := d.dir.order, d.dir.walk.turn
	for i := range order {
		j := (at + 1 + i) % len(order)
		if j == at {
			continue
		}
		if f.left--; f.left < 0 {
			return false
		}
		nm := order[j]
		if nm.in != d {
			continue
		}
		sub := nm.node.dir
		if sub != nil && current && !f.again && turn != 0 && sub.walk.seen == turn {
			continue // been there
		}
		down, on := f.visit(nm)
		if !on {
			return false
		}
		if down && sub != nil && !f.around(nm.node, -1, false) {
			return false
		}
	}
	return true
}
