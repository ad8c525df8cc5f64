package vfs_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/fake"
)

// outage is a link that can be down: what is asked then is answered when it is
// up again.
type outage struct {
	mu     sync.Mutex // guards all below
	down   bool
	turned chan struct{}
	wakes  int
}

func (o *outage) offline() (time.Duration, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down {
		return 10 * time.Minute, o.turned
	}
	return 0, o.turned
}

func (o *outage) set(down bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.down != down {
		close(o.turned)
		o.down, o.turned = down, make(chan struct{})
	}
}

// before holds requests back while the link is down.
func (o *outage) before(fake.Request) error {
	for {
		keep, turned := o.offline()
		if keep == 0 {
			return nil
		}
		<-turned
	}
}

// bubbleOutage is bubble with a link that can be down.
func bubbleOutage(t *testing.T, o vfs.Options, test func(m *mount, o *outage)) {
	t.Helper()
	link := &outage{}
	o.Offline = link.offline
	o.Wake = func() { link.wakes++ }
	bubble(t, o, func(s *fake.Server) {
		link.turned = make(chan struct{})
		s.MkdirAll(home + "/d")
		for _, name := range []string{"a", "b", "d/c"} {
			s.WriteFile(home+"/"+name, name)
		}
	}, func(m *mount) {
		m.remote.Before = link.before
		test(m, link)
		link.set(false)
	})
}

// bounded ends before anything that waits for the link is answered.
func (m *mount) bounded() context.Context {
	ctx, cancel := context.WithTimeout(m.ctx, time.Minute)
	m.Cleanup(cancel)
	return ctx
}

// While the link is down, what is known is shown at once, beyond its TTL; what
// is not waits. After ten minutes only the root is.
func TestKnownIsShownOffline(t *testing.T) {
	bubbleOutage(t, vfs.Options{}, func(m *mount, link *outage) {
		a := m.node("a")
		d := m.node("d")
		time.Sleep(3 * time.Second) // what is read now is proven by its mtime
		m.list(vfs.RootID)
		m.read("a")
		time.Sleep(5 * ttl)
		link.set(true)
		m.costs("look-ups, attributes and a listing", 0, func() {
			for _, name := range []string{"a", "b", "d"} {
				if e, err := m.tree.Lookup(m.ctx, vfs.RootID, name); err != nil || e.Valid > 0 {
					m.Errorf("%s: %+v, %v", name, e, err)
				}
			}
			for _, id := range []vfs.NodeID{vfs.RootID, a, d} {
				if attr, err := m.tree.GetAttr(m.ctx, id, nil); err != nil || attr.Valid > 0 {
					m.Errorf("%+v, %v", attr, err)
				}
			}
			if _, err := m.tree.Lookup(m.ctx, vfs.RootID, "missing"); err != nil && vfs.KindOf(err) != conn.NotExist {
				m.Errorf("a missing name: %v", err)
			}
			m.list(vfs.RootID)
			m.read("a") // its content is here and proven
		})
		if link.wakes != 0 {
			m.Error("polling wakes")
		}
		if _, err := m.tree.OpenDir(m.bounded(), d); !errors.Is(err, context.DeadlineExceeded) {
			m.Errorf("a directory that was never listed: %v", err)
		}
		if link.wakes != 1 {
			m.Errorf("a listing that nobody has seen wakes %d times", link.wakes)
		}
		if _, err := m.tree.Lookup(m.bounded(), d, "c"); !errors.Is(err, context.DeadlineExceeded) || link.wakes != 2 {
			m.Errorf("a name that nobody has seen: %v, woken %d times", err, link.wakes)
		}
		time.Sleep(10 * time.Minute)
		if _, err := m.tree.GetAttr(m.bounded(), a, nil); !errors.Is(err, context.DeadlineExceeded) {
			m.Errorf("attributes of ten minutes ago: %v", err)
		}
		m.costs("the root", 0, func() {
			if _, err := m.tree.GetAttr(m.ctx, vfs.RootID, nil); err != nil {
				m.Error(err)
			}
		})
		link.set(false)
		m.server.WriteFile(home+"/a", "longer")
		if attr, err := m.tree.GetAttr(m.ctx, a, nil); err != nil || attr.Size != 6 {
			m.Errorf("with the link up again: %+v, %v", attr, err)
		}
	})
}

// Who waits when the link goes down gets what is known then.
func TestWaitingEndsOffline(t *testing.T) {
	bubbleOutage(t, vfs.Options{}, func(m *mount, link *outage) {
		a := m.node("a")
		m.list(vfs.RootID)
		time.Sleep(5 * ttl)
		var lost sync.WaitGroup
		for name, f := range map[string]func() error{
			"lookup":  func() error { _, err := m.tree.Lookup(m.ctx, vfs.RootID, "b"); return err },
			"getattr": func() error { _, err := m.tree.GetAttr(m.ctx, a, nil); return err },
			"root":    func() error { _, err := m.tree.GetAttr(m.ctx, vfs.RootID, nil); return err },
			"opendir": func() error {
				h, err := m.tree.OpenDir(m.ctx, vfs.RootID)
				if err == nil {
					h.Release()
				}
				return err
			},
		} {
			lost.Go(func() {
				began := time.Now()
				if err := f(); err != nil || time.Since(began) > rtt {
					m.Errorf("%s: %v after %v", name, err, time.Since(began))
				}
			})
		}
		time.Sleep(rtt / 4) // all are asked, nothing is answered
		link.set(true)
		lost.Wait()
	})
}

// With a TTL of 0 nothing that was known ever does.
func TestStrictOffline(t *testing.T) {
	bubbleOutage(t, vfs.Options{TTL: none}, func(m *mount, link *outage) {
		a := m.node("a")
		link.set(true)
		if _, err := m.tree.GetAttr(m.bounded(), a, nil); !errors.Is(err, context.DeadlineExceeded) {
			m.Errorf("ended with %v", err)
		}
	})
}

// df is answered while the link is down, and ends when it goes down.
func TestStatFSOffline(t *testing.T) {
	bubbleOutage(t, vfs.Options{}, func(m *mount, link *outage) {
		a := m.node("a")
		want, err := m.tree.StatFS(m.ctx, vfs.RootID)
		m.must(err)
		go func() {
			time.Sleep(rtt / 4)
			link.set(true)
		}()
		for _, id := range []vfs.NodeID{vfs.RootID, a} {
			began := time.Now()
			got, err := m.tree.StatFS(m.ctx, id)
			if err != nil || got != want || time.Since(began) > rtt {
				m.Errorf("%+v, %v after %v", got, err, time.Since(began))
			}
		}
	})
}

// Written bytes go into the buffer while the link is down, up to its bound; the
// next one waits, and can be interrupted.
func TestWritesOffline(t *testing.T) {
	const buffer = 1 << 20
	bubbleOutage(t, vfs.Options{CacheSize: 4 << 20, WriteBuffer: buffer}, func(m *mount, link *outage) {
		e, h, err := m.tree.Create(m.ctx, vfs.RootID, "new", conn.OpenWrite, 0o644)
		m.must(err)
		link.set(true)
		block := make([]byte, 64<<10)
		written := 0
		m.costs("writes", 0, func() {
			for written+len(block) <= buffer/2 {
				n, err := h.Write(m.ctx, block, int64(written))
				m.must(err)
				written += n
			}
		})
		for {
			n, err := h.Write(m.bounded(), block, int64(written))
			if written += n; err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					m.Errorf("beyond the buffer: %v", err)
				}
				break
			}
		}
		if written > buffer {
			m.Errorf("%d bytes were taken, the buffer has %d", written, buffer)
		}
		if attr, err := m.tree.GetAttr(m.ctx, e.Node, nil); err != nil || attr.Size < int64(written) {
			m.Errorf("%+v, %v", attr, err)
		}
		link.set(false)
		m.must(h.Flush(m.ctx))
		h.Release()
	})
}

// A sandbox found paused by a question that was asked while all seemed well: for
// what was never seen it is woken, and asked again; for what was, it is not.
func TestFoundPaused(t *testing.T) {
	for _, strict := range []bool{false, true} {
		o := vfs.Options{}
		if strict {
			o.TTL = none
		}
		bubbleOutage(t, o, func(m *mount, link *outage) {
			a, d := m.node("a"), m.node("d")
			m.list(vfs.RootID)
			for _, q := range []struct {
				what string
				ask  func() error
			}{
				{"a name never seen", func() error { _, err := m.tree.Lookup(m.ctx, d, "c"); return err }},
				{"a directory never listed", func() error {
					h, err := m.tree.OpenDir(m.ctx, d)
					if err == nil {
						h.Release()
					}
					return err
				}},
			} {
				time.Sleep(5 * ttl)
				woken := link.wakes
				m.remote.Before = func(fake.Request) error {
					if link.wakes > woken {
						link.set(false)
						return nil
					}
					link.set(true)
					return &conn.Error{Op: "connect", Kind: conn.NotConnected}
				}
				if err := q.ask(); err != nil || link.wakes == woken {
					m.Errorf("%s, strict %v: %v, woken %d times", q.what, strict, err, link.wakes-woken)
				}
			}
			woken := link.wakes
			time.Sleep(5 * ttl)
			m.remote.Before = func(fake.Request) error {
				link.set(true)
				return &conn.Error{Op: "connect", Kind: conn.NotConnected}
			}
			if _, err := m.tree.GetAttr(m.ctx, a, nil); strict != (err != nil) || link.wakes > woken {
				m.Errorf("attributes that are known, strict %v: %v, woken %d times", strict, err, link.wakes-woken)
			}
			m.remote.Before = link.before
		})
	}
}
