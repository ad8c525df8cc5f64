package conn

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

// WatchNetwork tells when this machine's network has changed: an address or a
// route came, went or became another. What a change of place does comes in a
// burst, of which one event is made, settled after it. The channel is for
// Options.NetworkChanges; it is closed when ctx has ended, or when the kernel
// tells no more.
func WatchNetwork(ctx context.Context) (<-chan struct{}, error) {
	socket, err := routeSocket()
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return tellChanges(ctx, os.NewFile(uintptr(socket), "routes")), nil
}

const (
	// settled is waited for after a change: what belongs to it, as an address
	// and its routes, comes within some milliseconds.
	settled = 250 * time.Millisecond
	// calm is the shortest time between two events. Each costs a round trip
	// while the link is up, and an attempt to connect while it is down.
	calm = time.Second
)

// tellChanges makes events of what is read from the kernel, of which nothing
// matters but that it was said. It closes socket.
func tellChanges(ctx context.Context, socket io.ReadCloser) <-chan struct{} {
	said, events := make(chan struct{}, 1), make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	go func() {
		defer close(said)
		defer stop()
		for buf := make([]byte, 64<<10); ; {
			_, err := socket.Read(buf)
			if err != nil && !errors.Is(err, syscall.ENOBUFS) { // more was said than it kept
				_ = socket.Close()
				return
			}
			select {
			case said <- struct{}{}:
			default:
			}
		}
	}()
	go func() {
		defer close(events)
		for range said {
			if !rest(ctx, settled) {
				return
			}
			select {
			case <-said:
			default:
			}
			select {
			case events <- struct{}{}:
			default: // the last one was not taken yet
			}
			if !rest(ctx, calm-settled) {
				return
			}
		}
	}()
	return events
}

// rest waits and reports whether ctx goes on.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
