package conn

import (
	"slices"
	"time"
)

// Bounds of what is in flight.
const (
	// laneWindow is what one channel carries in a round trip: the window that
	// both x/crypto and OpenSSH give (2 MiB), and a request for the server to
	// work on meanwhile.
	laneWindow = 2<<20 + 256<<10
	// homeWindow is what bulk data may have in flight on the lane of names
	// where there is no other: a file's first bytes, or a server that allows
	// one channel. homeShare is what remains of it beside bulk lanes.
	homeWindow = 1 << 20
	homeShare  = 128 << 10
	// spreadFrom is how much of one file is asked for when it starts to use
	// bulk lanes: below, opening it there costs more than it brings.
	spreadFrom = 1 << 20
	// usefulRate is the rate that lanes are opened for: what two cores of 2020
	// carry. More lanes than hide the round trip at this rate add nothing.
	usefulRate = 600 << 20
	// headstart is by how much more lanes are opened than what is asked for
	// would fill: a lane takes three round trips to open, in which the window of
	// a reader that has come so far grows by this much at least.
	headstart = 4
	// laneIdle is how long a bulk lane is kept for the next file.
	laneIdle = 10 * time.Second
)

// bulk is the queue of data for which no lane had room, and the lanes that
// carry nothing else. Guarded by Client.mu.
type bulk struct {
	queue   []*op
	rate    lineRate
	lanes   []*lane
	opening int       // lanes being opened
	dialing int       // connections being made for more lanes
	pumping bool      // pump is at work
	refused time.Time // when the last attempt to have more failed
}

func (b *bulk) add(o *op) {
	b.queue = append(b.queue, o)
	o.file.stray(o)
}

func (b *bulk) drop(o *op) {
	b.queue = slices.DeleteFunc(b.queue, func(x *op) bool { return x == o })
}

func (b *bulk) takeAll() {
	for _, o := range b.queue {
		o.file.unstray(o)
	}
	b.queue = nil
}

// laneFile is a file's further handle on a bulk lane.
type laneFile struct {
	handle handle
	ready  bool
}

// pump sends queued data to the lanes that have room, in order. What it sends
// may let more into the queue's end, which it then comes to. c.mu is held.
func (c *Client) pump() {
	b := &c.bulk
	if b.pumping || len(b.queue) == 0 {
		return
	}
	b.pumping = true
	defer func() { b.pumping = false }()
	passed := 0
	for passed < len(b.queue) && passed < maxLook {
		o := b.queue[passed]
		l := c.pick(o)
		if l == nil && o.file.err == nil {
			passed++
			continue
		}
		b.queue = slices.Delete(b.queue, passed, passed+1)
		if l == nil {
			c.refuse(o, o.file.err)
			continue
		}
		c.send(l, o)
		if l == o.file.home {
			o.file.unstray(o)
			c.drain(o.file)
		}
	}
	if passed > 0 {
		c.grow()
	}
}

// maxLook bounds how many chunks that find no room are looked at before the
// rest is left for the next answer.
const maxLook = 32

// pick returns the lane for a chunk, nil where none has room. c.mu is held.
func (c *Client) pick(o *op) *lane {
	f, n := o.file, o.size()
	home := f.home
	if home == nil || !f.serves() {
		return nil
	}
	if full, _ := c.saturated(n); full {
		return nil
	}
	if home.data == 0 || !c.spreads(o) && home.data+n <= laneWindow {
		return home
	}
	if !c.spreads(o) {
		return nil
	}
	share := homeWindow
	if f.asked > spreadFrom {
		best, serves := c.pickBulk(f, n)
		if best != nil {
			return best
		}
		if serves {
			share = homeShare
		}
	}
	if len(c.bulk.lanes) == 0 && c.bulk.opening == 0 && !c.bulk.refused.IsZero() {
		share = laneWindow
	}
	if home.data+n <= share {
		return home
	}
	return nil
}

// spreads reports whether o may go to another lane than its file's own. What
// must keep an order with it may not: appends, and writes behind a size change.
// c.mu is held.
func (c *Client) spreads(o *op) bool {
	f := o.file
	return !f.alone && f.path != "" && f.flags&OpenAppend == 0 && o.class == Foreground &&
		(o.q.kind == reqRead || f.resizing == 0)
}

// pickBulk returns the least loaded bulk lane that has the file open and room
// for n bytes, and whether any has it open. It opens the file on a lane with
// room otherwise. Once lanes of other connections have the file, those of the
// connection that carries names are left alone: an answer there stands behind
// all that the server has sent on that connection, whatever the lane. c.mu is
// held.
func (c *Client) pickBulk(f *file, n int) (best *lane, serves bool) {
	var fresh *lane
	apart := false
	for l, lf := range f.onLanes {
		apart = apart || lf.ready && l.conn != c.primary
	}
	for _, l := range c.bulk.lanes {
		lf := f.onLanes[l]
		if lf != nil && lf.ready {
			serves = true
		}
		if apart && l.conn == c.primary {
			continue
		}
		switch {
		case l.data+n > laneWindow:
		case lf == nil:
			if fresh == nil || l.data < fresh.data {
				fresh = l
			}
		case lf.ready && (best == nil || l.data < best.data):
			best = l
		}
	}
	if best == nil && fresh != nil && f.wants() {
		f.openOn(fresh)
	}
	return best, serves
}

// wants reports whether one more lane would have work: each that has the file,
// or is opening it, is counted as full.
func (f *file) wants() bool { return f.asked > int64(len(f.onLanes))*laneWindow/2 }

// openOn opens the file on a bulk lane: OPEN without what could change it, and
// an LSTAT whose answer must be of the file that the home lane has. c.mu is
// held.
func (f *file) openOn(l *lane) {
	c := f.c
	lf := &laneFile{}
	f.onLanes[l] = lf
	path := f.path
	open := &request{kind: reqOpen, path: path, flags: f.flags & (OpenRead | OpenWrite)}
	look := &request{kind: reqLstat, path: path}
	open.done = func(*request) {}
	look.done = func(*request) {
		c.mu.Lock()
		defer c.unlock()
		lf.handle = open.opened
		same := lf.handle != "" && open.err == nil && look.err == nil && f.path == path && f.id.explains(look.attr)
		switch {
		case asLost(open.err) != nil || asLost(look.err) != nil:
			return // the lane's end takes the file off it
		case f.onLanes[l] != lf:
			c.discard(l, lf.handle)
			return
		case !same:
			f.alone = true
			f.leave(l)
		default:
			lf.ready = true
		}
		c.pump()
	}
	l.s.start(open)
	l.s.start(look)
	l.lastUsed = time.Now()
}

// leave takes the file off a bulk lane. c.mu is held.
func (f *file) leave(l *lane) {
	lf := f.onLanes[l]
	delete(f.onLanes, l)
	if lf != nil && lf.handle != "" {
		f.c.discard(l, lf.handle)
	}
}

// grow opens lanes, and connections for them, as far as the queue calls for it
// and the round trip makes them useful. c.mu is held.
func (c *Client) grow() {
	b := &c.bulk
	if c.primary == nil || time.Since(b.refused) < laneIdle || c.closed != nil {
		return
	}
	asked := 0
	for _, o := range b.queue {
		if c.spreads(o) && o.file.asked > spreadFrom {
			asked += o.size()
		}
	}
	if asked == 0 {
		return
	}
	if full, told := c.saturated(b.queue[0].size()); full && told {
		return // more lanes carry no more
	}
	for _, l := range b.lanes {
		asked += l.data
	}
	rtt := c.state.rtt
	useful := 2 + int(rtt.Seconds()*usefulRate/laneWindow)
	want := min(useful, (headstart*asked+laneWindow-1)/laneWindow)
	for c.bulkLanes() < want {
		conn := c.roomiest()
		if conn == nil {
			break
		}
		b.opening++
		conn.opening++
		c.wg.Go(func() { c.addLane(conn) })
	}
	apart := b.dialing * c.o.MaxLanes
	for _, conn := range c.extra {
		apart += conn.lanes() + conn.opening
	}
	for ; len(c.extra)+b.dialing < c.o.MaxConns-1 && apart < want; apart += c.o.MaxLanes {
		b.dialing++
		c.wg.Go(c.addConnection)
	}
}

// bulkLanes counts the lanes that serve or are being opened: where there are
// connections apart from that of names, theirs. c.mu is held.
func (c *Client) bulkLanes() int {
	if len(c.extra) == 0 {
		return len(c.bulk.lanes) + c.bulk.opening
	}
	n := 0
	for _, conn := range c.extra {
		n += conn.lanes() + conn.opening
	}
	return n
}

// roomiest returns the connection with the fewest lanes that may have another.
// That of names gets bulk lanes while there is no other: a connection takes
// three times as long to make as a lane. c.mu is held.
func (c *Client) roomiest() *connection {
	conns := c.extra
	if len(conns) == 0 {
		conns = []*connection{c.primary}
	}
	var best *connection
	for _, conn := range conns {
		if !conn.full() && (best == nil || conn.lanes()+conn.opening < best.lanes()+best.opening) {
			best = conn
		}
	}
	return best
}

// addLane opens a bulk lane. A connection that refuses has as many as it gets.
func (c *Client) addLane(conn *connection) {
	l, err := c.openLane(c.ctx, conn, &c.able)
	c.mu.Lock()
	defer c.unlock()
	c.bulk.opening--
	conn.opening--
	if err != nil {
		conn.limit = conn.lanes()
		if len(c.bulk.lanes) == 0 && c.bulk.opening == 0 {
			c.bulk.refused = time.Now()
		}
		c.pump()
		return
	}
	if !conn.serves(c) {
		return
	}
	c.bulk.lanes = append(c.bulk.lanes, l)
	c.pump()
}

// addConnection makes a further connection for bulk lanes.
func (c *Client) addConnection() {
	t, err := c.dial(c.ctx)
	var conn *connection
	if err == nil {
		conn = c.newConnection(t)
		_, err = conn.identify(c.ctx)
	}
	c.mu.Lock()
	defer c.unlock()
	c.bulk.dialing--
	if err == nil && (c.primary == nil || c.closed != nil) {
		err = errNotNeeded
	}
	if err != nil {
		c.bulk.refused = time.Now()
		if conn != nil {
			c.later = append(c.later, conn.close)
		}
		return
	}
	c.extra = append(c.extra, conn)
	c.wg.Go(func() { c.watch(conn) })
	c.pump()
	c.grow()
}

// trim closes bulk lanes that were idle for long, and connections without
// lanes. It runs now and then.
func (c *Client) trim() {
	c.mu.Lock()
	defer c.unlock()
	old := time.Now().Add(-laneIdle)
	for _, l := range slices.Clone(c.bulk.lanes) {
		if l.flight.Len() == 0 && l.lastUsed.Before(old) {
			c.retire(l)
		}
	}
	for _, conn := range slices.Clone(c.extra) {
		if conn.lanes() == 0 && conn.opening == 0 && time.Since(conn.since) > laneIdle {
			c.extra = slices.DeleteFunc(c.extra, func(x *connection) bool { return x == conn })
			c.later = append(c.later, func() { conn.end(errNotNeeded) })
		}
	}
}

// retire takes a lane out of service and closes it. c.mu is held.
func (c *Client) retire(l *lane) {
	c.bulk.lanes = slices.DeleteFunc(c.bulk.lanes, func(x *lane) bool { return x == l })
	for f := range c.files {
		delete(f.onLanes, l) // the session's end closes its handles
	}
	l.conn.release(l)
	c.wg.Go(func() { _ = l.s.close() })
}
