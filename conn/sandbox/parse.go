package sandbox

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Target is a sandbox and the directory in it that somebody asked for.
type Target struct {
	Provider Provider
	ID       string // the sandbox's id; "" where a URL was given
	Dir      string // absolute, or relative to the login user's home; "" is the home
	Display  string // how to name it to its user, and to nobody else
}

// maxID keeps "65535-<id>" within a DNS label of 63 bytes.
const maxID = 57

// E2B's ids; the older form names the client that ran it, too.
var idPattern = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)?$`)

// Parse reads the command line's word for a sandbox:
//
//	<id>[:<dir>]                        E2B, or what o.URLTemplate says
//	ws://host[:port][/path][:<dir>]     a WebSocket with SSH inside; also wss://
//	ssh://[user@]host[:port][:<dir>]    an SSH server without a WebSocket
//
// In a URL the first ":" behind host and port begins the directory; one that
// belongs to the URL is written %3A. It makes no connection.
func Parse(spec string, o Options) (Target, error) {
	o = o.withDefaults()
	if strings.ContainsRune(spec, 0) {
		return Target{}, badSpec("there is a NUL byte in it")
	}
	if strings.Contains(spec, "://") {
		return parseURL(spec, o)
	}
	id, dir, _ := strings.Cut(spec, ":")
	if err := checkID(id); err != nil {
		return Target{}, err
	}
	dir, err := cleanDir(dir)
	if err != nil {
		return Target{}, err
	}
	p, err := newProvider(id, o)
	if err != nil {
		return Target{}, err
	}
	return Target{Provider: p, ID: id, Dir: dir, Display: spec}, nil
}

func badSpec(format string, a ...any) error {
	return &Error{Op: "parse", Reason: BadSpec, Err: fmt.Errorf(format, a...)}
}

// checkID tells the usual mistakes apart.
func checkID(id string) error {
	switch {
	case id == "":
		return badSpec("the id is missing: write <id> or <id>:<dir>, with the id as `e2b sandbox list` shows it")
	case strings.HasPrefix(id, "/") || strings.HasPrefix(id, "."):
		return badSpec("this is a path: the sandbox comes first, then the mount point")
	case strings.ContainsAny(id, "@."):
		return badSpec("this looks like a host name: an SSH server without a WebSocket is written ssh://[user@]host[:port]")
	case len(id) > maxID:
		return badSpec("an id has at most %d characters", maxID)
	case !idPattern.MatchString(id):
		return badSpec("an id has lower-case letters and digits only, as `e2b sandbox list` shows it")
	}
	return nil
}

// cleanDir checks a directory of the sandbox and takes the home's short form
// off it.
func cleanDir(dir string) (string, error) {
	if strings.ContainsRune(dir, 0) {
		return "", badSpec("there is a NUL byte in the directory")
	}
	if dir == "~" {
		return "", nil
	}
	if strings.HasPrefix(dir, "~") && !strings.HasPrefix(dir, "~/") {
		return "", badSpec("another user's home is written as a path: /home/<user>")
	}
	return strings.TrimPrefix(dir, "~/"), nil
}

func newProvider(id string, o Options) (Provider, error) {
	if o.Port < 1 || o.Port > 65535 {
		return nil, badSpec("port %d is not between 1 and 65535", o.Port)
	}
	if o.URLTemplate != "" {
		return fromTemplate(id, o)
	}
	return newE2B(id, o)
}

// fromTemplate fills another provider's URL template in.
func fromTemplate(id string, o Options) (Provider, error) {
	if !strings.Contains(o.URLTemplate, "{id}") {
		return nil, badSpec("the URL template has no {id} in it: write it as wss://{port}-{id}.example.com/")
	}
	filled := strings.NewReplacer("{id}", id, "{port}", strconv.Itoa(o.Port)).Replace(o.URLTemplate)
	u, rest, err := splitURL(filled)
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, badSpec("a URL template ends with its path; the directory goes behind the id")
	}
	e, err := endpointOf(u, o)
	if err != nil {
		return nil, err
	}
	e.HostKeyName = id
	return Fixed(e), nil
}

func parseURL(spec string, o Options) (Target, error) {
	u, dir, err := splitURL(spec)
	if err != nil {
		return Target{}, err
	}
	if dir, err = cleanDir(dir); err != nil {
		return Target{}, err
	}
	e, err := endpointOf(u, o)
	if err != nil {
		return Target{}, err
	}
	shown := *u
	shown.RawQuery = "" // tokens live in queries
	display := shown.String()
	if dir != "" {
		display += ":" + dir
	}
	return Target{Provider: Fixed(e), Dir: dir, Display: display}, nil
}

// splitURL takes a URL and the directory behind it apart.
func splitURL(spec string) (u *url.URL, dir string, err error) {
	scheme, rest, _ := strings.Cut(spec, "://")
	switch scheme {
	case "ws", "wss", "ssh":
	case "http", "https":
		return nil, "", badSpec("write ws:// for http:// and wss:// for https://")
	default:
		return nil, "", badSpec("the scheme is not one of ws, wss and ssh")
	}
	authority := authorityLen(rest)
	address, dir := rest, ""
	if i := strings.IndexByte(rest[authority:], ':'); i >= 0 {
		address, dir = rest[:authority+i], rest[authority+i+1:]
	}
	u, err = url.Parse(scheme + "://" + address)
	if err != nil || !validHost(u.Host) {
		// The parser's error quotes the URL, which may hold a token.
		return nil, "", badSpec("the URL's host or port is malformed: write %s://host:port", scheme)
	}
	return u, dir, nil
}

// authorityLen returns the length of [user@]host[:port] at s's beginning.
func authorityLen(s string) int {
	end := len(s)
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		end = i
	}
	host := 0
	if i := strings.IndexByte(s[:end], '@'); i >= 0 {
		host = i + 1
	}
	if i := strings.IndexByte(s[host:end], ']'); i >= 0 && s[host] == '[' {
		host += i
	}
	colon := strings.IndexByte(s[host:end], ':')
	if colon < 0 {
		return end
	}
	colon += host
	digits := colon + 1
	for digits < len(s) && s[digits] >= '0' && s[digits] <= '9' {
		digits++
	}
	isPort := digits > colon+1 && (digits == len(s) || strings.IndexByte(":/?#", s[digits]) >= 0)
	if isPort {
		return digits
	}
	return colon
}

// endpointOf checks a URL and makes it an endpoint.
func endpointOf(u *url.URL, o Options) (Endpoint, error) {
	if _, has := u.User.Password(); has {
		return Endpoint{}, badSpec("a password in a URL is seen by every user of this machine: use a key, or the prompt")
	}
	if u.Fragment != "" {
		return Endpoint{}, badSpec("a URL with a # has no meaning here")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return Endpoint{}, badSpec("port %s is not between 1 and 65535", port)
		}
	}
	if u.Scheme == "ssh" {
		return sshEndpoint(u)
	}
	if u.User != nil {
		return Endpoint{}, badSpec("the login user of a WebSocket URL is given with --user")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	name := u.Host
	if u.Port() == "" {
		name = net.JoinHostPort(u.Hostname(), map[string]string{"ws": "80", "wss": "443"}[u.Scheme])
	}
	h := o.Header.Clone()
	if o.TrafficToken != "" {
		if h == nil {
			h = make(map[string][]string)
		}
		h.Set(trafficTokenHeader, o.TrafficToken.Reveal())
	}
	return Endpoint{URL: u, Header: h, HostKeyName: name}, nil
}

func sshEndpoint(u *url.URL) (Endpoint, error) {
	if u.Path != "" || u.RawQuery != "" {
		return Endpoint{}, badSpec("the directory of an ssh:// URL comes behind a colon: ssh://host:port:/dir")
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	host := net.JoinHostPort(u.Hostname(), port)
	return Endpoint{URL: &url.URL{Scheme: "ssh", Host: host}, User: u.User.Username(), HostKeyName: host}, nil
}

// hostPattern is a DNS name with an optional port.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?(:[0-9]{1,5})?$`)

// validHost reports whether s can stand as host[:port] in a URL.
func validHost(s string) bool {
	if strings.HasPrefix(s, "[") {
		host, _, ok := strings.Cut(s[1:], "]")
		addr, err := netip.ParseAddr(host)
		return ok && err == nil && addr.Is6()
	}
	return hostPattern.MatchString(s)
}

// IsLoopback reports whether a URL's host is this machine, as far as that can
// be told without asking DNS.
func IsLoopback(u *url.URL) bool {
	host := u.Hostname()
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
