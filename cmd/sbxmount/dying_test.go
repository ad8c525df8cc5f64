package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dyingDaemon is a claim whose lock outlives its process for a moment, as the
// kernel lets go of files only after a killed daemon's last thread.
func dyingDaemon(t *testing.T, pid int) *claim {
	t.Helper()
	ownHome(t)
	c := mustClaim(t, "/mnt/a")
	t.Cleanup(func() { c.lock.Close() })
	if err := c.write(mountState{Mountpoint: "/mnt/a", PID: pid}); err != nil {
		t.Fatal(err)
	}
	return c
}

// letsGoSoon releases the lock while somebody waits for that; the tests hold
// also where it is released before.
func letsGoSoon(t *testing.T, c *claim) {
	t.Helper()
	released := make(chan struct{})
	time.AfterFunc(100*time.Millisecond, func() { c.lock.Close(); close(released) })
	t.Cleanup(func() { <-released })
}

// listenIn opens a socket in a directory whose path may be too long for one.
func listenIn(t *testing.T, dir, name string) net.Listener {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), name))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	return l
}

// zombie is a process that ended and that nobody has waited for.
func zombie(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	awaitEnd(cmd.Process.Pid)
	return cmd.Process.Pid
}

// awaitEnd hangs where a process that ends is not seen to.
func awaitEnd(pid int) {
	for !processEnded(pid) {
		time.Sleep(time.Millisecond)
	}
}

// TestSweepWaitsForTheDying: what is still locked though its process is dead is
// no living mount.
func TestSweepWaitsForTheDying(t *testing.T) {
	c := dyingDaemon(t, zombie(t))
	letsGoSoon(t, c)
	var notes []string
	living, dead, err := sweep(func(s string) { notes = append(notes, s) })
	if err != nil || len(living) != 0 || len(dead) != 1 || len(notes) != 1 {
		t.Errorf("living %v, dead %v, told %q, %v", living, dead, notes, err)
	}
}

// TestUmountOfTheDying: a daemon that ends before it takes the request is one
// that was found dead, whatever it is asked.
func TestUmountOfTheDying(t *testing.T) {
	for name, listen := range map[string]func(t *testing.T, c *claim){
		"refused": func(t *testing.T, c *claim) {
			serveControls(t, c.dir, controls{})
			listenIn(t, c.dir, "other").Close()
			if err := os.Rename(filepath.Join(c.dir, "other"), filepath.Join(c.dir, sockName)); err != nil {
				t.Fatal(err)
			}
		},
		"reset": func(t *testing.T, c *claim) {
			l := listenIn(t, c.dir, sockName)
			t.Cleanup(func() { l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conn.Close()
				}
			}()
		},
	} {
		for what, ask := range map[string]func(w *strings.Builder) error{
			"umount": func(w *strings.Builder) error { return umount(t.Context(), "/mnt/a", false, w) },
			"force":  func(w *strings.Builder) error { return umount(t.Context(), "/mnt/a", true, w) },
			"sync":   func(w *strings.Builder) error { return syncMount(t.Context(), "/mnt/a", w) },
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				c := dyingDaemon(t, os.Getpid()) // a living process: the socket alone tells
				listen(t, c)
				letsGoSoon(t, c)
				var said strings.Builder
				err := ask(&said)
				if !strings.Contains(said.String(), "ended without unmounting") {
					t.Errorf("said %q", said.String())
				}
				f := asFailure(err)
				if what == "sync" && (f == nil || f.Code != exitMountpoint) || what != "sync" && err != nil {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// TestDeathAtWork: a daemon that took the request and died may have lost data.
func TestDeathAtWork(t *testing.T) {
	for what, force := range map[string]bool{"umount": false, "force": true} {
		t.Run(what, func(t *testing.T) {
			c := dyingDaemon(t, os.Getpid())
			serveControls(t, c.dir, controls{unmount: func(context.Context, bool) *failure {
				letsGoSoon(t, c)
				panic(http.ErrAbortHandler) // hangs up
			}})
			err := umount(t.Context(), "/mnt/a", force, new(strings.Builder))
			if f := asFailure(err); f == nil || f.Code != exitNotDelivered || !strings.Contains(f.Message, "ended without unmounting") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestEndedForSomebodyElse: a daemon that took the request and then ended in
// order lost nothing.
func TestEndedForSomebodyElse(t *testing.T) {
	c := dyingDaemon(t, os.Getpid())
	serveControls(t, c.dir, controls{unmount: func(context.Context, bool) *failure {
		c.release()
		panic(http.ErrAbortHandler)
	}})
	err := umount(t.Context(), "/mnt/a", false, new(strings.Builder))
	if f := asFailure(err); f == nil || f.Code != exitMountpoint {
		t.Errorf("%v", err)
	}
}

// TestUnreachableDaemon: one that lives and can't be asked is not cleaned up.
func TestUnreachableDaemon(t *testing.T) {
	dyingDaemon(t, os.Getpid())
	err := umount(t.Context(), "/mnt/a", false, new(strings.Builder))
	if f := asFailure(err); f == nil || f.Code != exitFailed || !strings.Contains(f.Advice, "--force") {
		t.Errorf("%v", err)
	}
}

// TestBuryIsForTheDead: a daemon that ended in order between two looks is not
// told as a crash.
func TestBuryIsForTheDead(t *testing.T) {
	c := dyingDaemon(t, os.Getpid())
	m := &mountRef{dir: c.dir}
	if err := m.read(); err != nil {
		t.Fatal(err)
	}
	c.release()
	if note := m.bury(); note != "" {
		t.Errorf("told %q", note)
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left: %v", err)
	}
}

func TestProcessEnded(t *testing.T) {
	if processEnded(os.Getpid()) {
		t.Error("this one has")
	}
	pid := zombie(t)
	if !processEnded(pid) {
		t.Error("a zombie lives")
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	if processEnded(cmd.Process.Pid) {
		t.Error("a process that sleeps has")
	}
	_ = cmd.Process.Kill()
	awaitEnd(cmd.Process.Pid)
	_, _ = syscall.Wait4(pid, nil, 0, nil)
	if !processEnded(pid) {
		t.Error("one that is gone lives")
	}
}
