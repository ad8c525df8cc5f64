package contract_test

import (
	"context"
	"errors"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// e2bOn are options under which s is the E2B of this machine.
func e2bOn(t *testing.T, s *sandboxd.Server, key string) sandbox.Options {
	t.Helper()
	u, err := url.Parse("http://" + s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"E2B_DEBUG": "true", "E2B_API_URL": s.APIURL(), "E2B_API_KEY": key}
	return sandbox.Options{Port: port, Home: t.TempDir(), Getenv: func(k string) string { return env[k] }}
}

func optionsOf(t *testing.T, s *sandboxd.Server, key string) conn.Options {
	t.Helper()
	target, err := sandbox.Parse(s.ID(), e2bOn(t, s, key))
	if err != nil {
		t.Fatal(err)
	}
	return conn.Options{
		Provider: target.Provider,
		HostKeys: conn.HostKeyOptions{File: filepath.Join(t.TempDir(), "known_hosts")},
	}
}

func start(t *testing.T, o sandboxd.Options) *sandboxd.Server {
	t.Helper()
	o.Dir = t.TempDir()
	s, err := sandboxd.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dialReason is why DialStream fails; it must.
func dialReason(t *testing.T, o conn.Options) (conn.Reason, conn.Kind) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := conn.DialStream(ctx, o)
	if err == nil {
		_ = c.Close()
		t.Fatal("dialled")
	}
	var d *conn.DialError
	if !errors.As(err, &d) || d.Advice == "" {
		t.Fatalf("ended with %v", err)
	}
	return d.Reason, conn.KindOf(err)
}

// A sandbox without public traffic is reached by its id and an API key alone.
func TestProviderFetchesTheToken(t *testing.T) {
	s := start(t, sandboxd.Options{})
	o := optionsOf(t, s, s.APIKey())
	dial(t, o)
	if reason, _ := dialReason(t, optionsOf(t, s, "")); reason != conn.Forbidden {
		t.Errorf("without a key it ended as %v", reason)
	}
	open := start(t, sandboxd.Options{Public: true})
	dial(t, optionsOf(t, open, ""))
}

func TestProviderTellsPausedFromGone(t *testing.T) {
	s := start(t, sandboxd.Options{Public: true})
	o := optionsOf(t, s, s.APIKey())
	ctx := t.Context()
	s.Pause()
	if state, err := o.Provider.State(ctx); state != sandbox.Paused || err != nil {
		t.Errorf("%v, %v", state, err)
	}
	if reason, kind := dialReason(t, o); reason != conn.SandboxPaused || kind != conn.NotConnected {
		t.Errorf("paused: %v, %v", reason, kind)
	}
	if reason, _ := dialReason(t, optionsOf(t, s, "")); reason != conn.SandboxNotFound {
		t.Errorf("paused, without a key: %v", reason)
	}
	if s.State() != sandboxd.Paused {
		t.Fatal("a dial woke it")
	}
	if err := o.Provider.Resume(ctx); err != nil {
		t.Fatal(err)
	}
	dial(t, o)
	if err := o.Provider.KeepAlive(ctx, time.Minute); err != nil {
		t.Error(err)
	}
	s.Kill()
	if state, err := o.Provider.State(ctx); state != sandbox.Gone || err != nil {
		t.Errorf("%v, %v", state, err)
	}
	if reason, kind := dialReason(t, o); reason != conn.SandboxNotFound || kind != conn.Gone {
		t.Errorf("gone: %v, %v", reason, kind)
	}
}

func TestProviderLists(t *testing.T) {
	s := start(t, sandboxd.Options{Others: 230})
	all, err := sandbox.List(t.Context(), e2bOn(t, s, s.APIKey()))
	if err != nil || len(all) != 231 {
		t.Fatalf("%d sandboxes: %v", len(all), err)
	}
	found := false
	for _, i := range all {
		found = found || i.ID == s.ID() && i.State == sandbox.Running
	}
	if !found {
		t.Error("the sandbox itself is not listed")
	}
	if _, err := sandbox.List(t.Context(), e2bOn(t, s, "wrong")); !errors.Is(err, sandbox.Refused) {
		t.Errorf("with a wrong key: %v", err)
	}
}
