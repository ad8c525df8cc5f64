package conn

import (
	"context"
	"errors"
	"log/slog"
	"testing"
)

// deadTransport is a connection that dies before the first command, or whose
// shell does not serve commands.
type deadTransport struct {
	transport
	alive bool
	ran   int
}

func (t *deadTransport) run(context.Context, string) (string, error) {
	t.ran++
	return "", errors.New("no shell")
}

func (t *deadTransport) ping(context.Context) error {
	if t.alive {
		return nil
	}
	return errors.New("lost")
}

// A connection that is lost while it ends old sessions leaves them to the next:
// nothing may be replayed beside a session that could still carry out old bytes.
func TestFencesOutliveTheirConnection(t *testing.T) {
	for _, alive := range []bool{false, true} {
		c := &Client{o: Options{Log: slog.New(slog.DiscardHandler)}}
		c.fences = []fence{{identity{pid: 1, start: "1"}}, {identity{pid: 2, start: "2"}}}
		transport := &deadTransport{alive: alive}
		c.fenceOff(t.Context(), transport)
		want := 2
		if alive {
			want = 0 // it has no shell: nothing to wait for
		}
		if len(c.fences) != want {
			t.Errorf("alive %v: %d fences are left, want %d", alive, len(c.fences), want)
		}
	}
}
