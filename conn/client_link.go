package conn

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

var (
	errServerClosed = errors.New("the other end closed the connection")
	errSilent       = errors.New("the link is silent")
	errHung         = errors.New("the server does not answer")
	errMoved        = errors.New("this machine's network has changed")
)

// dialTimeout bounds one attempt to connect, login included: a person who
// types a password has less time than sshd's LoginGraceTime of 120 s.
const dialTimeout = 90 * time.Second

// connect makes a connection with its first lane.
func (c *Client) connect(ctx context.Context) (*connection, *lane, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	t, err := c.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	conn := c.newConnection(t)
	l, err := c.openLane(ctx, conn, nil)
	if err != nil {
		conn.close()
		return nil, nil, err
	}
	return conn, l, nil
}

// serve puts a connection with its first lane into service and replays what
// waits.
func (c *Client) serve(conn *connection, l *lane) {
	c.mu.Lock()
	defer c.unlock()
	c.primary, c.names = conn, l
	c.bulk.refused = time.Time{}
	c.state.generation++
	c.state.set(StateUp, nil)
	c.turn(false)
	c.wg.Go(func() { c.watch(conn) })
	c.wg.Go(func() { c.openAhead(conn) })
	c.replay()
}

// openAhead opens the background lane. Where the server allows no second
// channel, what is done ahead shares the lane of names.
func (c *Client) openAhead(conn *connection) {
	start := time.Now()
	l, err := c.openLane(c.ctx, conn, &c.able)
	c.mu.Lock()
	defer c.unlock()
	if err != nil {
		if conn == c.primary && conn.why() == nil {
			conn.limit = conn.lanes()
		}
		return
	}
	if conn == c.primary {
		c.state.rtt = time.Since(start) // the channel's opening is one round trip
		c.ahead = l
	}
}

// ended takes a connection that has ended out of service.
func (c *Client) ended(conn *connection) {
	conn.settle()
	<-c.takeOut(conn)
	c.mu.Lock()
	defer c.unlock()
	lost := conn.lost
	conn.lost = nil
	in, out := conn.t.bytes()
	c.state.in, c.state.out = c.state.in+in, c.state.out+out
	unsafe := c.keepFence(conn, lost)
	c.ending = slices.DeleteFunc(c.ending, func(x *connection) bool { return x == conn })
	close(conn.gone)
	if !unsafe || c.primary == nil {
		c.retake(lost)
		c.poke()
		return
	}
	c.wg.Go(func() {
		c.fenceOff(c.ctx, c.transportOf())
		c.mu.Lock()
		defer c.unlock()
		c.retake(lost)
	})
}

// takeOut has nothing more sent on a connection that has ended. What it returns
// is closed when all that was sent there is lost: what comes back has to come
// back together, in order, and before anything is replayed.
func (c *Client) takeOut(conn *connection) <-chan struct{} {
	c.mu.Lock()
	defer c.unlock()
	primary := conn == c.primary
	c.extra = slices.DeleteFunc(c.extra, func(x *connection) bool { return x == conn })
	c.bulk.lanes = slices.DeleteFunc(c.bulk.lanes, func(l *lane) bool { return l.conn == conn })
	c.ending = append(c.ending, conn)
	for f := range c.files {
		f.loseLanes(conn)
	}
	if primary {
		c.primary, c.names, c.ahead = nil, nil, nil
		c.state.lastError = conn.why()
		if c.closed == nil && c.state.state != StateClosing {
			c.state.set(StateDown, conn.why())
		}
		c.wg.Go(c.turnLater)
		for _, extra := range c.extra {
			extra.end(errServerClosed)
		}
	}
	conn.out = true
	conn.hush()
	return conn.hushed
}

// transportOf returns the transport of names, nil while down.
func (c *Client) transportOf() transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.primary == nil {
		return nil
	}
	return c.primary.t
}

// loseLanes forgets the file's handles on a connection that ended. Client.mu
// is held.
func (f *file) loseLanes(conn *connection) {
	for l := range f.onLanes {
		if l.conn == conn {
			delete(f.onLanes, l)
		}
	}
	if f.home != nil && f.home.conn == conn {
		f.home, f.handle, f.ready = nil, "", false
	}
}

// poke tells keepLink that something waits for the link. c.mu may be held.
func (c *Client) poke() {
	select {
	case c.wakeUp <- struct{}{}:
	default:
	}
}

// Back-off between attempts to connect. With jitter, so that many mounts that
// lost one server do not come back together; sshd penalises who comes too often.
const (
	firstPause   = 200 * time.Millisecond
	longestPause = 15 * time.Second
	shortLived   = 10 * time.Second // a connection that ended before that counts as a failed attempt
	idleAsk      = 15 * time.Second // between questions to the provider while nothing needs the link
	fatalPauses  = 2                // times the longest, after an error that another attempt hardly mends
)

// keepTime is the goroutine that has what waits for too long end, also while
// an attempt to connect hears nothing, and that closes what is idle. It notices
// that the machine slept: the wall clock went on, the monotonic one did not.
func (c *Client) keepTime() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	wall, mono := c.wall(), time.Now()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		if c.wall().Sub(wall)-time.Since(mono) > silenceToAsk {
			c.doubt(wakeToEnd)
		}
		wall, mono = c.wall(), time.Now()
		c.trim()
		c.expire()
		c.leaveAttempt()
	}
}

// keepNetwork is the goroutine that hears of the machine's network.
func (c *Client) keepNetwork(changes <-chan struct{}) {
	for {
		select {
		case <-c.ctx.Done():
			return
		case _, ok := <-changes:
			if !ok {
				return
			}
			c.mu.Lock()
			bound := max(changeToEnd, 3*c.state.rtt)
			c.mu.Unlock()
			c.doubt(min(bound, silenceToEnd))
		}
	}
}

// doubt takes it that the link, whatever its state, may have changed: each
// connection has to give a sign of life within bound, and where there is none an
// attempt to connect is made now rather than after the back-off.
func (c *Client) doubt(bound time.Duration) {
	c.mu.Lock()
	conns := c.present()
	c.doubted = time.Now()
	c.state.asked = time.Time{}
	c.mu.Unlock()
	for _, conn := range conns {
		select {
		case conn.doubt <- bound:
		default: // it is in doubt already
		}
	}
	select {
	case c.retry <- struct{}{}:
	default:
	}
}

// leaveAttempt ends an attempt to connect that began before the link's last
// doubt and should have succeeded by now: most likely it goes nowhere. The next
// one follows at once.
func (c *Client) leaveAttempt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.giveUp == nil || c.doubted.Before(c.began) || time.Since(c.began) < max(goodAttempt, 30*c.state.rtt) {
		return
	}
	c.giveUp(errMoved)
	select {
	case c.retry <- struct{}{}:
	default:
	}
}

// goodAttempt is what an attempt to connect takes on a bad day: 15 round trips
// or so, and a server that is busy.
const goodAttempt = 5 * time.Second

// keepLink is the goroutine that connects again, one attempt at a time.
func (c *Client) keepLink() {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = min(firstPause, c.o.MaxPause), c.o.MaxPause, 2
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var next time.Time
	due := time.NewTimer(0) // for next
	defer due.Stop()
	refused := false // the last attempt, for a reason that no other network mends
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-c.retry:
			if !refused {
				next = time.Time{}
				b.Reset()
			}
		case <-c.wakeUp:
		case <-due.C:
		case <-tick.C:
		}
		if !c.isDown() || time.Now().Before(next) || !c.mayDial() {
			continue
		}
		began := time.Now()
		err := c.reconnect()
		refused = err != nil && fatal(err)
		switch {
		case err == nil && c.livedLong():
			b.Reset()
			continue
		case refused:
			next = began.Add(fatalPauses * c.o.MaxPause)
		default:
			next = time.Now().Add(b.NextBackOff())
		}
		due.Reset(time.Until(next))
	}
}

// livedLong reports whether the connection before the present one was no
// failure.
func (c *Client) livedLong() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.lasted > shortLived
}

func (c *Client) isDown() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.primary == nil && c.closed == nil
}

// fatal reports whether another attempt hardly helps.
func fatal(err error) bool {
	for _, r := range []Reason{AuthFailed, HostKeyChanged, HostKeyUnknown, Forbidden, NoSFTP, SandboxNotFound, TLS} {
		if errors.Is(err, r) {
			return true
		}
	}
	return KindOf(err) == Gone || KindOf(err) == Protocol
}

// mayDial decides whether to connect: at once where an operation waits, else
// only where that can wake no sandbox. A paused one is resumed for operations
// on files' contents, for changes, and for who has said Want, if that is allowed.
func (c *Client) mayDial() bool {
	c.mu.Lock()
	needed, _ := c.needed()
	soon := time.Since(c.state.asked) < idleAsk
	if needed || !soon {
		c.state.asked = time.Now()
	}
	c.mu.Unlock()
	if !needed && soon {
		return false
	}
	ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
	defer cancel()
	state, err := c.o.stateOf(ctx)
	if err != nil {
		state = sandbox.Unknown
	}
	switch state {
	case sandbox.Running:
		return true
	case sandbox.Gone:
		c.setDown(StateGone, &Error{Op: "connect", Kind: Gone})
		return false
	case sandbox.Paused:
		return c.resume(ctx)
	}
	return needed
}

// resume wakes a paused sandbox, where something that waits is worth it, and
// reports whether it runs. Otherwise what waits is refused. A provider that is
// in trouble is asked again.
func (c *Client) resume(ctx context.Context) bool {
	c.mu.Lock()
	if _, wakes := c.needed(); !wakes || !c.o.Resume {
		defer c.unlock() // nothing comes between the look and the refusal
		c.refuseAll(StatePaused, dialFailed(NotConnected, SandboxPaused, nil))
		return false
	}
	c.mu.Unlock()
	err := c.o.Provider.Resume(ctx)
	switch {
	case err == nil:
		return true
	case errors.Is(err, sandbox.Unreachable), errors.Is(err, sandbox.TooMany), errors.Is(err, sandbox.Transitioning):
		c.o.Log.Warn("the sandbox was not resumed yet", "error", err)
	default:
		c.o.Log.Warn("the sandbox was not resumed", "error", err)
		c.setDown(StatePaused, dialFailed(NotConnected, SandboxPaused, nil))
	}
	return false
}

// stateOf asks the provider, where there is one.
func (o *Options) stateOf(ctx context.Context) (sandbox.State, error) {
	if o.Provider == nil {
		return sandbox.Running, nil
	}
	return o.Provider.State(ctx)
}

// needed reports whether any operation waits, and whether one of them is worth
// waking a sandbox: it is about a file's content, or changes something. c.mu is
// held.
func (c *Client) needed() (any, wakes bool) {
	wakes = c.now().Sub(c.wanted) < wantFor
	look := func(ops []*op) {
		for _, o := range ops {
			any = any || o.q.kind != reqClose
			wakes = wakes || o.q.kind != reqClose && (o.file != nil || mutates(o))
		}
	}
	look(c.waiting)
	for f := range c.files {
		look(f.queue)
	}
	return any, wakes
}

// Want says that the operation which is about to be started is no mere
// polling: a paused sandbox is resumed for it, whatever it is.
func (c *Client) Want() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wanted = c.now()
}

// wantFor is until when an operation that was announced has been started.
const wantFor = time.Second

// setDown enters a state in which no connection is tried, and has what waits
// end with why.
func (c *Client) setDown(s State, why error) {
	c.mu.Lock()
	defer c.unlock()
	c.refuseAll(s, why)
}

// refuseAll is setDown with c.mu held.
func (c *Client) refuseAll(s State, why error) {
	c.state.set(s, why)
	c.turn(true)
	for _, o := range c.takeAll() {
		c.refuse(o, why)
	}
}

// reconnect makes one attempt.
func (c *Client) reconnect() error {
	ctx, giveUp := context.WithCancelCause(c.ctx)
	defer giveUp(nil)
	c.attempts(giveUp)
	defer c.attempts(nil)
	conn, l, err := c.connect(ctx)
	if err == nil {
		if err = c.sameServer(ctx, l); err == nil {
			err = c.settleLost(conn, l)
		}
		if err != nil {
			conn.close()
			c.ended(conn) // files were opened on it already
		}
	}
	if err != nil {
		c.o.Log.Warn("could not connect again", "error", err)
		c.mu.Lock()
		c.state.failed(err)
		c.mu.Unlock()
		if KindOf(err) == Gone {
			c.setDown(StateGone, err)
		} else if fatal(err) {
			c.setDown(StateDown, err)
		}
		return err
	}
	c.serve(conn, l)
	return nil
}

// attempts notes that an attempt to connect begins, and how it is given up; nil:
// that none is being made.
func (c *Client) attempts(giveUp context.CancelCauseFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.giveUp = giveUp; giveUp != nil {
		c.began = time.Now()
		c.state.set(StateConnecting, nil)
	}
}
