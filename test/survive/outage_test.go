package survive_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
)

// Nothing passes for a while and nobody is told; then everything does, on the
// same connection or on a new one.
func TestBlackhole(t *testing.T) {
	for _, dark := range choose([]time.Duration{time.Second}, []time.Duration{time.Second, 10 * time.Second, 50 * time.Second}) {
		for _, o := range setups() {
			t.Run(dark.String()+"/"+o.String(), func(t *testing.T) {
				t.Parallel()
				o.bound = dark + time.Minute
				s := open(t, o)
				s.play(s.system(), loads, func() {
					time.Sleep(200 * time.Millisecond)
					s.link.Blackhole(true)
					time.Sleep(dark)
					s.link.Blackhole(false)
					s.up()
					time.Sleep(200 * time.Millisecond)
				})
			})
		}
	}
}

// A link that is dead for longer than anybody waits. Where nothing times out all
// goes on behind it; with the default, errors are right and silence is not.
func TestLongOutage(t *testing.T) {
	dark := choose(10*time.Second, 5*time.Minute)
	for _, o := range setups() {
		t.Run("forever/"+o.String(), func(t *testing.T) {
			t.Parallel()
			o.timeout, o.bound = -1, dark+2*time.Minute
			s := open(t, o)
			s.play(s.system(), loads, func() {
				time.Sleep(200 * time.Millisecond)
				s.dark(dark)
				s.link.Cut() // the attempt that heard nothing
				s.up()
				time.Sleep(200 * time.Millisecond)
			})
		})
	}
	for _, o := range setups()[:2] {
		t.Run("default/"+o.String(), func(t *testing.T) {
			t.Parallel()
			o.timeout = choose(3*time.Second, conn.DefaultTimeout)
			o.ttl, o.bound = -1, o.timeout+40*time.Second
			s := open(t, o)
			k := s.newKeeper("outage")
			k.until(t, "a save", yes)
			s.link.Blackhole(true)
			for began := time.Now(); time.Since(began) < dark; {
				began := time.Now()
				if k.save() {
					continue // sent before the dark
				}
				if took := time.Since(began); took < o.timeout/2 || took > o.bound {
					t.Errorf("failed after %v", took)
				}
			}
			if k.failed == 0 {
				t.Error("nothing failed")
			}
			s.link.Blackhole(false)
			s.link.Cut()
			k.until(t, "a save again", yes)
			k.kept(syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.EIO)
		})
	}
}

// The connection is dead and nobody is told, as after a change of network: that
// is noticed within 20 seconds, and all goes on over a new one.
func TestStranded(t *testing.T) {
	for _, o := range []setup{{}, {openssh: true}} {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, o)
			s.play(s.system(), loads, func() {
				time.Sleep(200 * time.Millisecond)
				before, began := s.client.Status().Generation, time.Now()
				s.link.Strand()
				until(s, "a new connection", func() bool { return s.client.Status().Generation > before })
				if took := time.Since(began); took > 35*time.Second {
					s.Errorf("noticed after %v", took)
				}
				time.Sleep(200 * time.Millisecond)
			})
		})
	}
}

// A link that stays down: operations end with an error within the bound, no
// data that was acknowledged is lost, and when it is back all works.
func TestTimeout(t *testing.T) {
	for _, o := range setups()[:2] {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			o.timeout, o.ttl, o.bound = 2*time.Second, -1, 20*time.Second
			s := open(t, o)
			k := s.newKeeper("timeout")
			k.until(t, "a save", yes)
			s.link.Blackhole(true)
			s.link.Cut()
			began := time.Now()
			err := k.do("lstat", func() error {
				_, err := k.sys.Lstat(k.at("missing"))
				return err
			})
			if took := time.Since(began); took < time.Second || took > 15*time.Second {
				t.Errorf("ended after %v", took)
			}
			if !errors.Is(err, syscall.ETIMEDOUT) && !errors.Is(err, syscall.ENOTCONN) {
				t.Errorf("lstat: %v", err)
			}
			k.until(t, "a failure", no)
			s.link.Blackhole(false)
			s.link.Cut() // the attempt that hears nothing
			k.until(t, "a save again", yes)
			k.kept(syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.EIO)
		})
	}
}

// The first operation that was blocked by a reset is answered within 15 round
// trips. They are counted by the link, so that a busy machine does not matter.
func TestRecoveryTime(t *testing.T) {
	for _, rtt := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond} {
		for _, server := range []bool{false, true} {
			o := setup{openssh: server, rtt: rtt, ttl: -1}
			t.Run(rtt.String()+"/"+strings.TrimSuffix(o.String(), "/close"), func(t *testing.T) {
				t.Parallel()
				s := open(t, o)
				p := s.newPlayer(s.system(), "recovery", 1)
				p.put("file", []byte("x"))
				best := int64(1000) // what else goes on over the link only adds
				for tries := 0; tries < 10 && (tries < 3 || best > 15); tries++ {
					s.up()
					time.Sleep(5 * rtt) // all is quiet
					before := s.link.Stats().RoundTrips
					s.link.Cut()
					began := time.Now()
					p.must("lstat", func() error {
						_, err := p.sys.Lstat(p.at("file"))
						return err
					})
					took, trips := time.Since(began), s.link.Stats().RoundTrips-before
					t.Logf("%d round trips, %v", trips, took.Round(time.Millisecond))
					best = min(best, trips)
				}
				if best > 15 {
					t.Errorf("answered after %d round trips", best)
				}
			})
		}
	}
}

// Closing ends while the link is dead and data waits, and says that it was not
// delivered.
func TestCloseWithADeadLink(t *testing.T) {
	for name, kill := range map[string]func(s *site){
		"dark": func(s *site) { s.link.Blackhole(true) },
		"cut":  func(s *site) { s.link.Blackhole(true); s.link.Cut() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, setup{writes: vfs.WriteClose})
			p := s.newPlayer(s.system(), "dead", 1)
			f := p.create("file", 0o644)
			if f == nil {
				return
			}
			kill(s)
			p.write(f, "file", 0, p.bytes(100_000), 10_000)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			if err := s.tree.Close(ctx); err == nil {
				t.Error("closed as if all was delivered")
			}
			if err := s.client.Close(ctx); err == nil {
				t.Error("the session ended as if all was answered")
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			s.tree = nil // closed
			s.link.Blackhole(false)
		})
	}
}
