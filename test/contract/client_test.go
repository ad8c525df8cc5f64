package contract_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/contract"
	"github.com/sbxmount/sbxmount/test/openssh"
)

// clients are the SFTP clients that Options.SFTP names, with what they lack.
var clients = map[string]contract.Lacks{
	"own": {},
	"pkg": {LinkCounts: true, LinkAttrs: true},
}

// dial connects to a server for the time of a test.
func dial(t *testing.T, o conn.Options) *conn.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	c, err := conn.Dial(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return c
}

func fixed(t *testing.T, raw string) sandbox.Provider {
	t.Helper()
	target, err := sandbox.Parse(raw, sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return target.Provider
}

func TestOpenSSH(t *testing.T) {
	for name, lacks := range clients {
		for _, bridge := range []openssh.Bridge{openssh.None, openssh.Own} {
			t.Run(name+"/"+bridge.String(), func(t *testing.T) {
				contract.Run(t, func(t *testing.T) contract.Subject {
					s := openssh.Start(t, openssh.Options{Bridge: bridge})
					c := dial(t, conn.Options{
						Provider: fixed(t, s.URL), User: s.User, SFTP: name,
						Auth:     conn.AuthOptions{Identities: []string{s.Identity}},
						HostKeys: conn.HostKeyOptions{Mode: conn.HostKeyStrict, File: s.KnownHosts},
					})
					return contract.Subject{Remote: c, Dir: s.Dir, Lacks: lacks}
				})
			})
		}
	}
}

// umasks are the sandbox's: what is promised of modes holds with each.
var umasks = []uint32{0o022, 0o077}

func TestSandboxd(t *testing.T) {
	for name, lacks := range clients {
		for _, umask := range umasks {
			t.Run(fmt.Sprintf("%s/umask %03o", name, umask), func(t *testing.T) {
				contract.Run(t, func(t *testing.T) contract.Subject {
					s := start(t, sandboxd.Options{Umask: umask})
					c := dial(t, conn.Options{
						Provider: fixed(t, s.URL()), SFTP: name,
						HostKeys: conn.HostKeyOptions{File: filepath.Join(t.TempDir(), "known_hosts")},
					})
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					if _, err := c.Mkdir("/work", 0o755).Wait(ctx); err != nil {
						t.Fatal(err)
					}
					return contract.Subject{Remote: c, Dir: "/work", Lacks: lacks}
				})
			})
		}
	}
}
