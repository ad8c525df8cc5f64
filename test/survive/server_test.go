package survive_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
	"github.com/sbxmount/sbxmount/test/link"
)

// The connection is cut after each few bytes of the next one's handshake, in
// either direction: TCP, the upgrade, SSH's versions, keys and login, the
// channel, SFTP's handshake.
func TestHandshakeCutAtEachStep(t *testing.T) {
	for _, o := range []setup{{}, {openssh: true}} {
		t.Run(o.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, o)
			p := s.newPlayer(s.system(), "steps", 1)
			step := choose(300, 23)
			for d := link.Up; d <= link.Down; d++ {
				for n := 0; n < 7000 && !t.Failed(); n += step {
					s.link.Cut()
					s.link.After(d, int64(n), link.Reset)
					name := "f" + itoa(int(d)) + "-" + itoa(n)
					if f := p.create(name, 0o644); f != nil {
						p.write(f, name, 0, p.bytes(100), 100)
						p.closed(f, name)
					}
				}
			}
			s.link.After(link.Up, -1, 0)
			s.link.After(link.Down, -1, 0)
			s.calm()
			p.compare()
		})
	}
}

// Processes of the server end: each SFTP server, one of them, the whole sshd.
func TestServerDies(t *testing.T) {
	strikes := map[string]func(s *site, i int){
		"sftp-servers": func(s *site, _ int) { s.killServers(-1) },
		"one lane":     func(s *site, i int) { s.killServers(i) },
		"sshd":         func(s *site, _ int) { s.restart(0) },
	}
	for name, strike := range strikes {
		for _, o := range setups() {
			if !o.openssh {
				continue // it has no processes to end
			}
			t.Run(name+"/"+o.String(), func(t *testing.T) {
				t.Parallel()
				s := open(t, o)
				s.play(s.system(), loads, func() {
					for i := range choose(8, 150) {
						s.up()
						time.Sleep(time.Duration(20+i%7*15) * time.Millisecond)
						strike(s, i)
					}
				})
			})
		}
	}
}

// killServers kills the SFTP servers: one of them, or all (-1).
func (s *site) killServers(which int) {
	pids := s.ssh.SftpServerPIDs()
	for i, pid := range pids {
		if which < 0 || i == which%len(pids) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// While the bridge answers dials with something else than an upgrade, waiting
// operations go on waiting, where it is worth it.
func TestBridgeAnswers(t *testing.T) {
	for _, answer := range []faults.Answer{
		faults.Transitioning, faults.TooMany, faults.BadGateway, faults.PortClosed, faults.Page,
		faults.Hangup, faults.Reset, faults.HalfHeader, faults.NotHTTP, faults.Nothing,
	} {
		t.Run(string(answer), func(t *testing.T) {
			t.Parallel()
			s := open(t, setup{})
			rounds, times := choose(2, 20), 3
			if answer == faults.Nothing { // each takes the time in which silence is noticed
				rounds, times = choose(1, 4), 1
			}
			s.play(s.system(), choose(loads[1:4], loads), func() {
				for range rounds {
					s.up()
					s.box.SetEdge(faults.Edge{Answer: answer, Times: times})
					s.link.Cut()
					until(s, "the answers were given", func() bool {
						return s.box.Stats().Faults[string(answer)] >= times
					})
					s.box.ResetStats()
				}
				s.up()
			})
		})
	}
}

// A login that is refused, and a sandbox that is gone: operations fail at once
// and say so; nothing that was acknowledged is missing.
func TestRefusedForGood(t *testing.T) {
	for _, answer := range []faults.Answer{faults.Forbidden, faults.NotFound} {
		t.Run(string(answer), func(t *testing.T) {
			t.Parallel()
			s := open(t, setup{timeout: 5 * time.Second})
			k := s.newKeeper("refused")
			k.until(t, "a save", yes)
			s.box.SetEdge(faults.Edge{Answer: answer})
			s.link.Cut()
			k.until(t, "a failure", no)
			if k.failed == 0 {
				t.Error("nothing failed")
			}
			t.Logf("%v; %+v", k.errs, s.client.Status())
			k.kept(syscall.EACCES, syscall.EIO, syscall.ENOTCONN, syscall.ETIMEDOUT, syscall.EPERM, syscall.ENODEV, syscall.EHOSTDOWN)
		})
	}
}

// The remote disk fills up, or a quota does, or permission is withdrawn, in the
// middle of the work; then there is room again.
func TestRemoteRefusesWrites(t *testing.T) {
	for name, tt := range map[string]struct {
		knobs faults.SFTP
		want  error
	}{
		"full":       {faults.SFTP{Full: &faults.Full{After: 1 << 20}}, syscall.ENOSPC},
		"quota":      {faults.SFTP{Full: &faults.Full{After: 1 << 20, Quota: true}}, syscall.EDQUOT},
		"permission": {faults.SFTP{Fail: []faults.Failing{{Match: faults.Match{Op: "WRITE", Skip: 20}, Code: 3}}}, syscall.EACCES},
		"read-only":  {faults.SFTP{ReadOnly: true}, syscall.EROFS},
	} {
		for _, o := range setups()[:2] {
			t.Run(name+"/"+o.String(), func(t *testing.T) {
				t.Parallel()
				s := open(t, o)
				k := s.newKeeper("room")
				k.until(t, "a save", yes)
				s.box.SetSFTP(tt.knobs)
				k.until(t, "a failure", no)
				s.link.Cut()
				k.save()
				s.box.SetSFTP(faults.SFTP{})
				k.until(t, "a save again", yes)
				// Whether a write was refused or its answer lost, the program is told.
				k.kept(tt.want, syscall.EIO, syscall.EACCES)
			})
		}
	}
}
