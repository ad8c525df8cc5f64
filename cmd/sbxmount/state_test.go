package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"time"

	"github.com/sbxmount/sbxmount/conn"
)

// ownHome gives a test state directories of its own.
func ownHome(t *testing.T) (runtime, state string) {
	t.Helper()
	dir := t.TempDir()
	runtime, state = filepath.Join(dir, "run"), filepath.Join(dir, "state")
	for _, d := range []string{runtime, state} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", dir)
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("XDG_STATE_HOME", state)
	return runtime, state
}

func mustClaim(t *testing.T, point string) *claim {
	t.Helper()
	c, err := claimMountpoint(point)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClaimIsExclusive(t *testing.T) {
	ownHome(t)
	c := mustClaim(t, "/mnt/a")
	if _, err := claimMountpoint("/mnt/a"); !errors.Is(err, errClaimed) {
		t.Errorf("a second claim: %v", err)
	}
	other := mustClaim(t, "/mnt/b")
	other.release()
	c.release()
	again := mustClaim(t, "/mnt/a")
	again.release()
	if left, _ := os.ReadDir(filepath.Dir(c.dir)); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestClaimSeesOtherRoots: a mount made without XDG_RUNTIME_DIR is known to a
// process with it.
func TestClaimSeesOtherRoots(t *testing.T) {
	runtime, _ := ownHome(t)
	t.Setenv("XDG_RUNTIME_DIR", "")
	c := mustClaim(t, "/mnt/a")
	defer c.release()
	if err := c.write(mountState{Mountpoint: "/mnt/a", PID: os.Getpid()}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	if _, err := claimMountpoint("/mnt/a"); !errors.Is(err, errClaimed) {
		t.Errorf("claimed twice: %v", err)
	}
	living, err := livingMounts(func(s string) { t.Error(s) })
	if err != nil || len(living) != 1 || living[0].state.Mountpoint != "/mnt/a" {
		t.Errorf("%v, %v", living, err)
	}
}

func TestClaimsRace(t *testing.T) {
	ownHome(t)
	for range 50 {
		won := make(chan *claim, 8)
		for range cap(won) {
			go func() {
				c, err := claimMountpoint("/mnt/a")
				if err != nil && !errors.Is(err, errClaimed) {
					t.Error(err)
				}
				won <- c
			}()
		}
		var winners []*claim
		for range cap(won) {
			if c := <-won; c != nil {
				winners = append(winners, c)
			}
		}
		if len(winners) != 1 {
			t.Fatalf("%d processes have the claim", len(winners))
		}
		winners[0].release()
	}
}

func TestStateIsPrivate(t *testing.T) {
	ownHome(t)
	c := mustClaim(t, "/mnt/a")
	defer c.release()
	if err := c.write(mountState{Sandbox: "abc"}); err != nil {
		t.Fatal(err)
	}
	err := filepath.Walk(filepath.Dir(filepath.Dir(c.dir)), func(p string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v", p, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDirectoriesOfOthers: nothing is logged where somebody else could look or
// lead it elsewhere.
func TestDirectoriesOfOthers(t *testing.T) {
	for what, spoil := range map[string]func(t *testing.T, dir, elsewhere string){
		"a link": func(t *testing.T, dir, elsewhere string) {
			if err := os.Symlink(elsewhere, dir); err != nil {
				t.Fatal(err)
			}
		},
		"another user's": func(t *testing.T, dir, _ string) {
			if os.Geteuid() != 0 {
				return // nobody else can give one away
			}
			if err := errors.Join(os.MkdirAll(dir, 0o777), os.Chown(dir, 1234, 1234)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		for _, name := range []string{"sbxmount", "sbxmount/log"} {
			t.Run(what+" at "+name, func(t *testing.T) {
				_, state := ownHome(t)
				elsewhere, dir := t.TempDir(), filepath.Join(state, name)
				if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
					t.Fatal(err)
				}
				spoil(t, dir, elsewhere)
				if _, err := os.Lstat(dir); err != nil {
					return
				}
				log := openLog(logConfig{Format: "text"}, "/mnt/a", false)
				defer log.Close()
				file := log.file
				if file != "" {
					t.Errorf("it logs to %s", file)
				}
				if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
					t.Errorf("written through the link: %v", left)
				}
			})
		}
	}
}

// TestLogFilesOfOthers: a log that is a link, or another user's, is not written.
func TestLogFilesOfOthers(t *testing.T) {
	for _, name := range []string{"", ".crash"} {
		_, state := ownHome(t)
		target := filepath.Join(t.TempDir(), "target")
		file := filepath.Join(state, "sbxmount", "log", dirName("/mnt/a")+".log"+name)
		if err := errors.Join(os.WriteFile(target, nil, 0o600), os.MkdirAll(filepath.Dir(file), 0o700), os.Symlink(target, file)); err != nil {
			t.Fatal(err)
		}
		log := openLog(logConfig{Format: "text"}, "/mnt/a", false)
		log.Info("said")
		if log.Close(); log.file != "" {
			t.Errorf("it logs to %s", log.file)
		}
		if said, err := os.ReadFile(target); err != nil || len(said) != 0 {
			t.Errorf("through the link went %q, %v", said, err)
		}
		named, options := &config{}, []string{}
		mountFlags(pflag.NewFlagSet("", pflag.ContinueOnError), named, &options)
		named.Log.File = strings.TrimSuffix(file, name)
		if f := asFailure(named.check()); f == nil || f.Code != exitUsage || !strings.Contains(f.Message, "symbolic link") {
			t.Errorf("a link where --log-file writes: %v", f)
		}
		if os.Geteuid() != 0 {
			continue // nobody else can give a file away
		}
		if err := errors.Join(os.Remove(file), os.WriteFile(file, nil, 0o666), os.Chown(file, 1234, 1234)); err != nil {
			t.Fatal(err)
		}
		other := openLog(logConfig{Format: "text"}, "/mnt/a", false)
		if other.Close(); other.file != "" {
			t.Errorf("it logs to %s of another user", other.file)
		}
		if f := asFailure(named.check()); f == nil || !strings.Contains(f.Message, "another user") {
			t.Errorf("another user's where --log-file writes: %v", f)
		}
	}
}

// TestStateDirectoryOfOthers: a link, or a file, where the state should be.
func TestStateDirectoryOfOthers(t *testing.T) {
	runtime, _ := ownHome(t)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(runtime, "sbxmount")); err != nil {
		t.Fatal(err)
	}
	if c, err := claimMountpoint("/mnt/a"); err == nil {
		c.release()
		t.Error("a link was followed")
	}
	if left, _ := os.ReadDir(elsewhere); len(left) != 0 {
		t.Errorf("written through the link: %v", left)
	}
}

func TestDeadMountIsCleanedUp(t *testing.T) {
	ownHome(t)
	c := mustClaim(t, "/mnt/a")
	if err := c.write(mountState{Mountpoint: "/mnt/a", PID: 12345}); err != nil {
		t.Fatal(err)
	}
	c.lock.Close() // as the kernel does for a process that was killed
	var notes []string
	living, err := livingMounts(func(s string) { notes = append(notes, s) })
	if err != nil || len(living) != 0 {
		t.Errorf("%v, %v", living, err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "/mnt/a") || !strings.Contains(notes[0], "12345") {
		t.Errorf("told %q", notes)
	}
	if _, err := os.Stat(c.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is still there: %v", err)
	}
}

func TestStateWithGarbage(t *testing.T) {
	ownHome(t)
	c := mustClaim(t, "/mnt/a")
	defer c.release()
	if err := os.WriteFile(filepath.Join(c.dir, stateName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if all, err := allMounts(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestPreparePoint(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for point, text := range map[string]string{
		dir: "not empty", filepath.Join(dir, "file"): "not a directory", filepath.Join(dir, "file", "x"): "not a directory",
	} {
		_, err := preparePoint(point, false)
		if f := asFailure(err); f == nil || f.Code != exitMountpoint || !strings.Contains(f.Message, text) || f.Advice == "" {
			t.Errorf("%s: %v", point, err)
		}
	}
	if _, err := preparePoint(dir, true); err != nil {
		t.Errorf("nonempty: %v", err)
	}
	deep := filepath.Join(dir, "a", "b", "c")
	undo, err := preparePoint(deep, false)
	if err != nil {
		t.Fatal(err)
	}
	undo()
	if _, err := os.Stat(filepath.Join(dir, "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was made is still there: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("what was not made is gone: %v", err)
	}
}

func TestResolvePoint(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "real"), 0o700), os.Symlink("real", filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for in, want := range map[string]string{
		"link": "real", "./link/": "real", "link/sub": "real/sub", "missing": "missing", "missing/sub": "missing/sub",
	} {
		if got, err := resolvePoint(in); err != nil || got != filepath.Join(dir, want) {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestHistoryIsBounded(t *testing.T) {
	h := new(history)
	for i := range 3 * maxEvents {
		h.add(event{Time: time.Now(), Error: fmt.Sprint(i)})
	}
	if n := len(h.last()); n != maxEvents {
		t.Errorf("%d events", n)
	}
}

// TestHistoryNamesFiles: each file once, with how often it failed.
func TestHistoryNamesFiles(t *testing.T) {
	h := new(history)
	log := slog.New(remember{slog.NewTextHandler(io.Discard, nil), h})
	for i := range 20 {
		err := &conn.Error{Op: "write", Path: []string{"/a", "/b"}[i%2], Kind: conn.NoSpace}
		log.Error("a write was lost", slog.Any("error", err))
		log.Info("not for people")
	}
	all := h.last()
	if len(all) != 2 || all[0].Path != "/a" || all[1].Path != "/b" || all[1].Times != 10 {
		t.Errorf("%+v", all)
	}
	if line := all[0].line(); strings.Count(line, "/a") != 1 || !strings.Contains(line, "10 times") {
		t.Error(line)
	}
}
