package conn

import (
	"context"
	"fmt"
	"time"
)

// fence is a session that has to be ended on the server before anything is
// replayed: bytes on their way to it could otherwise be carried out after
// newer ones.
type fence struct{ identity }

// mutates reports whether a request may change something on the server.
func mutates(o *op) bool {
	switch o.q.kind {
	case reqWrite, reqSetstat, reqLsetstat, reqFsetstat, reqMkdir, reqSymlink, reqLink,
		reqRename, reqPosixRename, reqUnlink, reqRmdir, reqCopy:
		return true
	case reqOpen:
		return o.q.flags&(OpenCreate|OpenTrunc) != 0
	}
	return false
}

// keepFence remembers to end the session of a connection that left mutations
// unanswered, and reports whether there were any. c.mu is held.
func (c *Client) keepFence(conn *connection, lost []*op) bool {
	for _, o := range lost {
		if o.lost.sent && mutates(o) {
			conn.mu.Lock()
			id := conn.id
			conn.mu.Unlock()
			if id != nil && id.start != "" {
				c.fences = append(c.fences, fence{*id})
			} else {
				c.o.Log.Warn("an old session can't be ended: what was sent to it last might still be carried out")
			}
			return true
		}
	}
	return false
}

// fenceTimeout bounds the ending of an old session: a shell that starts slowly,
// and a process in the middle of a write.
const fenceTimeout = 10 * time.Second

// fenceOff ends old sessions through a new connection. What can't be ended is
// logged and then passed over: a link that never comes back would be worse.
// Where the new connection is lost meanwhile the next one goes on with it.
func (c *Client) fenceOff(ctx context.Context, t transport) {
	c.mu.Lock()
	fences := c.fences
	if t == nil {
		c.mu.Unlock()
		return // the next connection does it
	}
	c.fences = nil
	c.mu.Unlock()
	for i, f := range fences {
		err := bounded(ctx, fenceTimeout, func(ctx context.Context) error {
			_, err := t.run(ctx, f.command())
			return err
		})
		if err == nil {
			continue
		}
		if bounded(ctx, fenceTimeout, t.ping) != nil {
			c.mu.Lock()
			c.fences = append(fences[i:], c.fences...)
			c.mu.Unlock()
			return
		}
		c.o.Log.Warn("could not end an old session", "error", err)
	}
}

func bounded(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}

// command ends the sshd process of a connection and its children, which are its
// sftp-servers, unless it is another one by now, and waits until they are gone,
// 2 s at most for all. A zombie is gone: it has no files open, and where the
// first process of a container reaps nobody it stays one for good.
func (f fence) command() string {
	return fmt.Sprintf(`exec sh -c '
p=%d
read -r l < /proc/$p/stat || exit 0
set -- ${l##*) }
[ "${20}" = "%s" ] || exit 0
k=$p
for s in /proc/[0-9]*/stat; do
	read -r l < $s || continue
	set -- ${l##*) }
	[ "$2" = $p ] || continue
	n=${s#/proc/}
	k="$k ${n%%/stat}"
done 2>/dev/null
kill -9 $k
i=0
for n in $k; do
	while read -r l < /proc/$n/stat && set -- ${l##*) } && [ "$1" != Z ] && [ $i -lt 40 ]; do
		sleep 0.05
		i=$((i+1))
	done
done 2>/dev/null
exit 0' 2>/dev/null`, f.pid, f.start)
}
