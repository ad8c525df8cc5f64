package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// config is a mount as it was asked for. It travels to the daemon as JSON
// through a socket, secrets included, and is kept nowhere.
type config struct {
	Spec       string     // <sandbox>[:<dir>]
	Mountpoint string     // absolute
	Link       linkConfig // how the sandbox is reached

	CacheSize, WriteBuffer          byteSize
	JournalSize                     byteSize // in async mode
	MaxInodes, MaxOpen, MaxRequests int
	TTL                             time.Duration
	Writes                          string // "close", "through" or "async"
	Symlinks                        string // "contain" or "raw"
	NoOutside                       bool
	KeepAlive                       time.Duration

	ReadOnly, AllowOther, DefaultPermissions, NonEmpty, NoExec bool
	IDMap                                                      string // "user" or "none"
	UID, GID, Umask                                            *uint32

	Foreground bool
	Tied       bool // the daemon unmounts when the process that started it ends
	Log        logConfig
}

// linkConfig is how a sandbox is reached, by a mount or by proxy.
type linkConfig struct {
	User                 string
	Identities           []string
	HostKeyCheck         string
	KnownHosts           string
	Headers              []string
	TrafficToken         string
	CAFile               string
	URL                  string
	Port                 int
	Insecure             bool
	Resume               string // "auto" or "never"
	Timeout              time.Duration
	SFTPClient           string // "own" or "pkg"
	Interactive, NoAgent bool
}

// What the environment may say in place of a flag: what a shell's history or a
// list of processes should not show, or what is the same for every mount.
const (
	urlEnv   = "SBXMOUNT_URL"
	tokenEnv = "SBXMOUNT_TRAFFIC_TOKEN"
)

// absolute makes the paths of a config hold in any working directory.
func (c *config) absolute() error {
	paths := []*string{&c.Mountpoint, &c.Log.File}
	for _, p := range append(paths, c.Link.paths()...) {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return failed(exitUsage, "Change to a directory that exists.", "%s: %v", *p, err)
		}
		*p = abs
	}
	return nil
}

func (c *linkConfig) paths() []*string {
	paths := []*string{&c.KnownHosts, &c.CAFile}
	for i := range c.Identities {
		paths = append(paths, &c.Identities[i])
	}
	return paths
}

// prompt asks the person in front of the terminal.
type prompt func(ctx context.Context, question string) (string, error)

// dialOptions turns a linkConfig into a target and the options to dial it.
func (c *linkConfig) dialOptions(spec string, ask prompt, log *slog.Logger) (sandbox.Target, conn.Options, error) {
	header, err := parseHeaders(c.Headers)
	if err != nil {
		return sandbox.Target{}, conn.Options{}, err
	}
	trust, err := c.tls()
	if err != nil {
		return sandbox.Target{}, conn.Options{}, err
	}
	target, err := sandbox.Parse(spec, sandbox.Options{
		URLTemplate: c.URL, Port: c.Port, Header: header, TrafficToken: sandbox.Secret(c.TrafficToken),
		Insecure: c.Insecure, TLS: trust, Log: log,
	})
	if err != nil {
		return sandbox.Target{}, conn.Options{}, err
	}
	o := conn.Options{
		Provider: target.Provider, User: c.User, Timeout: c.Timeout, TLS: trust, Insecure: c.Insecure,
		SFTP: c.SFTPClient, Resume: c.Resume == "auto", Log: log,
	}
	if c.Timeout == 0 {
		o.Timeout = -1 // for ever
	}
	o.Auth.Identities, o.Auth.Agent = c.Identities, !c.NoAgent
	if len(o.Auth.Identities) == 0 {
		o.Auth.Identities = conn.DefaultIdentities()
	}
	if c.Interactive {
		o.Auth.Prompt = ask
	}
	o.HostKeys.Mode, o.HostKeys.File = conn.HostKeyMode(c.HostKeyCheck), c.KnownHosts
	return target, o, nil
}

func (c *linkConfig) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, failed(exitUsage, "Give the PEM file of the CA's certificate.", "--ca-file: %v", err)
	}
	// A private CA comes on top of the system's, since the provider's API and
	// the sandbox's endpoint need not have the same.
	if t.RootCAs, err = x509.SystemCertPool(); err != nil {
		t.RootCAs = x509.NewCertPool()
	}
	if !t.RootCAs.AppendCertsFromPEM(pem) {
		return nil, failed(exitUsage, "Give the PEM file of the CA's certificate.", "--ca-file: there is no certificate in %s", c.CAFile)
	}
	return t, nil
}

// RFC 9110, sections 5.1 and 5.5.
var (
	headerName  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	headerValue = regexp.MustCompile(`^[\t -~\x80-\xff]*$`)
)

// parseHeaders reads 'K: V' lines. A message never repeats one: it may hold a
// token.
func parseHeaders(lines []string) (http.Header, error) {
	h := http.Header{}
	for i, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		name, value = textproto.TrimString(name), textproto.TrimString(value)
		if !ok || !headerName.MatchString(name) || !headerValue.MatchString(value) {
			return nil, failed(exitUsage, "Write it as --header 'Name: value'.", "header %d is malformed", i+1)
		}
		h.Add(name, value)
	}
	return h, nil
}
