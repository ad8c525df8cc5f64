package conn

import (
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

	// Guarded by Client.mu.
	ops      int       // unanswered
	data     int       // bytes of reads and writes that are unanswered
	handles  int       // opened on it by files
	lastUsed time.Time // when an op was last sent or answered
	progress time.Time // when an op was last answered, or sent where none was in flight
	hung     bool      // it answers nothing while its connection lives
}

func (l *lane) add(o *op) {
	l.lastUsed = time.Now()
	if l.ops == 0 {
		l.progress = l.lastUsed
	}
	l.ops++
	l.data += o.size()
}

func (l *lane) remove(o *op) {
	l.ops--
	l.data -= o.size()
	l.lastUsed = time.Now()
	l.progress = l.lastUsed
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
	l := &lane{conn: conn, s: s, able: s.features()}
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
