package vfs

import (
	"context"

	"github.com/sbxmount/sbxmount/conn"
)

// kept returns for how long what was told may be shown since the link is down;
// 0 while it is up. With a TTL of 0 nothing that was told ever may.
func (t *Tree) kept() instant {
	if t.offline == nil || t.ttl == 0 {
		return 0
	}
	keep, _ := t.offline()
	return instant(keep)
}

// need has a paused sandbox woken for a question of which nothing is known yet,
// or, with a TTL of 0, ever: who polls asks for what they have seen before.
func (t *Tree) need() {
	if t.wake != nil && t.offline != nil {
		if keep, _ := t.offline(); keep > 0 {
			t.later = append(t.later, t.wake)
		}
	}
}

// wakes reports whether what was refused with err is to be asked for once more:
// it was asked while the link seemed well, so that nobody knew yet that it needs
// the sandbox woken.
func (t *Tree) wakes(err error, woken *bool) bool {
	if *woken || t.wake == nil || t.offline == nil || conn.KindOf(err) != conn.NotConnected {
		return false
	}
	*woken = true
	keep, _ := t.offline()
	return keep > 0
}

// waitKnown is wait for who can do with what is known, once the link is down.
func (t *Tree) waitKnown(ctx context.Context, done, also <-chan struct{}, known func() bool) error {
	for t.offline != nil && t.ttl > 0 {
		_, turned := t.offline()
		if known() {
			return nil
		}
		t.unlock()
		select {
		case <-done:
		case <-also:
		case <-turned:
			t.mu.Lock()
			continue
		case <-ctx.Done():
			t.mu.Lock()
			return context.Cause(ctx)
		}
		t.mu.Lock()
		return nil
	}
	return t.wait(ctx, done, also)
}

// StatFS returns the capacity of what the inode lies on. 1 round trip. While
// the link is down it is what was told last, or what was told of the root: df
// shows all mounts, and must not wait for one.
func (t *Tree) StatFS(ctx context.Context, id NodeID) (conn.StatFS, error) {
	t.mu.Lock()
	n, err := t.node(id)
	if err != nil {
		t.unlock()
		return conn.StatFS{}, t.failed("statfs", nil, err)
	}
	path := t.path(n)
	if path == "" {
		path = t.rootPath
	}
	t.unlock()
	call := t.remote.StatFS(path)
	for t.offline != nil {
		keep, turned := t.offline()
		if s, known := t.capacity(id); keep > 0 && known {
			call.Cancel(conn.NotConnected)
			return s, nil
		}
		select {
		case <-turned:
			continue
		case <-call.Done():
		case <-ctx.Done():
		}
		break
	}
	s, err := call.Wait(ctx)
	if err == nil {
		t.tell(id, s)
	}
	return s, err
}

// maxCapacities bounds the answers to statfs that are kept: programs ask for
// the root and hardly for anything else.
const maxCapacities = 64

func (t *Tree) tell(id NodeID, s conn.StatFS) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.capacities) >= maxCapacities {
		root, known := t.capacities[RootID]
		if clear(t.capacities); known {
			t.capacities[RootID] = root
		}
	}
	t.capacities[id] = s
}

func (t *Tree) capacity(id NodeID) (conn.StatFS, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, known := t.capacities[id]
	if !known {
		s, known = t.capacities[RootID]
	}
	return s, known
}
