package hostile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"
)

// playTime is how long TestHostileMount plays: HOSTILE_TIME, a few seconds
// without it.
func playTime(t *testing.T) time.Duration {
	if text := os.Getenv("HOSTILE_TIME"); text != "" {
		length, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return length
	}
	return 8 * time.Second
}

// eachSeed is how long one sandbox is played against in a long run.
const eachSeed = 30 * time.Second

// TestHostileMount has programs play in real mounts while their sandbox does
// all that it can, by seed (HOSTILE_SEED; one by one in a long run): nothing
// panics, hangs, or grows, and nothing outside of the mount is touched.
func TestHostileMount(t *testing.T) {
	watchMemory(t)
	seed := uint64(time.Now().UnixNano())
	if given, err := strconv.ParseUint(os.Getenv("HOSTILE_SEED"), 10, 64); err == nil {
		seed = given
	}
	replies := 0
	for left := playTime(t); left > 0 && !t.Failed(); left -= eachSeed {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) { replies += hostileMount(t, seed, min(left, eachSeed)) })
		seed++
	}
	t.Logf("%d replies", replies)
}

// hostileMount is one sandbox and three programs, one of them watched by
// strace. It returns how many replies there were.
func hostileMount(t *testing.T, seed uint64, length time.Duration) int {
	m := newMounted(t)
	stop := make(chan struct{})
	var director, players sync.WaitGroup
	director.Go(func() { m.direct(seed, stop) })
	trace := filepath.Join(t.TempDir(), "trace")
	for i, file := range []string{"", "", trace} {
		players.Go(func() { t.Log(m.play(seed+uint64(i)*1000, length, file)) })
	}
	players.Wait()
	close(stop)
	director.Wait()
	m.stayedInside(trace)
	m.honest()
	m.recovers()
	s := m.server.Stats()
	lies := 0
	for _, n := range s.Faults {
		lies += n
	}
	t.Logf("%d requests, %d of them answered by %d kinds of faults, %d sessions", s.Total(), lies, len(s.Faults), s.Sessions)
	return s.Total()
}
