package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// keepAlive makes a sandbox that is used live on, for at least --keep-alive
// from now: when it is mounted, and then whenever files are open, or were
// opened, read or written since it last looked. An idle editor's stat polling
// does not count. Without an API key it does nothing.
func (d *daemon) keepAlive(ctx context.Context) {
	if d.target.ID == "" {
		return
	}
	keepUsed(ctx, d.target.Provider, d.cfg.KeepAlive, d.log.Logger, func() (open int, uses uint64) {
		s := d.tree.Stats()
		return s.Handles, s.Uses
	})
}

// keepUsed is keepAlive for what use tells: how many files are open, and a
// counter of uses.
func keepUsed(ctx context.Context, p sandbox.Provider, life time.Duration, log *slog.Logger, use func() (open int, uses uint64)) {
	if life <= 0 {
		return
	}
	tick := time.NewTicker(max(life/4, time.Second)) // well before a life ends
	defer tick.Stop()
	_, seen := use()
	for used := true; ; {
		if used {
			err := p.KeepAlive(ctx, life)
			switch {
			case errors.Is(err, sandbox.NoKey):
				return
			case err != nil && ctx.Err() == nil:
				log.Warn("the sandbox's life was not extended", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		open, uses := use()
		used = open > 0 || uses != seen
		seen = uses
	}
}
