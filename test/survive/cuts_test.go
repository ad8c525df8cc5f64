package survive_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/link"
)

// cut makes one cut: at once, or in the middle of a packet after some bytes of
// one direction. It returns when it is done.
func (s *site) cut(r *rand.Rand) {
	cutsMade.Add(1)
	if r.IntN(3) == 0 {
		s.link.Cut()
		return
	}
	before := s.link.Stats().Sprung
	d := link.Direction(r.IntN(2))
	s.link.After(d, 1<<r.IntN(21)+int64(r.IntN(1000)), []link.Fault{link.Reset, link.HalfClose}[r.IntN(2)])
	for deadline := time.Now().Add(60 * time.Millisecond); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if s.link.Stats().Sprung > before {
			return
		}
	}
	s.link.After(d, -1, 0)
	s.link.Cut() // too little passes
}

// cuts makes n cuts. Most of the time the link may come up before the next one,
// so that something gets done.
func (s *site) cuts(n int, state func() bool) {
	r := s.random(999)
	for i := 0; i < n && !s.Failed(); i++ {
		if r.IntN(5) > 0 {
			for deadline := time.Now().Add(5 * time.Second); !state() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}
		time.Sleep(time.Duration(r.IntN(30)) * time.Millisecond)
		s.cut(r)
	}
	s.Logf("%d connections", s.link.Stats().Conns)
}

func (s *site) isUp() bool { return s.client.Status().State == conn.StateUp }

// setups are the servers and write modes.
func setups() (all []setup) {
	for _, server := range []bool{false, true} {
		for _, mode := range []vfs.WriteMode{vfs.WriteClose, vfs.WriteThrough, vfs.WriteAsync} {
			all = append(all, setup{openssh: server, writes: mode})
		}
	}
	return all
}

// Each load alone, where there is time.
func TestCutsOfEachLoad(t *testing.T) {
	for _, o := range setups() {
		for _, l := range loads {
			t.Run(o.String()+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				s := open(t, o)
				s.play(s.system(), []load{l}, func() { s.cuts(choose(2, 250), s.isUp) })
			})
		}
	}
}

// All loads together, with cuts at random moments and bytes.
func TestCuts(t *testing.T) {
	for _, o := range setups() {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, o)
			s.play(s.system(), loads, func() { s.cuts(choose(120, 1500), s.isUp) })
		})
	}
}
