package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestControlAnswersItsOwner: another user, even where modes would let that one
// in, hears nothing; the owner and root do.
func TestControlAnswersItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		return // nobody here can be another user
	}
	dir := t.TempDir()
	var log strings.Builder
	asked := make(chan struct{}, 10)
	s, err := listenControl(dir, controls{status: func() status { asked <- struct{}{}; return status{} }}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Join(dir, sockName), 0o666)); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(dir) // past its parents, which others may not enter
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	sock := fmt.Sprintf("/proc/self/fd/%d/%s", open.Fd(), sockName)
	for uid, want := range map[int]bool{65534: false, 0: true} {
		c, err := connectAs(uid, sock)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(c, "GET /status HTTP/1.0\r\n\r\n")
		said, err := io.ReadAll(c)
		if heard := strings.Contains(string(said), "200 OK"); heard != want || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("user %d hears %q, %v", uid, said, err)
		}
		_ = c.Close()
	}
	s.close()
	if len(asked) != 1 || !strings.Contains(log.String(), "uid=65534") {
		t.Errorf("status was asked for %d times; the log says %q", len(asked), log.String())
	}
}

// connectAs connects as another user: a thread's own credentials count.
func connectAs(uid int, path string) (net.Conn, error) {
	type result struct {
		c   net.Conn
		err error
	}
	got := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its credentials
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			if _, _, failed := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); failed != 0 {
				err = failed
			}
		}
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
		}
		if err != nil {
			got <- result{nil, err}
			return
		}
		f := os.NewFile(uintptr(fd), path)
		defer f.Close()
		c, err := net.FileConn(f)
		got <- result{c, err}
	}()
	r := <-got
	return r.c, r.err
}
