package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// shell is a command in the mount, with the site's paths in its environment.
//
// Nothing in this process touches the mount: the link that the mount waits for
// is in it, and a child that waited between fork and exec would stop it all, as
// threads that wait would slow it down. So the shell itself changes to the
// mount.
func shell(command string) Step {
	return func(ctx context.Context, site *Site) error {
		return site.run(ctx, site.Local, `cd "$MNT" && { `+command+"; }")
	}
}

// own is this program's hidden command io, in the mount.
func own(verb string, size int64) Step {
	return shell(fmt.Sprintf(`"$SELF" io %s %d`, verb, size))
}

// What works of a fixed size do.
const (
	saveCount     = 20
	randomThreads = 16
	randomReads   = 100 // of each thread
)

// serveIO is the hidden command: a verb, a file, and a size or count.
func serveIO(args []string) error {
	if len(args) != 3 {
		return errors.New("io: a verb, a name and a number are needed")
	}
	n, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	switch args[0] {
	case "read":
		return readBig(args[1], n)
	case "write":
		return writeBig(args[1], n)
	case "random":
		return readRandomly(args[1], n, randomThreads, randomReads)
	case "probe":
		return probeBeside(args[1], n)
	case "readers":
		return readParts(args[1], int(n))
	case "save":
		return saves(args[1], int(n))
	}
	return fmt.Errorf("io: no verb %q", args[0])
}

// run runs a shell command with all that it starts in a process group, which
// ends with ctx.
func (s *Site) run(ctx context.Context, dir, command string) error {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), gitEnv...), s.Env...)
	cmd.Env = append(cmd.Env, "LC_ALL=C", "SELF="+s.Self, "MNT="+s.Mount, "DIR="+s.Dir, "FIXTURES="+s.Fixtures, "LOCAL="+s.Local)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, bytes.TrimSpace(complaints.Bytes()))
	}
	return nil
}

// lines checks how many lines a command has written to a local file.
func lines(name string, want func(*Site) (int, error)) Step {
	return func(_ context.Context, site *Site) error {
		n, err := want(site)
		if err != nil {
			return err
		}
		out, err := os.ReadFile(filepath.Join(site.Local, name))
		if got := bytes.Count(out, []byte("\n")); err == nil && got != n {
			err = fmt.Errorf("%d lines of output, want %d: %.200s", got, n, out)
		}
		return err
	}
}

// sameTree checks that two directories hold the same, but for what is called
// except.
func sameTree(one, other func(*Site) string, except ...string) Step {
	return func(_ context.Context, site *Site) error {
		skip := "\x00" // no name
		if len(except) > 0 {
			skip = except[0]
		}
		a, errA := tree(one(site), skip)
		b, errB := tree(other(site), skip)
		if err := errors.Join(errA, errB); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(a)) {
			if got, ok := b[name]; !ok {
				return fmt.Errorf("%s is missing in %s", name, other(site))
			} else if got != a[name] {
				return fmt.Errorf("%s differs in %s: %.60q, want %.60q", name, other(site), got, a[name])
			}
		}
		if len(a) != len(b) {
			return fmt.Errorf("%d names in %s, want %d", len(b), other(site), len(a))
		}
		return nil
	}
}

// absent checks that a name is gone on the server.
func absent(name string) Step {
	return func(_ context.Context, site *Site) error {
		if _, err := os.Lstat(filepath.Join(site.Dir, name)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is still on the server (%v)", name, err)
		}
		return nil
	}
}

// cloned checks the clone on the server: whole, clean, on the right branch, and
// the same files as a clone made there.
func cloned(ctx context.Context, site *Site) error {
	err := site.run(ctx, site.Dir, `
		git -C clone fsck --strict --no-progress >"$LOCAL/fsck" 2>&1 || { cat "$LOCAL/fsck" >&2; exit 1; }
		test "$(git -C clone rev-parse HEAD)" = "$(git -C "$FIXTURES/origin" rev-parse other)" || { echo wrong commit >&2; exit 1; }
		rm -rf "$LOCAL/clone"
		git clone -q -b other "$FIXTURES/origin" "$LOCAL/clone"
		diff -r --exclude .git clone "$LOCAL/clone" >&2`)
	return err
}
