package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take: generous, since it only ends what
// hangs.
const patience = 2 * time.Minute

// desk is one user's environment.
type desk struct {
	t   *testing.T
	dir string
	env []string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, dir: dir}
	d.env = deskEnv(t, dir)
	t.Cleanup(d.clear)
	return d
}

// deskEnv makes the directories of a user and the environment that names them.
func deskEnv(t testing.TB, dir string) []string {
	t.Helper()
	env := []string{
		"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C.UTF-8",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b",
	}
	for _, v := range []string{"RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME", "CACHE_HOME"} {
		p := filepath.Join(dir, strings.ToLower(v))
		if err := os.Mkdir(p, 0o700); err != nil {
			t.Fatal(err)
		}
		env = append(env, "XDG_"+v+"="+p)
	}
	return env
}

// clear ends what the test left mounted, and fails for it unless the test
// failed before.
func (d *desk) clear() {
	for _, m := range d.list() {
		if !d.t.Failed() {
			d.t.Errorf("left mounted: %s (pid %d)", m.Mountpoint, m.PID)
		}
		d.run("umount", "--force", m.Mountpoint)
	}
	d.noTraces()
}

// noTraces: no state of a mount is left.
func (d *desk) noTraces() {
	left, _ := filepath.Glob(filepath.Join(d.dir, "runtime_dir", "sbxmount", "mounts", "*"))
	if len(left) > 0 && !d.t.Failed() {
		d.t.Errorf("state is left: %v", left)
	}
	crashes, _ := filepath.Glob(filepath.Join(d.dir, "state_home", "sbxmount", "log", "*.crash"))
	for _, c := range crashes {
		if text, _ := os.ReadFile(c); len(text) > 0 {
			d.t.Errorf("the daemon crashed:\n%s", text)
		}
	}
	if d.t.Failed() {
		logs, _ := filepath.Glob(filepath.Join(d.dir, "state_home", "sbxmount", "log", "*.log"))
		for _, l := range logs {
			text, _ := os.ReadFile(l)
			d.t.Logf("%s:\n%s", filepath.Base(l), text)
		}
	}
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// command makes a command in this environment, to be ended with the test.
func (d *desk) command(name string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	d.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env, cmd.Dir = d.env, d.dir
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs the program.
func (d *desk) run(args ...string) result { return d.runCommand(d.command(binary, args...)) }

func (d *desk) runCommand(cmd *exec.Cmd) result {
	d.t.Helper()
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	e := cmd.Run()
	if e != nil && !errors.As(e, new(*exec.ExitError)) {
		d.t.Fatalf("%v: %v\n%s", cmd.Args, e, err.String())
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

// ok runs the program, which must not fail.
func (d *desk) ok(args ...string) string {
	d.t.Helper()
	r := d.run(args...)
	if r.code != 0 {
		d.t.Fatalf("sbxmount %v: exit code %d\n%s%s", args, r.code, r.out, r.err)
	}
	return r.out
}

// tool runs another program, which must not fail, and returns its output.
func (d *desk) tool(dir, name string, args ...string) string {
	d.t.Helper()
	cmd := d.command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// sh runs a shell script, which must not fail.
func (d *desk) sh(dir, script string) string {
	d.t.Helper()
	return d.tool(dir, "sh", "-ec", script)
}

// mounted is a line of list --json, and the top of status --json.
type mounted struct {
	Sandbox, Dir, Mountpoint, State string
	PID                             int
	Log                             string
	Link                            struct {
		State                   string
		Reconnects, Connections int
	}
	Content struct {
		Waiting, Cached int64
		Open            int `json:"open_files"`
	}
	Events []struct{ Message, Error, Path string }
}

func (d *desk) list() []mounted {
	d.t.Helper()
	var all []mounted
	d.decode(d.ok("list", "--json"), &all)
	return all
}

func (d *desk) status(point string) mounted {
	d.t.Helper()
	var m mounted
	d.decode(d.ok("status", "--json", point), &m)
	return m
}

func (d *desk) decode(text string, v any) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		d.t.Fatalf("%v in %s", err, text)
	}
}

// mount mounts a host's directory and returns the mount point.
func (d *desk) mount(h *host, flags ...string) string {
	d.t.Helper()
	point := filepath.Join(d.dir, "mnt-"+strings.ReplaceAll(h.name, "/", "-"))
	return d.mountAt(h, point, flags...)
}

func (d *desk) mountAt(h *host, point string, flags ...string) string {
	d.t.Helper()
	d.ok(append(append(h.flags(), flags...), h.spec(), point)...)
	return point
}

func (d *desk) umount(point string) {
	d.t.Helper()
	d.ok("umount", point)
}

// until polls a condition of a process that can only be watched.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", patience, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
