package behave

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Programs that use a mount in ways that would stop this process, which serves
// it, run as children: this binary with childVar set to what to do.
const childVar = "BEHAVE_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childVar); what != "" {
		if err := children[what](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var children = map[string]func(args []string) error{
	"mmap-sum":   mmapSum,
	"mmap-write": mmapWrite,
	"lock":       lockAndWait,
	"read":       readThroughSignals,
}

func child(ctx context.Context, what string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVar+"="+what)
	return cmd
}

// runChild returns what the child printed.
func runChild(t *testing.T, what string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := child(ctx, what, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", what, args, err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// mmapSum prints the SHA-256 of a file, read through a mapping from its last
// page to its first.
func mmapSum(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	defer unix.Munmap(p)
	var last byte
	for at := len(p) - 1; at >= 0; at -= os.Getpagesize() {
		last ^= p[at]
	}
	fmt.Printf("%x\n", sha256.Sum256(p))
	return nil
}

// mmapWrite writes a text at an offset of a file through a shared mapping, and
// closes the descriptor first, as many programs do.
func mmapWrite(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	p, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("mmap: %w", err)
	}
	var off int
	if _, err := fmt.Sscan(args[1], &off); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	copy(p[off:], args[2])
	if args[3] == "msync" {
		if err := unix.Msync(p, unix.MS_SYNC); err != nil {
			return fmt.Errorf("msync: %w", err)
		}
	}
	return unix.Munmap(p)
}

// lockAndWait locks a file the way that is asked for, says so, and holds the
// lock until its input ends.
func lockAndWait(args []string) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if args[1] == "flock" {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	} else {
		err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	}
	if errors.Is(err, unix.EAGAIN) {
		fmt.Println("taken")
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Println("locked")
	os.Stdin.Read(make([]byte, 1))
	return nil
}

// readThroughSignals prints its thread, and what one read(2) of it returns,
// while a signal comes that it catches.
func readThroughSignals(args []string) error {
	runtime.LockOSThread()
	signal.Notify(make(chan os.Signal, 64), syscall.SIGUSR1)
	fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	fmt.Println(unix.Gettid())
	p := make([]byte, 100)
	n, err := unix.Read(fd, p)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	fmt.Printf("%s\n", p[:n])
	return nil
}
