package conn

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// spread starts a client whose reads of a big file go over several lanes of two
// connections.
func spread(t *testing.T) (c *Client, f File, data []byte) {
	t.Helper()
	l := newLab(t)
	l.rtt = 5 * time.Millisecond
	c = l.dialClient(Options{MaxConns: 2, MaxLanes: 3})
	c.mu.Lock()
	c.state.rtt = 50 * time.Millisecond // so that many lanes are opened
	c.mu.Unlock()
	path := filepath.Join(t.TempDir(), "big")
	data = bytes.Repeat([]byte("0123456789abcdef"), 4<<20)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, opened := c.Open(path, OpenRead, 0)
	must(t, opened)
	return c, f, data
}

// While data flows over bulk lanes, next to none of it is in flight on the lane
// of names: what a stat waits behind there is less than a request.
func TestBulkStaysOffTheNames(t *testing.T) {
	c, f, data := spread(t)
	got := make([]byte, len(data))
	read := f.ReadAt(got, 0)
	read.Then(func(int, error) {})
	looked, beside := 0, 0
	for reading := true; reading; {
		must(t, c.Lstat("/"))
		c.mu.Lock()
		reading = c.live > 0
		ready := 0
		for _, lf := range f.(*file).onLanes {
			if lf.ready {
				ready++
			}
		}
		if reading && ready > 1 {
			if looked++; c.names.data <= homeShare+c.able.maxRead {
				beside++
			}
		}
		c.mu.Unlock()
	}
	if n := must(t, read); n != len(data) || !bytes.Equal(got, data) {
		t.Errorf("read %d bytes, or wrong ones", n)
	}
	t.Logf("free of bulk data %d of %d times", beside, looked)
	// What was sent there before the other lanes served is on its way for a
	// round trip yet.
	if looked > 10 && beside < looked*2/3 {
		t.Errorf("the lane of names was free of bulk data %d of %d times", beside, looked)
	}
	f.Close()
}

// Lanes that nobody uses are closed, and connections without lanes; what is read
// later has them opened again.
func TestIdleLanesClose(t *testing.T) {
	c, f, data := spread(t)
	got := make([]byte, len(data))
	for range 2 {
		must(t, f.ReadAt(got, 0))
		if !bytes.Equal(got, data) {
			t.Fatal("wrong bytes")
		}
		clear(got)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if s := c.Status(); s.Conns > 1 && s.Lanes > 3 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("no lanes: %+v", s)
			}
		}
		c.mu.Lock()
		for _, l := range c.bulk.lanes {
			l.lastUsed = l.lastUsed.Add(-2 * laneIdle)
		}
		for _, conn := range c.extra {
			conn.since = conn.since.Add(-2 * laneIdle)
		}
		c.mu.Unlock()
		c.trim()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			// Those of names and of what is done ahead.
			if s := c.Status(); s.Conns == 1 && s.Lanes <= 2 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("idle, and %+v", s)
			}
			c.trim()
		}
	}
	f.Close()
}

// Once other connections have lanes, bulk data leaves that of names: an answer
// there would stand behind all that is on its way.
func TestBulkLeavesTheNamesConnection(t *testing.T) {
	c, f, data := spread(t)
	got := make([]byte, len(data))
	apart := func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		for l, lf := range f.(*file).onLanes {
			if lf.ready && l.conn != c.primary {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(20 * time.Second); !apart(); {
		must(t, f.ReadAt(got, 0))
		if time.Now().After(deadline) {
			t.Fatalf("no lanes apart: %+v", c.Status())
		}
	}
	began := time.Now()
	must(t, f.ReadAt(got, 0))
	if !bytes.Equal(got, data) {
		t.Error("wrong bytes")
	}
	c.mu.Lock()
	for _, l := range c.bulk.lanes {
		if l.conn == c.primary && l.lastUsed.After(began) {
			t.Error("a bulk lane of the names' connection was used")
		}
	}
	c.mu.Unlock()
	f.Close()
}
