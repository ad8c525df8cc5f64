package fs_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/sbxmount/sbxmount/fs"
)

// While a server does not answer, so many requests wait for it and no more;
// then all is as before.
func TestRequestsAreBounded(t *testing.T) {
	const most, programs = 4, 10
	w := newWorld(t, nil, func(o *fs.Options) { o.MaxRequests = most })
	for i := range programs {
		w.server.WriteFile(fmt.Sprint("/home/user/", i), "x")
	}
	for i := range programs {
		if _, err := os.Stat(fmt.Sprint(w.dir, "/", i)); err != nil {
			t.Fatal(err)
		}
	}
	arrived, release := w.hold("open")
	t.Cleanup(release)
	opened := make(chan error, programs)
	for i := range programs {
		go func() {
			f, err := os.OpenFile(fmt.Sprint(w.dir, "/", i), os.O_WRONLY, 0)
			if err == nil {
				err = f.Close()
			}
			opened <- err
		}()
	}
	await(t, "request", arrived)
	for range programs - most {
		if err := <-opened; !errors.Is(err, syscall.ENOMEM) {
			t.Errorf("one too many: %v", err)
		}
	}
	if now, bound := w.mount.Requests(); now != most || bound != most {
		t.Errorf("%d of %d requests", now, bound)
	}
	release()
	for range most {
		if err := <-opened; err != nil {
			t.Error(err)
		}
	}
	if now, _ := w.mount.Requests(); now != 0 {
		t.Errorf("%d requests are left", now)
	}
}
