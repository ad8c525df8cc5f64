package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbxmount/sbxmount/test/openssh"
	"github.com/sbxmount/sbxmount/test/process"
)

// host is a server and the directory that is mounted from it.
type host struct {
	name   string
	url    string
	addr   string // where a link or a closed port may stand in
	dir    string // on this machine
	remote string // the same as the server calls it
	args   []string
	ssh    *openssh.Server // nil for the embedded sandbox
	about  aboutSandbox
}

func (h *host) spec() string    { return h.url + ":" + h.remote }
func (h *host) flags() []string { return slices.Clone(h.args) }

// via is the host behind another address.
func (h *host) via(addr string) *host {
	c := *h
	c.url = strings.Replace(h.url, h.addr, addr, 1)
	return &c
}

// newDir gives the host a fresh directory, for a second test on it.
func (h *host) path(names ...string) string {
	return filepath.Join(append([]string{h.dir}, names...)...)
}

// sshHost is OpenSSH behind a bridge.
func sshHost(t *testing.T, bridge openssh.Bridge) *host {
	t.Helper()
	s := openssh.Start(t, openssh.Options{Bridge: bridge})
	return &host{
		name: "openssh-" + bridge.String(), url: s.URL, addr: s.Addr, dir: s.Dir, remote: s.Dir, ssh: s,
		args: []string{"-u", s.User, "-i", s.Identity, "--known-hosts", s.KnownHosts, "--no-agent"},
	}
}

// aboutSandbox is what `sbxmount sandbox --json` prints.
type aboutSandbox struct {
	URL, SSH, Token, ID string
	APIURL              string `json:"api_url"`
	APIKey              string `json:"api_key"`
}

// embeddedHost is `sbxmount sandbox`.
func embeddedHost(t *testing.T, flags ...string) *host {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(binary, append([]string{"sandbox", "--json", filepath.Join(home, "files")}, flags...)...)
	if err := os.Mkdir(filepath.Join(home, "files"), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = deskEnv(t, home)
	p, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if err := p.Await("}\n", patience); err != nil {
		t.Fatalf("%v\n%s", err, p.Output())
	}
	h := &host{name: "embedded", dir: filepath.Join(home, "files"), remote: "/"}
	if err := json.Unmarshal([]byte(p.Output()), &h.about); err != nil {
		t.Fatalf("%v\n%s", err, p.Output())
	}
	h.url = h.about.URL
	h.addr = strings.Trim(strings.TrimPrefix(h.url, "ws://"), "/")
	h.args = []string{"--traffic-token", h.about.Token, "--no-agent"}
	return h
}

// onEachHost runs a test on each kind of server.
func onEachHost(t *testing.T, test func(t *testing.T, d *desk, h *host)) {
	t.Helper()
	for name, start := range map[string]func(*testing.T) *host{
		"websockify": func(t *testing.T) *host { return sshHost(t, openssh.Websockify) },
		"bridge":     func(t *testing.T) *host { return sshHost(t, openssh.Own) },
		"embedded":   func(t *testing.T) *host { return embeddedHost(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newDesk(t), start(t))
		})
	}
}
