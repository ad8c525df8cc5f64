package conn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeyChecker decides on the host key of one SSH server. Keys are filed in
// a known_hosts file of our own under the sandbox's id, since every sandbox
// answers at addresses that come and go.
type hostKeyChecker struct {
	mode  HostKeyMode
	path  string
	name  string // as in known_hosts, without its port where that is 22
	match ssh.HostKeyCallback

	known     []ssh.PublicKey // filed under name
	elsewhere []ssh.PublicKey // filed under name without its port
	ca        bool            // an @cert-authority line holds for either
}

func newHostKeyChecker(o HostKeyOptions, name string) (*hostKeyChecker, error) {
	if o.Name != "" {
		name = o.Name
	}
	c := &hostKeyChecker{mode: o.Mode, name: knownhosts.Normalize(name), path: o.File}
	if c.mode == HostKeyOff {
		return c, nil
	}
	if c.path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, dialFailed(NotConnected, HostKeyUnknown, err)
		}
		c.path = filepath.Join(dir, "sbxmount", "known_hosts")
	}
	return c, c.read()
}

// address is the name in the form that x/crypto asks for: with a port.
func (c *hostKeyChecker) address() string {
	if _, _, err := net.SplitHostPort(c.name); err == nil {
		return c.name
	}
	return net.JoinHostPort(strings.Trim(c.name, "[]"), "22")
}

// portless is the name without its port, under which ssh looks as well. A key
// that is filed there may vouch for the server, but not contradict it.
func (c *hostKeyChecker) portless() string {
	host, _, err := net.SplitHostPort(c.address())
	if err != nil {
		return c.address()
	}
	return net.JoinHostPort(host, "22")
}

// read takes the file in: what it says of name.
func (c *hostKeyChecker) read() error {
	c.known, c.elsewhere, c.ca, c.match = nil, nil, false, unknownHost
	data, err := readBounded(c.path, maxKnownHosts)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		c.match, err = knownhosts.New(c.path)
	}
	if err != nil {
		return dialFailed(NotConnected, HostKeyUnknown, err).
			advised("Mend or remove " + c.path + "; a new one is made.")
	}
	lines := bytes.Split(data, []byte("\n"))
	c.known, c.ca = c.filed(c.address(), lines)
	if portless := c.portless(); portless != c.address() {
		var ca bool
		c.elsewhere, ca = c.filed(portless, lines)
		c.ca = c.ca || ca
	}
	return nil
}

// filed returns the keys under an address, and whether there is an authority.
func (c *hostKeyChecker) filed(address string, lines [][]byte) (keys []ssh.PublicKey, ca bool) {
	var found *knownhosts.KeyError
	if !errors.As(c.match(address, nowhere, noKey{}), &found) {
		return nil, false
	}
	for _, k := range found.Want {
		if k.Line <= len(lines) && bytes.HasPrefix(bytes.TrimLeft(lines[k.Line-1], " \t"), []byte("@cert-authority")) {
			ca = true
		} else {
			keys = append(keys, k.Key)
		}
	}
	return keys, ca
}

// maxKnownHosts bounds the file: some ten thousand sandboxes.
const maxKnownHosts = 4 << 20

// nowhere stands for the server's address, which x/crypto wants and which says
// nothing of a sandbox.
var nowhere net.Addr = &net.TCPAddr{IP: net.IPv4zero}

func unknownHost(string, net.Addr, ssh.PublicKey) error { return &knownhosts.KeyError{} }

// noKey is a key that equals no other: asking for it lists what is filed.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// algorithms returns the host key algorithms to ask for: those of the keys that
// are filed first, so that a server with several keys shows the one we know;
// certificates only where an authority for them is filed.
func (c *hostKeyChecker) algorithms() []string {
	var known, others []string
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		switch {
		case strings.Contains(a, "-cert-"):
			if c.ca {
				known = slices.Insert(known, 0, a)
			}
		case slices.ContainsFunc(slices.Concat(c.known, c.elsewhere), func(k ssh.PublicKey) bool { return signs(k, a) }):
			known = append(known, a)
		default:
			others = append(others, a)
		}
	}
	return append(known, others...)
}

// signs reports whether a key makes signatures of an algorithm.
func signs(key ssh.PublicKey, algorithm string) bool {
	if key.Type() == ssh.KeyAlgoRSA {
		return algorithm == ssh.KeyAlgoRSASHA256 || algorithm == ssh.KeyAlgoRSASHA512
	}
	return key.Type() == algorithm
}

// check accepts or refuses the key that a server showed, with an error for the
// user. A new key is filed.
func (c *hostKeyChecker) check(ctx context.Context, key ssh.PublicKey) error {
	if c.mode == HostKeyOff {
		return nil
	}
	err := c.match(c.address(), nowhere, key)
	var unknown *knownhosts.KeyError
	switch {
	case err == nil, c.match(c.portless(), nowhere, key) == nil && len(c.known) == 0:
		return nil
	case !errors.As(err, &unknown):
		return c.refuse(HostKeyChanged, key, err)
	case len(c.known) > 0:
		return c.refuse(HostKeyChanged, key, nil)
	case c.mode == HostKeyStrict:
		return c.refuse(HostKeyUnknown, key, nil)
	}
	return c.file(ctx, key)
}

// refuse makes the error of a key that is not taken.
func (c *hostKeyChecker) refuse(reason Reason, key ssh.PublicKey, err error) error {
	if err == nil {
		err = fmt.Errorf("the server shows %s %s", key.Type(), ssh.FingerprintSHA256(key))
	}
	advice := "If you know the key, add it to " + c.path + ", or let it be accepted with --host-key-check accept-new."
	if reason == HostKeyChanged {
		advice = fmt.Sprintf("Somebody may be in between, or the sandbox's template was rebuilt. If it was, forget the old key: ssh-keygen -R '%s' -f %s",
			c.name, c.path)
	}
	return dialFailed(NotConnected, reason, err).advised(advice)
}
