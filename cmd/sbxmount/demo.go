package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/spf13/cobra"
)

func demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "See it work: an embedded sandbox, a mount, a short tour",
		Args:  exactArgs(0, "demo"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), cmd.OutOrStdout())
		},
	}
}

// tour is a demo under way. Everything that it makes is below dir.
type tour struct {
	w       io.Writer
	dir     string
	sandbox *sandboxd.Server
	about   *embedded
	daemon  *child
	data    []byte // of the big files
}

// demo shows a mount at work and leaves nothing behind, however it ends.
func demo(ctx context.Context, w io.Writer) (err error) {
	t := &tour{w: w}
	if t.dir, err = os.MkdirTemp("", "sbxmount-demo-"); err != nil {
		return err
	}
	defer func() {
		if e := t.cleanUp(); err == nil {
			err = e
		}
	}()
	if t.dir, err = filepath.EvalSymlinks(t.dir); err != nil {
		return err
	}
	for _, stop := range []func(context.Context) error{
		t.begin, t.look, t.save, t.search, t.bulk, t.status, t.leave,
	} {
		if err := stop(ctx); err != nil {
			if ctx.Err() != nil {
				return failed(exitInterrupted, "", "interrupted; cleaned up")
			}
			return err
		}
	}
	return nil
}

// project is what the demo's sandbox has in its home.
var project = map[string]string{
	"README.md":       "# A project on a sandbox\n\nMade by the demo.\n",
	"src/main.py":     "from greet import greet\n\nprint(greet(\"slow world\"))\n",
	"src/greet.py":    "def greet(whom):\n    return \"hello, \" + whom\n",
	"notes/today.txt": "remember: sshfs was slow\n",
}

// dataset is a big file that the sandbox has from the beginning.
const dataset = "notes/dataset.bin"

func (t *tour) remote() string { return filepath.Join(t.dir, "sandbox") }
func (t *tour) local() string  { return filepath.Join(t.dir, "mnt") }

// begin starts the sandbox and mounts it.
func (t *tour) begin(ctx context.Context) (err error) {
	for name, text := range project {
		path := filepath.Join(t.remote(), name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	t.data = make([]byte, bulkBytes)
	rand.Read(t.data)
	if err := os.WriteFile(filepath.Join(t.remote(), dataset), t.data, 0o644); err != nil {
		return err
	}
	t.say("A sandbox of our own: WebSocket, SSH and SFTP over %s.", t.remote())
	// Its life ends in cleanUp, after the mount's.
	if t.sandbox, t.about, err = startSandbox(context.WithoutCancel(ctx), sandboxd.Options{Dir: t.remote()}); err != nil {
		return err
	}
	began := time.Now()
	c := &config{
		Spec: t.about.URL, Mountpoint: t.local(), Tied: true, IDMap: "user",
		CacheSize: defaultCache, WriteBuffer: defaultWriteBuffer, TTL: defaultTTL,
		Link: linkConfig{
			TrafficToken: t.about.Token, KnownHosts: filepath.Join(t.dir, "known_hosts"),
			NoAgent: true, Timeout: defaultTimeout, Port: 1,
		},
		Log: logConfig{File: filepath.Join(t.dir, "log")},
	}
	fmt.Fprintf(t.w, "\n$ sbxmount %s mnt\n", t.about.URL)
	if t.daemon, err = spawn(ctx, c, t.w); err != nil {
		return err
	}
	t.took(began)
	return nil
}

func (t *tour) look(ctx context.Context) error {
	t.say("Its files are here, with their owner, modes and times.")
	return errors.Join(t.shell(ctx, "ls -l mnt mnt/src"), t.shell(ctx, "cat mnt/src/greet.py"))
}

func (t *tour) save(ctx context.Context) error {
	t.say("Save a file as an editor does: a new one, then a rename over the old one.")
	if err := t.shell(ctx, "sed s/slow/fast/ mnt/src/main.py > mnt/src/main.py~ && mv mnt/src/main.py~ mnt/src/main.py"); err != nil {
		return err
	}
	t.say("What the sandbox has now, looked at without the mount:")
	return t.shell(ctx, "cat sandbox/src/main.py")
}

func (t *tour) search(ctx context.Context) error {
	t.say("Something new on the sandbox shows here, a second later (--ttl).")
	return errors.Join(
		t.shell(ctx, "echo 'print(\"slow again\")' > sandbox/src/new.py; sleep 1"),
		t.shell(ctx, "grep -rnI slow mnt"),
	)
}

// bulkBytes is big enough to show a rate and small enough for a laptop's disk.
const bulkBytes = 64 << 20

// bulk writes a big file and compares what arrived, then reads the one that
// the sandbox has from the beginning.
func (t *tour) bulk(ctx context.Context) error {
	t.say("%s, written, synced, and compared with what arrived:", formatSize(bulkBytes))
	began := time.Now()
	if err := writeSynced(filepath.Join(t.local(), "big.bin"), t.data); err != nil {
		return err
	}
	t.rate("written and synced", began)
	arrived, err := os.ReadFile(filepath.Join(t.remote(), "big.bin"))
	if err != nil {
		return err
	}
	if !bytes.Equal(arrived, t.data) {
		return failed(exitNotDelivered, "This is a bug: please report it.", "the sandbox has other bytes than were written")
	}
	fmt.Fprintf(t.w, "  same bytes on the sandbox: sha256 %.16x…\n", sha256.Sum256(arrived))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	began = time.Now()
	read, err := os.ReadFile(filepath.Join(t.local(), dataset))
	if err != nil {
		return err
	}
	t.rate("as much read", began)
	if !bytes.Equal(read, t.data) {
		return failed(exitFailed, "This is a bug: please report it.", "other bytes were read than the sandbox has")
	}
	return ctx.Err()
}

func writeSynced(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (t *tour) status(ctx context.Context) error {
	m, err := findMount(t.local(), noteTo(t.w))
	if err != nil {
		return err
	}
	s, err := m.status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(t.w, "\n$ sbxmount status mnt\n")
	s.print(t.w, time.Now())
	return nil
}

func (t *tour) leave(ctx context.Context) error {
	fmt.Fprintf(t.w, "\n$ sbxmount umount mnt\n")
	began := time.Now()
	if err := umount(ctx, t.local(), false, t.w); err != nil {
		return err
	}
	t.took(began)
	fmt.Fprintf(t.w, "\nThat was all. The same with a real sandbox: sbxmount <id> ~/mnt\n")
	return nil
}

// cleanUp takes everything away. It has its own time: the tour's may be over.
func (t *tour) cleanUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*forcedWithin)
	defer cancel()
	if t.daemon != nil {
		if m, err := findMount(t.local(), func(string) {}); err == nil {
			_ = umountNow(ctx, m)
		}
		t.daemon.abandon()
	}
	if t.sandbox != nil {
		t.sandbox.Close()
	}
	// Only an empty mount point can be removed: nothing below a mount that is
	// still there is ever deleted through it.
	if err := os.Remove(t.local()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return failed(exitMountpoint, "Take it away with `sbxmount umount --force "+t.local()+"`.", "%v", err)
	}
	return os.RemoveAll(t.dir)
}

func (t *tour) say(format string, a ...any) { fmt.Fprintf(t.w, "\n"+format+"\n", a...) }

func (t *tour) took(began time.Time) { fmt.Fprintf(t.w, "  (%s)\n", formatDuration(time.Since(began))) }

func (t *tour) rate(what string, began time.Time) {
	d := time.Since(began)
	fmt.Fprintf(t.w, "  %s in %s, %s/s\n", what, formatDuration(d), formatSize(int64(bulkBytes/d.Seconds())))
}

// shell runs a command line in the demo's directory and shows it, its output
// and its time.
func (t *tour) shell(ctx context.Context, line string) error {
	fmt.Fprintf(t.w, "\n$ %s\n", line)
	began := time.Now()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir = t.dir
	out, err := cmd.CombinedOutput()
	for l := range strings.Lines(string(out)) {
		fmt.Fprintf(t.w, "  %s", plain(strings.TrimSuffix(l, "\n"))+"\n")
	}
	t.took(began)
	if err != nil {
		return failed(exitFailed, "", "%s: %v", line, err)
	}
	return nil
}
