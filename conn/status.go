package conn

import (
	"log/slog"
	"time"
)

// State is what a Client's link is like.
type State uint8

// The states.
const (
	StateConnecting State = iota // an attempt to connect is being made
	StateUp                      // serving
	StateDegraded                // serving, but nothing has been heard for a while
	StateDown                    // lost; the next attempt follows by itself, or when it is needed
	StatePaused                  // the sandbox is paused, and is not woken by itself
	StateGone                    // the sandbox does not exist any more
	StateClosing                 // Close was called
)

func (s State) String() string {
	return [...]string{"connecting", "up", "degraded", "down", "paused", "gone", "closing"}[s]
}

// Status is a Client at one moment.
type Status struct {
	State      State
	Since      time.Time     // when the state began
	RTT        time.Duration // as last measured
	Generation int           // connections that carried names, the present one included
	Reconnects int
	Conns      int   // connections
	Lanes      int   // channels on them
	BytesIn    int64 // on the wire, over all connections
	BytesOut   int64
	InFlight   int   // operations that are not answered
	LastError  error // why the link was lost, or could not be made, last
}

// stateMachine is the link's state. Guarded by Client.mu.
type stateMachine struct {
	log        *slog.Logger
	state      State
	since      time.Time
	downSince  time.Time // when it was last up
	upSince    time.Time
	lasted     time.Duration // how long it was up the last time
	generation int
	rtt        time.Duration
	lastError  error
	asked      time.Time // when the provider was last asked for the sandbox's state
	in, out    int64     // of connections that ended
}

func (m *stateMachine) init(log *slog.Logger) {
	now := time.Now()
	m.log, m.since, m.downSince, m.lasted = log, now, now, shortLived+1
}

// set enters a state.
func (m *stateMachine) set(s State, why error) {
	if why != nil {
		m.lastError = why
	}
	if m.state == StateClosing || m.state == s && s != StateUp {
		return
	}
	now := time.Now()
	switch {
	case s == StateUp:
		m.upSince = now
	case m.state == StateUp:
		m.downSince, m.lasted = now, now.Sub(m.upSince)
	}
	m.log.Info("link", "state", s.String(), "was", m.state.String(), "for", now.Sub(m.since).Round(time.Millisecond), "error", why)
	m.state, m.since = s, now
}

// failed notes an attempt that failed.
func (m *stateMachine) failed(err error) { m.set(StateDown, err) }

// Status returns how the Client is.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Status{
		State: c.state.state, Since: c.state.since, RTT: c.state.rtt, Generation: c.state.generation,
		Reconnects: c.state.generation - 1, InFlight: c.live, LastError: c.state.lastError,
		BytesIn: c.state.in, BytesOut: c.state.out,
	}
	count := func(conn *connection) {
		s.Conns++
		s.Lanes += conn.lanes()
		in, out := conn.t.bytes()
		s.BytesIn, s.BytesOut = s.BytesIn+in, s.BytesOut+out
	}
	if c.primary != nil {
		count(c.primary)
	}
	for _, conn := range c.extra {
		count(conn)
	}
	if s.State == StateUp && time.Since(c.primary.t.lastByte()) > silenceToAsk+time.Second {
		s.State = StateDegraded
	}
	return s
}
