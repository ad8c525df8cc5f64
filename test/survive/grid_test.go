package survive_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/link"
)

// fault is one thing that goes wrong. Every load survives it without an error
// but those of which nobody can know.
type fault struct {
	name   string
	needs  need
	times  int // in a short run; ten times as often in a long one
	slow   bool
	strike func(s *site, r *rand.Rand)
}

// need is which server a fault is done to.
type need uint8

const (
	anywhere need = iota
	sshd          // processes of OpenSSH
	provider      // the provider's side of the embedded sandbox
)

var grid = []fault{
	{"reset", anywhere, 8, false, func(s *site, _ *rand.Rand) { cutsMade.Add(1); s.link.Cut() }},
	{"mid-packet", anywhere, 8, false, func(s *site, r *rand.Rand) { s.cut(r) }},
	{"handshake", anywhere, 5, false, cutHandshake},
	{"blackhole", anywhere, 1, false, func(s *site, r *rand.Rand) { s.dark(time.Duration(200+r.IntN(1800)) * time.Millisecond) }},
	{"new address", anywhere, 1, true, func(s *site, _ *rand.Rand) { s.link.Strand(); s.silenceEnds() }},
	{"half-silent handshake", anywhere, 1, true, muteHandshake},
	{"bulk connection", anywhere, 8, false, func(s *site, _ *rand.Rand) { cutsMade.Add(1); s.link.CutOne(-1) }},
	{"metadata connection", anywhere, 8, false, func(s *site, _ *rand.Rand) { cutsMade.Add(1); s.link.CutOne(0) }},
	{"sftp-servers", sshd, 5, false, func(s *site, _ *rand.Rand) { s.killServers(-1) }},
	{"sftp-server", sshd, 8, false, func(s *site, r *rand.Rand) { s.killServers(r.IntN(8)) }},
	{"sshd restarted", sshd, 3, false, func(s *site, _ *rand.Rand) { s.restart(0) }},
	{"machine rebooted", sshd, 1, false, func(s *site, r *rand.Rand) { s.restart(time.Duration(500+r.IntN(1000)) * time.Millisecond) }},
	{"paused and resumed", provider, 2, false, pauseAndResume},
	{"resumed by use", provider, 2, false, func(s *site, _ *rand.Rand) { s.box.Pause() }},
	{"memory lost", provider, 2, false, loseMemory},
	{"proxy", provider, 3, false, proxyAnswers},
}

// cutHandshake cuts the connection, and the next one somewhere in its
// handshake, in either direction.
func cutHandshake(s *site, r *rand.Rand) {
	cutsMade.Add(2)
	before := s.link.Stats().Sprung
	s.link.Cut()
	s.link.After(link.Direction(r.IntN(2)), int64(r.IntN(5000)), link.Reset)
	until(s, "the handshake is cut", func() bool { return s.link.Stats().Sprung > before })
}

// muteHandshake has the next connection fall silent in its handshake. That is
// noticed, though not at once.
func muteHandshake(s *site, r *rand.Rand) {
	before := s.link.Stats().Sprung
	s.link.Cut()
	s.link.After(link.Direction(r.IntN(2)), int64(r.IntN(5000)), link.Stop)
	until(s, "the handshake falls silent", func() bool { return s.link.Stats().Sprung > before })
	s.silenceEnds()
}

// dark has nothing pass for a while.
func (s *site) dark(d time.Duration) {
	s.link.Blackhole(true)
	time.Sleep(d)
	s.link.Blackhole(false)
}

// silenceEnds waits for another connection than the present one.
func (s *site) silenceEnds() {
	s.Helper()
	before, began := s.client.Status().Generation, time.Now()
	until(s, "another connection", func() bool { return s.client.Status().Generation > before })
	if took := time.Since(began); took > 35*time.Second {
		s.Errorf("silence was noticed after %v", took)
	}
}

// restart ends sshd with all its processes and starts it again, after a while.
func (s *site) restart(down time.Duration) {
	s.Helper()
	s.ssh.Stop()
	time.Sleep(down)
	if err := s.ssh.Restart(); err != nil {
		s.Error(err)
	}
}

func pauseAndResume(s *site, r *rand.Rand) {
	s.box.Hold() // its memory is written
	time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
	s.box.Pause()
	time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
	s.box.Resume()
}

// loseMemory has the sandbox come back without its processes: nothing listens
// until the bridge is started again.
func loseMemory(s *site, r *rand.Rand) {
	answer := faults.PortClosed
	s.box.SetEdge(faults.Edge{Answer: answer, Times: 1 + r.IntN(3)})
	s.box.Pause()
	s.box.Resume()
}

// proxyAnswers has the next dials answered by what stands before the sandbox.
func proxyAnswers(s *site, r *rand.Rand) {
	answers := []faults.Answer{faults.Transitioning, faults.TooMany, faults.BadGateway, faults.Page,
		faults.Hangup, faults.Reset, faults.HalfHeader, faults.NotHTTP, faults.BadRequest}
	s.box.SetEdge(faults.Edge{Answer: answers[r.IntN(len(answers))], Times: 1 + r.IntN(2)})
	s.link.Cut()
}

// cell is one fault during one load.
type cell struct {
	fault
	load
	setup
}

// cells are all of the grid, in an order by seed.
func cells(r *rand.Rand) (all []cell) {
	for _, f := range grid {
		for _, l := range loads {
			for _, o := range setups() {
				if o.openssh && f.needs == provider || !o.openssh && f.needs == sshd {
					continue
				}
				o.api = f.needs == provider
				all = append(all, cell{f, l, o})
			}
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// Each fault during each load, in each write mode and on each server; in a short
// run some of them, others each time.
func TestGrid(t *testing.T) {
	seed := newSeed(t)
	all := cells(rand.New(rand.NewPCG(seed, 1)))
	if !long {
		all = some(all)
	}
	for _, c := range all {
		t.Run(c.fault.name+"/"+c.load.name+"/"+c.setup.String(), func(t *testing.T) {
			t.Parallel()
			c.bound = 2 * time.Minute
			s := open(t, c.setup)
			r := s.random(998)
			s.play(s.system(), []load{c.load}, func() {
				for range choose(c.times, c.often()) {
					s.up()
					time.Sleep(time.Duration(r.IntN(60)) * time.Millisecond)
					c.strike(s, r)
				}
				s.up()
				time.Sleep(50 * time.Millisecond)
			})
		})
	}
}

// often is how often a fault is done in a long run.
func (f fault) often() int {
	if f.slow {
		return 1
	}
	return 10 * f.times
}

// some are one cell of each fault.
func some(all []cell) (chosen []cell) {
	seen := map[string]bool{}
	for _, c := range all {
		if !seen[c.fault.name] {
			seen[c.fault.name] = true
			chosen = append(chosen, c)
		}
	}
	return chosen
}
