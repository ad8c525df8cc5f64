package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// serveControls opens a control socket for a test.
func serveControls(t *testing.T, dir string, c controls) *mountRef {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := listenControl(dir, c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return &mountRef{dir: dir, state: mountState{Mountpoint: "/mnt/a", PID: 1}}
}

func TestControl(t *testing.T) {
	forced := make(chan bool, 2)
	for name, dir := range map[string]string{
		"short": filepath.Join(t.TempDir(), "c"),
		"long":  filepath.Join(t.TempDir(), strings.Repeat("long/", 40)),
	} {
		t.Run(name, func(t *testing.T) {
			m := serveControls(t, dir, controls{
				status: func() status { return status{mountState: mountState{Sandbox: "abc"}, Link: linkStatus{State: "up"}} },
				sync: func(context.Context) *failure {
					return failed(exitNotDelivered, "advice", "%s waits", "3 KiB")
				},
				unmount: func(_ context.Context, force bool) *failure { forced <- force; return nil },
			})
			s, err := m.status(t.Context())
			if err != nil || s.Sandbox != "abc" || s.Link.State != "up" {
				t.Errorf("status: %+v, %v", s, err)
			}
			var f *failure
			if err := m.do(t.Context(), "/sync"); !errors.As(err, &f) || f.Code != exitNotDelivered || f.Advice != "advice" {
				t.Errorf("sync: %v", err)
			}
			if err := m.do(t.Context(), "/unmount"); err != nil || <-forced {
				t.Errorf("unmount: %v", err)
			}
			if err := m.do(t.Context(), "/unmount?force"); err != nil || !<-forced {
				t.Errorf("forced unmount: %v", err)
			}
			if err := m.call(t.Context(), http.MethodGet, "/unmount", &f); err == nil {
				t.Error("GET unmounts")
			}
			info, err := os.Stat(filepath.Join(dir, sockName))
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("socket: %v, %v", info, err)
			}
		})
	}
}

// TestControlAfterACrash: a socket that nobody listens at is in the way.
func TestControlAfterACrash(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, sockName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := serveControls(t, dir, controls{status: func() status { return status{} }})
	if _, err := m.status(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDaemonThatHangs: a command that asks one must not hang with it.
func TestDaemonThatHangs(t *testing.T) {
	hang := make(chan struct{})
	m := serveControls(t, t.TempDir(), controls{
		sync: func(ctx context.Context) *failure { <-ctx.Done(); close(hang); return nil },
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.do(ctx, "/sync"); err == nil {
		t.Error("answered")
	}
	<-hang // the daemon is told that nobody waits any more
}
