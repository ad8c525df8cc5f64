package hostile

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/test/faults"
)

// plausible are the lies that a client can't tell from a file that was changed:
// what the files then hold is up to the sandbox.
var plausible = []faults.Lie{
	faults.SizeHuge, faults.AttrsNone, faults.TypeSwapped, faults.EOFInstead,
}

func TestEachLie(t *testing.T) {
	t.Parallel()
	watchMemory(t)
	sideBySide(30, append(faults.Lies(), faults.VersionLies()...), func(lie faults.Lie) {
		t.Run(string(lie), func(t *testing.T) {
			w := newWorld(t)
			w.work(0, true)
			lying := faults.Lying{Lie: lie}
			if slices.Contains(faults.VersionLies(), lie) {
				lying.Op = "INIT"
			}
			w.server.SetSFTP(faults.SFTP{Lies: []faults.Lying{lying}})
			if lying.Op != "" {
				w.server.Drop() // so that there is a session to begin
			}
			w.work(1, !slices.Contains(plausible, lie))
			w.server.SetSFTP(faults.SFTP{})
			w.recovers()
			t.Logf("the longest operation took %v", time.Duration(w.worst.Load()).Round(time.Millisecond))
		})
	})
}

// sideBySide runs a test for each, several at a time though there are few
// processors: most of the time they wait.
func sideBySide[T any](several int, all []T, test func(T)) {
	queue := make(chan T)
	var workers sync.WaitGroup
	for range several {
		workers.Go(func() {
			for each := range queue {
				test(each)
			}
		})
	}
	for _, each := range all {
		queue <- each
	}
	close(queue)
	workers.Wait()
}

// recovers waits until the truth shows again.
func (w *world) recovers() {
	w.Helper()
	for deadline := time.Now().Add(2 * bound); ; {
		var got []byte
		err := w.ends("read after the lies", func(ctx context.Context) (err error) {
			got, err = w.read(ctx, "large")
			return err
		})
		if err == nil && bytes.Equal(got, content) {
			return
		}
		if time.Now().After(deadline) {
			w.Errorf("the truth does not show again: %d bytes, %v", len(got), err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestSessionsThatNeverLast: each ends before the answer comes that is waited
// for, and the next is there at once. That, too, is a link that is dead.
func TestSessionsThatNeverLast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.server.SetSFTP(faults.SFTP{Close: 2000})
	w.server.Drop()
	err := w.ends("read", func(ctx context.Context) error {
		_, err := w.read(ctx, "large")
		return err
	})
	if err == nil {
		t.Error("there was no way to read it")
	}
	w.server.SetSFTP(faults.SFTP{})
	w.server.Drop()
	w.recovers()
	t.Logf("%v after %v", err, time.Duration(w.worst.Load()))
}

// TestRandomLies mixes the lies, by seed.
func TestRandomLies(t *testing.T) {
	t.Parallel()
	watchMemory(t)
	sideBySide(6, []uint64{0, 1, 2, 3, 4, 5}, func(seed uint64) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t)
			k := faults.SFTP{Hostile: &faults.Hostile{Seed: seed, Rate: 0.05 * float64(seed+1)}}
			for i, lie := range faults.VersionLies() { // of some of the sessions that the others end
				k.Lies = append(k.Lies, faults.Lying{Match: faults.Match{Op: "INIT", Skip: 2 * i, Times: 1}, Lie: lie})
			}
			w.server.SetSFTP(k)
			end := time.Now().Add(3 * time.Second)
			for round := 1; time.Now().Before(end); round++ {
				w.work(round, false)
			}
			w.server.SetSFTP(faults.SFTP{})
			w.recovers()
		})
	})
}
