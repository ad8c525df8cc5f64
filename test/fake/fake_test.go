package fake_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/test/fake"
)

// What depends on each other and is started back to back costs one round trip,
// two with the open's.
func TestRoundTripsAreTheClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fake.NewServer()
		remote := server.Connect()
		defer remote.Close()
		remote.RTT = 20 * time.Millisecond
		start := time.Now()

		f, opened := remote.Open("/home/user/a", conn.OpenWrite|conn.OpenCreate, 0o644)
		f.WriteAt([]byte("hello"), 0)
		stat := f.Stat()
		f.Close()
		if _, err := opened.Wait(context.Background()); err != nil {
			t.Fatal(err)
		}
		if a, err := stat.Wait(context.Background()); err != nil || a.Size != 5 {
			t.Fatalf("stat: %+v, %v", a, err)
		}
		if d := time.Since(start); d != 40*time.Millisecond {
			t.Errorf("took %v, want two round trips", d)
		}
		if _, err := f.Stat().Wait(context.Background()); !errors.Is(err, conn.BadHandle) {
			t.Errorf("stat after close: %v", err)
		}
	})
}

func TestBeforeFailsRequests(t *testing.T) {
	server := fake.NewServer()
	server.WriteFile("/home/user/a", "hello")
	remote := server.Connect()
	defer remote.Close()
	remote.Before = func(q fake.Request) error {
		if q.Op == "read" {
			return conn.NoSpace
		}
		return nil
	}
	f, _ := remote.Open("/home/user/a", conn.OpenRead, 0)
	if _, err := f.ReadAt(make([]byte, 9), 0).Wait(context.Background()); !errors.Is(err, conn.NoSpace) {
		t.Errorf("read: %v", err)
	}
	remote.Before = nil
	if n, err := f.ReadAt(make([]byte, 9), 0).Wait(context.Background()); n != 5 || err != io.EOF {
		t.Errorf("read: %d, %v", n, err)
	}
}
