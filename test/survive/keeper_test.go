package survive_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// keeper writes files while errors are to be expected, and remembers which
// were acknowledged: fsync and close said that all is well.
type keeper struct {
	*player
	acked  map[string][]byte
	errs   []error
	failed int
}

func (s *site) newKeeper(name string) *keeper {
	return &keeper{player: s.newPlayer(s.system(), name, 7), acked: map[string][]byte{}}
}

// save makes a new file and reports whether all of it was acknowledged.
func (k *keeper) save() bool {
	k.rounds++
	name := "k" + itoa(k.rounds)
	data := k.bytes(1 + k.r.IntN(150_000))
	err := k.do("save "+name, func() error {
		f, err := k.sys.Open(k.at(name), syscall.O_CREAT|syscall.O_EXCL|syscall.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		var errs []error
		for off := 0; off < len(data); off += 32 << 10 {
			if _, err := f.WriteAt(data[off:min(off+32<<10, len(data))], int64(off)); err != nil {
				errs = append(errs, err)
			}
		}
		if k.r.IntN(2) == 0 {
			errs = append(errs, f.Sync())
		}
		return errors.Join(append(errs, f.Close())...)
	})
	if err != nil {
		k.failed++
		k.errs = append(k.errs, err)
		return false
	}
	k.acked[name] = data
	return true
}

// kept fails the test unless the server has all that was acknowledged, and
// unless each error is one of the errnos.
func (k *keeper) kept(want ...error) {
	k.Helper()
	for name, data := range k.acked {
		if got, err := os.ReadFile(k.there(name)); err != nil || !bytes.Equal(got, data) {
			k.Errorf("%s/%s was acknowledged: the server has %d bytes of %d, %v", k.dir, name, len(got), len(data), err)
		}
	}
	for _, err := range k.errs {
		if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			k.Errorf("failed with %v, want one of %v", err, want)
		}
	}
	k.Logf("%d files acknowledged, %d failed", len(k.acked), k.failed)
}

// until saves until ok, which must come to pass.
func (k *keeper) until(t testing.TB, what string, ok func(saved bool) bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		if saved := k.save(); ok(saved) || k.Failed() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func yes(saved bool) bool { return saved }
func no(saved bool) bool  { return !saved }
