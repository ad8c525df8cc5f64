package survive_test

import (
	"context"
	"errors"
	"syscall"

	"github.com/sbxmount/sbxmount/test/behave"
	"sync"
)

func isEIO(err error) bool { return errors.Is(err, syscall.EIO) }

// play has the loads run while trouble does what it does, then compares. It
// returns the players.
func (s *site) play(sys behave.System, loads []load, trouble func()) []*player {
	s.Helper()
	var players []*player
	for i, l := range loads {
		p := s.newPlayer(sys, l.name, uint64(i))
		players = append(players, p)
		if l.begin != nil {
			l.begin(p)
		}
	}
	over := make(chan struct{})
	var wg sync.WaitGroup
	for i, l := range loads {
		p := players[i]
		wg.Go(func() {
			for !p.Failed() {
				l.round(p)
				p.rounds++
				select {
				case <-over:
					return
				default:
				}
			}
		})
	}
	trouble()
	close(over)
	wg.Wait()
	if s.Failed() {
		return players
	}
	s.calm()
	for _, p := range players {
		p.compare()
		s.Logf("%s: %d rounds, %d operations of which nobody could know", p.dir, p.rounds, p.unclear)
	}
	return players
}

// calm waits until the server has everything.
func (s *site) calm() {
	s.Helper()
	if s.sync == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.limit())
	defer cancel()
	if err := s.sync(ctx); err != nil {
		s.Errorf("sync: %v", err)
	}
	if s.client != nil {
		s.Logf("%+v", s.client.Status())
	}
}
