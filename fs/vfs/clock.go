package vfs

import (
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// serverClock is our idea of the server's clock. A new file's mtime says which
// whole second it was there at some moment between question and answer; the
// bounds that these give are narrowed with each. It is what "now" means for
// times that the server will set or that it lets us set. Tree.mu guards it.
type serverClock struct {
	low, high time.Duration // server's clock minus ours, between these
	known     bool
	sampled   time.Time
	connected time.Time // samples from before it are of another time
}

// told takes in what the server itself told of its clock.
func (c *serverClock) told(k conn.Clock) {
	c.connected = k.Connected
	if k.Seconds != 0 && k.Told.After(c.sampled) {
		c.sample(k.Asked, k.Told, k.Seconds)
	}
}

// sample learns from a file that the server made between sent and received,
// with mtime in whole seconds.
func (c *serverClock) sample(sent, received time.Time, mtime int64) {
	server := time.Unix(mtime, 0)
	low, high := server.Sub(received), server.Add(time.Second).Sub(sent)
	if c.known {
		low, high = max(low, c.low), min(high, c.high)
	}
	if low > high { // a clock was set, or drifted: start again
		low, high = server.Sub(received), server.Add(time.Second).Sub(sent)
	}
	c.low, c.high, c.known, c.sampled = low, high, true, received
}

// passed returns when, by our clock, the server's second was over for sure;
// false where the server's clock is not known, or only from long ago or from an
// earlier connection: a sandbox that was paused meanwhile may have its clock
// behind.
func (c *serverClock) passed(second int64, now time.Time) (time.Time, bool) {
	if !c.known || now.Sub(c.sampled) > clockGood || c.sampled.Before(c.connected) {
		return time.Time{}, false
	}
	return time.Unix(second+1, 0).Add(-c.low), true
}

// clockGood is how long a sample is relied on for more than showing times.
const clockGood = 10 * time.Minute

// now returns the server's time at ours.
func (c *serverClock) now(ours time.Time) time.Time {
	if !c.known || c.low <= 0 && c.high >= 0 {
		return ours // nothing speaks against the clocks agreeing
	}
	return ours.Add((c.low + c.high) / 2)
}
