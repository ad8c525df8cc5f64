package conn

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace says to a copy of the test that it has a network of its own.
const inNamespace = "SBXMOUNT_TEST_NETWORK"

// An interface that comes up in a network of the test's own is told of.
func TestWatchNetwork(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestWatchNetwork$", "-test.v")
		cmd.Env = append(os.Environ(), inNamespace+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
			t.Logf("this system lets nobody make a network: %v", err)
			return
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, err := WatchNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, flags := range []uint16{unix.IFF_UP, 0} {
			setLoopback(t, flags)
			select {
			case <-changes:
			case <-time.After(10 * time.Second):
				t.Fatalf("nothing is told of flags %x", flags)
			}
		}
	}
	cancel()
	for range changes { // until it is closed
	}
}

// setLoopback sets the loopback interface's flags.
func setLoopback(t *testing.T, flags uint16) {
	t.Helper()
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	r.SetUint16(flags)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, r); err != nil {
		t.Fatal(err)
	}
}

// A burst is one event, and no event is lost: the last one comes after the last
// thing that was said.
func TestBurstsAreOneEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, kernel := io.Pipe()
		ctx, cancel := context.WithCancel(t.Context())
		changes := tellChanges(ctx, ours)
		say := func() { _, _ = kernel.Write([]byte("x")) }
		for range 50 {
			say()
			time.Sleep(4 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		if len(changes) != 1 {
			t.Errorf("%d events", len(changes))
		}
		<-changes
		events := 0
		for range 100 { // ten seconds of noise
			say()
			time.Sleep(100 * time.Millisecond)
			select {
			case <-changes:
				events++
			default:
			}
		}
		time.Sleep(time.Second)
		if len(changes) != 1 || events > 10 {
			t.Errorf("%d events in 10 s, then %d", events, len(changes))
		}
		cancel()
		<-changes
		for range changes {
		}
	})
}
