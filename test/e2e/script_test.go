package e2e

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/openssh"
)

// fails runs a command that must end with an exit code:
//
//	exec fails 2 sbxmount ...
//	stderr 'what it says'
const fails = `#!/bin/sh
want=$1; shift
"$@"; got=$?
[ $got = $want ] || { echo "exit code $got, want $want" >&2; exit 1; }
`

// TestScripts tries bad input: each must be answered with its exit code, with
// a message, and with what to do next.
func TestScripts(t *testing.T) {
	if err := os.WriteFile(filepath.Join(filepath.Dir(binary), "fails"), []byte(fails), 0o755); err != nil {
		t.Fatal(err)
	}
	h := embeddedHost(t)
	for name, text := range map[string]string{"file": "a file\n", "dir/inside": "inside\n"} {
		if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ssh := openssh.Start(t, openssh.Options{Bridge: openssh.Own})
	noSFTP := startSandboxd(t, sandboxd.Options{NoSFTP: true, Public: true})
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			d := &desk{t: t, dir: e.WorkDir, env: deskEnv(t, e.WorkDir)}
			e.Vars = append(e.Vars, d.env...)
			e.Defer(d.clear) // before the directory is removed, through the mount if there was one
			for name, value := range map[string]string{
				"URL": h.url, "TOKEN": h.about.Token, "API": h.about.APIURL, "KEY": h.about.APIKey, "ID": h.about.ID,
				"SSH": ssh.URL, "SSHDIR": ssh.Dir, "SSHUSER": ssh.User, "IDENTITY": ssh.Identity,
				"SSHNAME": knownhosts.Normalize(ssh.Addr),
				"NOSFTP":  noSFTP.URL(), "CLOSED": closedPort(t),
			} {
				e.Setenv(name, value)
			}
			return nil
		},
	})
}

func startSandboxd(t *testing.T, o sandboxd.Options) *sandboxd.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := sandboxd.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// closedPort is an address of this machine that nobody listens at.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
