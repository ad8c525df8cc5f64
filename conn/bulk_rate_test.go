package conn

import (
	"testing"
	"time"
)

// What may be in flight follows the best rate of the last seconds, and forgets it.
func TestLineRate(t *testing.T) {
	var r lineRate
	now := time.Now()
	const rtt = 100 * time.Millisecond
	most := func(want int, wantTold bool) {
		t.Helper()
		if n, told := r.most(rtt, now); told != wantTold || n < want*9/10 || n > want*11/10 {
			t.Errorf("%d in flight at most, told: %v; want %d, %v", n, told, want, wantTold)
		}
	}
	most(firstFlight, false)
	carries := func(each int, every time.Duration, times int) {
		var flight []*op
		send := func() {
			o := &op{q: request{kind: reqWrite, buf: make([]byte, each)}, sent: now}
			r.sends(o)
			flight = append(flight, o)
		}
		for range 4 {
			send()
		}
		for range times {
			now = now.Add(every)
			r.leaves(flight[0], now, true)
			flight = flight[1:]
			send()
		}
		for _, o := range flight {
			r.leaves(o, now, false)
		}
	}
	carries(250_000, 10*time.Millisecond, 100) // 25 MB/s
	most(25_000_000*11/10, true)
	carries(250_000, time.Second, 4)
	most(25_000_000*11/10, true) // it may only have had little to do
	carries(250_000, time.Second, 12)
	most(leastFlight, true) // 250 KB/s
	if r.flight != 0 {
		t.Errorf("%d bytes in flight", r.flight)
	}
	now = now.Add(time.Minute)
	most(firstFlight, false)
}
