package behave

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/fs"
	"github.com/sbxmount/sbxmount/fs/vfs"
	"github.com/sbxmount/sbxmount/test/openssh"
)

// serve is a real server: what to dial, and the directory to mount.
type serve func(t *testing.T) (o conn.Options, dir string)

func embedded(t *testing.T) (conn.Options, string) {
	server, err := sandboxd.Start(t.Context(), sandboxd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("closing the sandbox: %v", err)
		}
	})
	return conn.Options{Provider: provider(t, server.URL())}, "/"
}

func opensshBehind(b openssh.Bridge) serve {
	return func(t *testing.T) (conn.Options, string) {
		server := openssh.Start(t, openssh.Options{Bridge: b})
		return conn.Options{
			Provider: provider(t, server.URL), User: server.User,
			Auth: conn.AuthOptions{Identities: []string{server.Identity}},
		}, server.Dir
	}
}

func provider(t *testing.T, url string) sandbox.Provider {
	t.Helper()
	target, err := sandbox.Parse(url, sandbox.Options{Home: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return target.Provider
}

// dial returns a tree over a real server.
func (s serve) dial(t *testing.T, client string) (*vfs.Tree, conn.Info) {
	t.Helper()
	o, dir := s(t)
	o.SFTP, o.Log, o.HostKeys = client, logger(t), conn.HostKeyOptions{Mode: conn.HostKeyOff}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	remote, err := conn.Dial(ctx, o)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := remote.Close(ctx); err != nil {
			t.Errorf("closing the connection: %v", err)
		}
	})
	tree, err := vfs.New(ctx, vfs.Options{Remote: remote, Root: dir, TTL: time.Second, InoKey: "test", Log: o.Log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := tree.Close(ctx); err != nil {
			t.Errorf("closing the tree: %v", err)
		}
	})
	return tree, remote.Info()
}

// TestServers runs everything on real mounts over real servers.
func TestServers(t *testing.T) {
	for _, c := range []struct {
		name   string
		serve  serve
		client string
	}{
		{"embedded", embedded, "own"},
		{"embedded-pkg", embedded, "pkg"},
		{"openssh", opensshBehind(openssh.Own), "own"},
		{"openssh-pkg", opensshBehind(openssh.Own), "pkg"},
		{"openssh-websockify", opensshBehind(openssh.Websockify), "own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, info := c.serve.dial(t, c.client)
			// The servers run as the user who runs the tests.
			traits := Traits{Root: os.Geteuid() == 0, Limited: c.client == "pkg", Umask: umask()}
			dir := mount(t, tree, func(o *fs.Options) {
				o.IDMap.LoginUID, o.IDMap.LoginGID, o.IDMap.LoginKnown = info.UID, info.GID, info.OwnerKnown
			})
			k := Kernel{Root: dir}
			for _, own := range []string{"suite", "posix"} {
				if err := os.Mkdir(dir+"/"+own, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			t.Run("suite", func(t *testing.T) { Run(t, k, "suite", traits) })
			t.Run("posix", func(t *testing.T) { posix(t, dir+"/posix", traits.Limited) })
		})
	}
}
