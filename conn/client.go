package conn

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Client is one logical SFTP session with a sandbox. It implements Remote over
// connections that come and go:
//
//	op ──> file's queue ──> names lane     (what waits for a handle, or for bulk writes)
//	   └─> background lane                 (what is done ahead)
//	   └─> bulk queue ──> bulk lanes       (data, pulled by whichever lane has room)
//	   └─> waiting                         (no connection: replayed or failed later)
//
// Everything is guarded by one lock, mu, which is held for no input or output,
// no answer to a Call and no wait. A session's own lock comes after it.
type Client struct {
	o    Options
	dial func(context.Context) (transport, error) // one connection, one login attempt
	open opener
	wall func() time.Time // the clock on the wall, which goes on while the machine sleeps
	able features         // of the server; constant after Dial
	info Info             // constant after Dial

	outage atomic.Pointer[outage]

	ctx    context.Context // of all goroutines; ends with Close
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup

	mu      sync.Mutex    // guards all below, and the fields of ops, files and lanes
	seq     uint64        // of the last op that was started
	sent    uint64        // ops sent
	live    int           // ops that were started and not ended
	idle    chan struct{} // closed when live is 0; nil while nobody waits for it
	closed  error         // set once Close began to end things
	primary *connection   // carries names; nil while down
	ending  []*connection // that ended, and of which not all is taken back yet
	extra   []*connection // carry bulk lanes
	names   *lane         // nil while down
	ahead   *lane         // for Background; nil until it serves
	bulk    bulk
	waiting []*op // for the link
	files   map[*file]struct{}
	held    holds // names that ops wait on
	listing holds // directories that are being listed
	writing holds // files of which data is on other lanes than their own, or in none yet
	idents  map[string]*ident
	strips  Mode    // permission bits that the server's umask may take from a new file
	fences  []fence // sessions that ended with mutations unanswered
	state   stateMachine
	wakeUp  chan struct{} // tells the link's goroutine that an op waits
	retry   chan struct{} // tells it that an attempt may succeed now
	later   []func()      // what unlock runs once mu is released

	wanted  time.Time               // when Want was last called
	doubted time.Time               // when the link last was in doubt
	began   time.Time               // when the attempt to connect began
	giveUp  context.CancelCauseFunc // ends that attempt; nil while there is none

	settling bool // what was lost is being decided over a new connection
}

var _ Remote = (*Client)(nil)

// Dial connects to a sandbox. ctx bounds the dialling alone. About 11 round
// trips: those of the connection, then one for the channel and one or two for
// SFTP's handshake. Its errors have a *DialError in their chain.
func Dial(ctx context.Context, o Options) (*Client, error) {
	o = o.withDefaults()
	open, err := openerOf(o.SFTP)
	if err != nil {
		return nil, err
	}
	return newClient(ctx, o, func(ctx context.Context) (transport, error) {
		c, err := dialSSH(ctx, &o)
		if err != nil {
			return nil, err
		}
		return &sshTransport{conn: c}, nil
	}, open)
}

func openerOf(name string) (opener, error) {
	switch name {
	case "", "own":
		return openOwn, nil
	case "pkg":
		return openPkg, nil
	}
	return nil, &Error{Op: "connect", Kind: Invalid, Err: fmt.Errorf("no SFTP client is called %q", name)}
}

// newClient makes a Client whose connections come from dial.
func newClient(ctx context.Context, o Options, dial func(context.Context) (transport, error), open opener) (*Client, error) {
	c := &Client{
		o: o, dial: dial, open: open, strips: PermMask,
		files: make(map[*file]struct{}), held: make(holds), listing: make(holds), writing: make(holds), idents: make(map[string]*ident),
		wakeUp: make(chan struct{}, 1), retry: make(chan struct{}, 1),
		wall: func() time.Time { return time.Now().Round(0) },
	}
	if o.wall != nil {
		c.wall = o.wall
	}
	c.state.init(o.Log)
	c.outage.Store(&outage{turned: make(chan struct{})})
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	conn, first, err := c.connect(ctx)
	if err != nil {
		c.cancel(err)
		return nil, err
	}
	c.able = first.able
	if err := c.learnInfo(ctx, conn, first); err != nil {
		conn.close()
		c.cancel(err)
		return nil, err
	}
	c.serve(conn, first)
	c.wg.Go(c.keepLink)
	c.wg.Go(c.keepTime)
	if o.NetworkChanges != nil {
		c.wg.Go(func() { c.keepNetwork(o.NetworkChanges) })
	}
	return c, nil
}

// Info implements Remote.
func (c *Client) Info() Info { return c.info }

// Close ends the session: it waits, up to the end of ctx, until everything that
// was started has ended, and closes all connections. What is left then ends
// with Closed, and ctx's cause is returned.
func (c *Client) Close(ctx context.Context) error {
	c.mu.Lock()
	c.state.set(StateClosing, nil)
	idle := c.idle
	if idle == nil {
		idle = make(chan struct{})
		if c.idle = idle; c.live == 0 {
			close(idle)
		}
	}
	c.mu.Unlock()
	var err error
	select {
	case <-idle:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.shut(&Error{Op: "close", Kind: Closed})
	return err
}

// shut ends everything that is left with cause.
func (c *Client) shut(cause error) {
	c.mu.Lock()
	if c.closed == nil {
		c.closed = cause
	}
	c.cancel(cause)
	conns := c.present()
	c.mu.Unlock()
	for _, conn := range conns {
		conn.close()
	}
	c.wg.Wait()
	c.mu.Lock()
	defer c.unlock()
	for _, o := range c.takeAll() {
		c.end(o, nil, Attr{}, cause)
	}
}

// present returns the connections that serve. c.mu is held.
func (c *Client) present() []*connection {
	conns := slices.Clone(c.extra)
	if c.primary != nil {
		conns = append(conns, c.primary)
	}
	return conns
}

// pending returns every op that is on no lane, in order. c.mu is held.
func (c *Client) pending() []*op {
	all := slices.Concat(c.waiting, c.bulk.queue)
	for f := range c.files {
		all = append(all, f.queue...)
	}
	slices.SortFunc(all, bySeq)
	return slices.Compact(all)
}

// takeAll takes every op that is on no lane. c.mu is held.
func (c *Client) takeAll() []*op {
	all := c.pending()
	c.waiting = nil
	for f := range c.files {
		f.takeQueue()
	}
	c.bulk.takeAll()
	return all
}

// now is the clock of waits and bounds.
func (c *Client) now() time.Time { return time.Now() }
