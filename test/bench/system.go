package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/test/openssh"
	"github.com/sbxmount/sbxmount/test/process"
)

// System is one of those that are compared.
type System interface {
	Name() string
	Missing() error // why it cannot run here; nil: it can
	Does(*Work) bool

	// Start mounts site.Dir at site.Mount, or makes ready what needs no mount.
	Start(ctx context.Context, site *Site) (Session, error)
}

// Session is a System that has been started.
type Session interface {
	Do(ctx context.Context, w *Work, site *Site) error // until the server has it all
	Usage() process.Usage
	Stop() error
}

// lab is what all systems share.
type lab struct {
	server *openssh.Server
	url    string // through the link
	ssh    string // a script that runs ssh through link and bridge
	binary string // sbxmount's
	temp   string
	self   string // this program
}

// systems are all that can run here.
func systems(l *lab) []System {
	return []System{
		&mounter{lab: l, name: "sbxmount", command: l.sbxmount(), missing: l.binaryMissing},
		&mounter{lab: l, name: "async", command: l.sbxmount("--writes", "async"), deliver: l.sync, missing: l.asyncMissing},
		&mounter{lab: l, name: "sshfs", command: l.sshfs, missing: sshfsMissing},
		&sshSystem{lab: l},
		&limit{lab: l},
	}
}

// sbxmount is the command that mounts in the foreground.
func (l *lab) sbxmount(flags ...string) func(*Site) []string {
	return func(site *Site) []string {
		args := []string{l.binary, "-f", "-u", l.server.User, "-i", l.server.Identity,
			"--no-agent", "--host-key-check", "strict", "--known-hosts", l.server.KnownHosts}
		return append(append(args, flags...), l.url+":"+site.Dir, site.Mount)
	}
}

func (l *lab) binaryMissing() error {
	_, err := exec.LookPath(l.binary)
	return err
}

// asyncMissing asks the binary's own help for the mode.
func (l *lab) asyncMissing() error {
	help, err := exec.Command(l.binary, "--help").CombinedOutput()
	if err == nil && !strings.Contains(string(help), "async") {
		err = errors.New("the binary has no async mode")
	}
	return err
}

func sshfsMissing() error {
	_, err := exec.LookPath("sshfs")
	return err
}

// sync has everything delivered.
func (l *lab) sync(ctx context.Context, site *Site) error {
	return site.run(ctx, "/", "'"+l.binary+"' sync '"+site.Mount+"'")
}

// sshfs is the command for Debian's sshfs with its defaults.
func (l *lab) sshfs(site *Site) []string {
	return []string{"sshfs", "-f", "-o", "ssh_command=" + l.ssh, "sandbox:" + site.Dir, site.Mount}
}

// writeScript makes the ssh script: logged in without the user's own
// configuration, through this program's wsproxy.
func (l *lab) writeScript() error {
	quoted := make([]string, 0, 20)
	for _, arg := range append(l.server.ClientOptions(), "-o", "User="+l.server.User, "-o", "ProxyCommand='"+l.self+"' wsproxy "+l.url) {
		quoted = append(quoted, "'"+strings.ReplaceAll(arg, "'", `'\''`)+"'")
	}
	// sshfs leaves its ssh to init, so the script tells who runs.
	script := "#!/bin/sh\necho $$ >>'" + l.path(started) + "'\nexec ssh " + strings.Join(quoted, " ") + " \"$@\"\n"
	l.ssh = l.path("ssh")
	return os.WriteFile(l.ssh, []byte(script), 0o755)
}

// started is the file that ssh clients note their process ids in.
const started = "started"

func (l *lab) path(name string) string { return filepath.Join(l.temp, name) }

// clients are the processes of the ssh clients noted since the last forget.
func (l *lab) clients() (pids []int) {
	noted, _ := os.ReadFile(l.path(started))
	for word := range strings.FieldsSeq(string(noted)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(append(pids, pid), process.Descendants(pid)...)
		}
	}
	return pids
}

func (l *lab) forget() error { return os.RemoveAll(l.path(started)) }

// mounter is a system that mounts by a command in the foreground.
type mounter struct {
	*lab
	name    string
	command func(*Site) []string
	missing func() error
	deliver func(context.Context, *Site) error // nil: close has done it
}

func (m *mounter) Name() string   { return m.name }
func (m *mounter) Missing() error { return m.missing() }

// Does: a system that delivers late differs only where something is written.
func (m *mounter) Does(w *Work) bool {
	return (m.deliver == nil || w.Writes) && (m.name == "sbxmount" || !w.Cut)
}

// Start returns when the kernel shows the mount.
func (m *mounter) Start(ctx context.Context, site *Site) (Session, error) {
	if err := m.forget(); err != nil {
		return nil, err
	}
	args := m.command(site)
	p, err := process.Start(exec.Command(args[0], args[1:]...))
	if err != nil {
		return nil, err
	}
	s := &mounted{mounter: m, Process: p, point: site.Mount}
	for !isMounted(site.Mount) {
		select {
		case <-p.Ended():
			return nil, fmt.Errorf("%s does not mount: %s: %s", m.name, p.State(), p.Output())
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s does not mount: %w", m.name, ctx.Err()), s.Stop())
		case <-time.After(time.Millisecond):
		}
	}
	return s, nil
}

// mounted is a mount and the process that serves it.
type mounted struct {
	*mounter
	*process.Process
	point string
}

func (s *mounted) Do(ctx context.Context, w *Work, site *Site) error {
	if err := w.Do(ctx, site); err != nil {
		return err
	}
	if s.deliver != nil && w.Writes {
		return s.deliver(ctx, site)
	}
	return nil
}

func (s *mounted) Usage() process.Usage {
	family := append(process.Descendants(s.PID()), s.PID())
	return process.UsageOf(append(family, s.clients()...)...)
}

// Stop unmounts, by force if it has to.
func (s *mounted) Stop() error {
	defer s.Kill()
	out, err := exec.Command("fusermount3", "-u", s.point).CombinedOutput()
	if err == nil {
		select {
		case <-s.Ended():
			return nil
		case <-time.After(time.Minute):
			err = errors.New("it does not end after the unmount")
		}
	}
	if isMounted(s.point) {
		exec.Command("fusermount3", "-uz", s.point).Run()
	}
	return fmt.Errorf("%s: %w: %s", s.name, err, out)
}

func isMounted(point string) bool {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	return slices.ContainsFunc(strings.Split(string(table), "\n"), func(line string) bool {
		fields := strings.Fields(line)
		return len(fields) > 4 && fields[4] == point
	})
}
