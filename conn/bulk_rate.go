package conn

import "time"

// What bulk data is in flight follows what the line delivers. Lanes' windows are
// made for long fast lines; on a slow one they would hold minutes of data, which
// would stand before all that comes after it, and whose answers would be owed
// for longer than anybody waits.
const (
	// firstFlight is what may be in flight before anything is known of the line.
	firstFlight = homeWindow
	// leastFlight keeps a request on its way while another is worked on.
	leastFlight = 512 << 10
	// aheadOfLine is for how long the line is kept busy beyond a round trip: it
	// hides what a busy machine is late by, and is little to wait behind.
	aheadOfLine = time.Second
	// rateKept is how long the best rate counts: a line that turned slow is
	// believed after twice that at most.
	rateKept = 5 * time.Second
)

// lineRate is what the line delivered of reads' and writes' data: the best rate
// that a request met between its sending and its answer, as BBR measures it
// (draft-ietf-ccwg-bbr, delivery rate samples). A line that was not kept busy shows
// less than it could do; that it did better before is remembered for a while.
// Guarded by Client.mu.
type lineRate struct {
	flight    int     // bytes in flight on all lanes
	delivered int64   // bytes answered
	best      float64 // bytes a second, since turned
	before    float64 // in the rateKept before that
	turned    time.Time
}

// sends notes that o goes on its way.
func (r *lineRate) sends(o *op) {
	r.flight += o.size()
	o.delivered = r.delivered
}

// leaves notes that o is no longer on its way, and whether it was answered now.
func (r *lineRate) leaves(o *op, now time.Time, answered bool) {
	r.flight -= o.size()
	if !answered || o.size() == 0 {
		return
	}
	r.delivered += int64(o.size())
	if took := now.Sub(o.sent).Seconds(); took > 0 {
		r.turn(now)
		r.best = max(r.best, float64(r.delivered-o.delivered)/took)
	}
}

func (r *lineRate) turn(now time.Time) {
	switch age := now.Sub(r.turned); {
	case age > 2*rateKept:
		r.before, r.best, r.turned = 0, 0, now
	case age > rateKept:
		r.before, r.best, r.turned = r.best, 0, now
	}
}

// most is how many bytes may be in flight, given the round trip time; known
// reports whether that follows from the line.
func (r *lineRate) most(rtt time.Duration, now time.Time) (n int, known bool) {
	r.turn(now)
	rate := max(r.best, r.before)
	if rate == 0 {
		return firstFlight, false
	}
	return max(leastFlight, int(rate*(rtt+aheadOfLine).Seconds())), true
}

// saturated reports whether n more bytes of bulk data would stand before the line
// rather than on it, and whether the line told so. c.mu is held.
func (c *Client) saturated(n int) (full, told bool) {
	most, told := c.bulk.rate.most(c.state.rtt, time.Now())
	return c.bulk.rate.flight > 0 && c.bulk.rate.flight+n > most, told
}
