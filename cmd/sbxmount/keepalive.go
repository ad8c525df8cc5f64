package main

import (
	"context"
	"errors"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// keepAlive makes a sandbox that is used live on, for at least --keep-alive
// from now: when it is mounted, and then whenever files are open, or were
// opened, read or written since it last looked. An idle editor's stat polling
// does not count. Without an API key it does nothing.
func (d *daemon) keepAlive(ctx context.Context) {
	life := d.cfg.KeepAlive
	if life <= 0 || d.target.ID == "" {
		return
	}
	tick := time.NewTicker(max(life/4, time.Second)) // well before a life ends
	defer tick.Stop()
	seen, used := d.tree.Stats().Uses, true
	for {
		if used {
			err := d.target.Provider.KeepAlive(ctx, life)
			switch {
			case errors.Is(err, sandbox.NoKey):
				return
			case err != nil && ctx.Err() == nil:
				d.log.Warn("the sandbox's life was not extended", "err", err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s := d.tree.Stats()
		used = s.Handles > 0 || s.Uses != seen
		seen = s.Uses
	}
}
