package conn

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// identity is what a shell on the server tells of a connection.
type identity struct {
	pid      int    // of the sshd process that serves it
	start    string // when that process started, in its kernel's units: tells it from a later one with its pid
	uid, gid uint32
	seconds  int64     // what the server's clock showed, in whole seconds since 1970, 0 if not told,
	asked    time.Time // at some moment between this
	told     time.Time // and this
}

// whoami prints the parent of the shell, which is the connection's sshd, the
// user, the time, and the parent's line of /proc.
const whoami = `exec sh -c 'echo sbxmount $PPID $(id -u) $(id -g) $(date +%s); cat /proc/$PPID/stat'`

// whoTimeout bounds the wait for a slow shell.
const whoTimeout = 20 * time.Second

// askWho asks a shell who serves the connection. Servers without a shell are
// served, too.
func (conn *connection) askWho(ctx context.Context) {
	defer close(conn.who)
	ctx, cancel := context.WithTimeout(ctx, whoTimeout)
	defer cancel()
	asked := time.Now()
	out, err := conn.t.run(ctx, whoami)
	if err != nil {
		return
	}
	if id, ok := parseIdentity(out); ok {
		id.asked, id.told = asked, time.Now()
		conn.mu.Lock()
		conn.id = &id
		conn.mu.Unlock()
	}
}

// identify waits until it is known who serves the connection, or that nobody
// tells, but no longer than for a shell that is slow. What changes something
// must not be sent before: were the connection lost, nobody could end what may
// still be carried out.
func (conn *connection) identify(ctx context.Context) (*identity, error) {
	select {
	case <-conn.who:
	case <-conn.dead:
	case <-time.After(whoTimeout / 4):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	return conn.id, conn.cause
}

func parseIdentity(out string) (id identity, ok bool) {
	_, out, ok = strings.Cut(out, "sbxmount ") // a shell's start-up files may print before it
	line, stat, found := strings.Cut(out, "\n")
	fields := strings.Fields(line)
	if !ok || !found || len(fields) < 3 {
		return id, false
	}
	pid, err1 := strconv.Atoi(fields[0])
	uid, err2 := strconv.ParseUint(fields[1], 10, 32)
	gid, err3 := strconv.ParseUint(fields[2], 10, 32)
	if err1 != nil || err2 != nil || err3 != nil || pid <= 1 {
		return id, false
	}
	id = identity{pid: pid, uid: uint32(uid), gid: uint32(gid)}
	if len(fields) > 3 {
		if s, err := strconv.ParseInt(fields[3], 10, 64); err == nil && s > 0 && s < 1<<40 {
			id.seconds = s
		}
	}
	if at := strings.LastIndexByte(stat, ')'); at >= 0 {
		const startTime = 22 - 3 // proc_pid_stat(5): field 22, of which 3 is the first behind the name
		if rest := strings.Fields(stat[at+1:]); len(rest) > startTime {
			if _, err := strconv.ParseUint(rest[startTime], 10, 64); err == nil {
				id.start = rest[startTime]
			}
		}
	}
	return id, true
}

// Clock is what is known of the server's clock.
type Clock struct {
	// Connected is when the present connection was made. What was known before
	// counts no more: a sandbox that is paused loses its connections, and its
	// clock may be behind when it goes on.
	Connected time.Time
	// Seconds since 1970, whole ones, is what the clock showed at some moment
	// between Asked and Told; 0 where nobody told.
	Seconds     int64
	Asked, Told time.Time
}

// Clock returns what a shell on the server told of its clock when the connection
// was made. No round trip.
func (c *Client) Clock() Clock {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.primary
	if conn == nil {
		return Clock{Connected: c.now()}
	}
	conn.mu.Lock()
	defer conn.mu.Unlock()
	k := Clock{Connected: conn.since}
	if id := conn.id; id != nil {
		k.Seconds, k.Asked, k.Told = id.seconds, id.asked, id.told
	}
	return k
}

// learnInfo makes what Info tells. Where the home directory is root's, which
// tells nothing of the user, it waits for the shell's answer.
func (c *Client) learnInfo(ctx context.Context, conn *connection, l *lane) error {
	home, owner, err := l.home(ctx)
	if err != nil {
		return err
	}
	c.info = Info{
		Home: home, MaxRead: c.able.maxRead, MaxWrite: c.able.maxWrite,
		Copies: c.able.copyData, Links: c.able.hardlink,
	}
	if owner.UID != 0 {
		c.info.UID, c.info.GID, c.info.OwnerKnown = owner.UID, owner.GID, true
		return nil
	}
	id, err := conn.identify(ctx)
	if id != nil {
		c.info.UID, c.info.GID, c.info.OwnerKnown = id.uid, id.gid, true
	}
	return err
}

// home returns the login user's home directory and its attributes, zero where
// the server would not tell them. 1 round trip where the handshake did not
// tell.
func (l *lane) home(ctx context.Context) (string, Attr, error) {
	home, attr := l.able.home, l.able.homeAttr
	if home == "" {
		path := &request{kind: reqRealpath, path: "."}
		stat := &request{kind: reqStat, path: "."}
		if err := l.askAll(ctx, path, stat); err != nil {
			return "", Attr{}, err
		}
		if path.err != nil {
			return "", Attr{}, path.err
		}
		home, attr = path.text, stat.attr
	}
	if !strings.HasPrefix(home, "/") {
		return "", Attr{}, &Error{Op: "connect", Kind: Protocol, Err: fmt.Errorf("the home directory's path is not absolute")}
	}
	return home, attr, nil
}

// sameServer refuses a server that is not the one of before.
func (c *Client) sameServer(ctx context.Context, l *lane) error {
	home, _, err := l.home(ctx)
	if err != nil {
		return err
	}
	if home != c.info.Home || l.able.maxRead < c.able.maxRead || l.able.maxWrite < c.able.maxWrite {
		return &Error{Op: "connect", Kind: Stale, Err: fmt.Errorf("the server is not the one of before")}
	}
	return nil
}

// askAll sends requests that are no op's and waits for their answers. The
// error is of the lane.
func (l *lane) askAll(ctx context.Context, rs ...*request) error {
	answered := make(chan struct{}, len(rs))
	for _, r := range rs {
		r.done = func(*request) { answered <- struct{}{} }
		l.s.start(r)
	}
	for range rs {
		select {
		case <-answered:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	for _, r := range rs {
		if lost := asLost(r.err); lost != nil {
			return lost.cause
		}
	}
	return nil
}
