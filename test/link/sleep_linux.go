package link

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// coarse is the run-time's timer resolution when nothing else runs: it waits
// in whole milliseconds.
const coarse = 1500 * time.Microsecond

// sleepUntil waits for t or the end of ctx. The last bit is slept in the
// kernel, since a millisecond too much on each way would be a fifth of a short
// link's round trip.
func sleepUntil(ctx context.Context, t time.Time) {
	if d := time.Until(t) - coarse; d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	for d := time.Until(t); d > 0 && ctx.Err() == nil; d = time.Until(t) { // signals end a sleep early
		ts := unix.NsecToTimespec(int64(d))
		unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
	}
}
