package conn

import (
	"container/list"
	"context"
	"errors"
	"time"
)

// lane is one session on one channel of a connection, with what is in flight
// on it. The lane of names carries names, metadata and the data of small files,
// the background lane what is done ahead, the others bulk data.
type lane struct {
	conn *connection
	s    session
	able features
	rate *lineRate // the Client's

	// Guarded by Client.mu.
	flight   list.List // of *op: unanswered, in the order in which they were sent
	data     int       // bytes of reads and writes that are unanswered
	handles  int       // opened on it by files
	lastUsed time.Time // when an op was last sent or answered
	progress time.Time // since when the first op in flight is owed an answer, or the next part of one
	hung     bool      // it owes one for too long while its connection lives
}

func (l *lane) add(o *op) {
	l.lastUsed = time.Now()
	if l.flight.Len() == 0 {
		l.progress = l.lastUsed
	}
	o.sent, o.place = l.lastUsed, l.flight.PushBack(o)
	l.data += o.size()
	l.rate.sends(o)
}

// remove takes o off, which was answered or not.
func (l *lane) remove(o *op, answered bool) {
	l.lastUsed = time.Now()
	if o.place == l.flight.Front() {
		l.progress = l.lastUsed
	}
	l.flight.Remove(o.place)
	l.data -= o.size()
	l.rate.leaves(o, l.lastUsed, answered)
	l.conn.hush()
}

// advance notes that a part of o's answer came: a long listing takes as long as
// the line carries it.
func (l *lane) advance(o *op) {
	if o.place == l.flight.Front() {
		l.progress = time.Now()
	}
}

// maxTimeouts is how often an operation's time may pass while it is in flight,
// behind others or in parts: a million names on a line that carries a megabyte
// a second take three minutes.
const maxTimeouts = 3

// overdue reports whether the lane hangs. Servers answer in order: what was sent
// first is owed an answer within the timeout from when all before it had theirs.
// That later ones are answered meanwhile is no excuse.
func (l *lane) overdue(timeout time.Duration) bool {
	first := l.flight.Front()
	return first != nil && (time.Since(l.progress) > timeout || time.Since(first.Value.(*op).sent) > maxTimeouts*timeout)
}

// size is what o puts on a lane: the bytes of a read or write.
func (o *op) size() int { return len(o.q.buf) }

// openLane opens a channel and a session on it. With known features it waits
// for the channel alone, 1 round trip; else for the handshake too.
func (c *Client) openLane(ctx context.Context, conn *connection, known *features) (*lane, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	ctx, refused := context.WithCancelCause(ctx)
	defer refused(nil)
	ch, err := conn.t.openChannel(ctx)
	if err != nil {
		return nil, err
	}
	if known == nil {
		silent := time.AfterFunc(refusalAfter, func() {
			if conn.t.refusesSFTP(ctx) {
				refused(errRefused)
			}
		})
		defer silent.Stop()
	}
	s, err := c.open(ctx, ch, known)
	if err != nil {
		_ = ch.Close()
		if context.Cause(ctx) == errRefused {
			return nil, dialFailed(NotConnected, NoSFTP, errRefused)
		}
		return nil, conn.noSFTP(err)
	}
	l := &lane{conn: conn, s: s, able: s.features(), rate: &c.bulk.rate}
	if !conn.adopt(l) {
		_ = s.close()
		return nil, conn.why()
	}
	return l, nil
}

// refusalAfter is how long the first session may take to come up before the
// server is asked whether it has SFTP at all: openChannel does not wait for
// that answer.
const refusalAfter = 3 * time.Second

var errRefused = errors.New("it refused the subsystem")

// noSFTP makes the error of a channel on which SFTP did not come up: of the
// connection, where that is the reason and shows within a moment.
func (conn *connection) noSFTP(err error) error {
	if KindOf(err) == Protocol {
		return err
	}
	select {
	case <-conn.dead:
		return &Error{Op: "connect", Kind: NotConnected, Err: conn.why()}
	case <-time.After(time.Second):
		return dialFailed(NotConnected, NoSFTP, err)
	}
}
