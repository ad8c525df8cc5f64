package sandbox

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// DefaultPort is where the sandbox's WebSocket bridge listens in E2B's
// templates for SSH.
const DefaultPort = 8081

// Options say how sandboxes are named and reached. The zero value is E2B as
// the environment describes it.
type Options struct {
	URLTemplate  string      // another provider's endpoints, with {id} and {port}; "" is E2B
	Port         int         // the bridge's port inside of the sandbox; 0 is DefaultPort
	Header       http.Header // added to every WebSocket upgrade
	TrafficToken Secret      // for sandboxes without public traffic; "" asks the API
	Insecure     bool        // allow an API without TLS beyond this machine

	Lifetime time.Duration // how long a resumed sandbox shall live; 0 is 5 minutes, E2B's default
	TLS      *tls.Config   // for the API; nil is the system's roots
	Log      *slog.Logger  // nil logs nothing

	Getenv func(string) string // nil is os.Getenv
	Home   string              // where .e2b/config.json is; "" is the user's home directory
}

// e2bConfig is what the environment says of E2B.
type e2bConfig struct {
	domain string // "e2b.app"
	apiURL string // "https://api.e2b.app", no slash at the end
	key    Secret // "" where there is none
	debug  bool   // everything is on localhost
}

// The defaults of E2B's own tools.
const (
	defaultDomain   = "e2b.app"
	debugAPIURL     = "http://localhost:3000"
	defaultLifetime = 5 * time.Minute
)

func (o Options) withDefaults() Options {
	if o.Port == 0 {
		o.Port = DefaultPort
	}
	if o.Lifetime <= 0 {
		o.Lifetime = defaultLifetime
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Getenv == nil {
		o.Getenv = os.Getenv
	}
	return o
}

// e2b reads E2B's environment: E2B_DOMAIN, E2B_API_URL, E2B_DEBUG and
// E2B_API_KEY, else the key that `e2b auth login` left in ~/.e2b/config.json.
func (o Options) e2b() (e2bConfig, error) {
	c := e2bConfig{
		domain: o.Getenv("E2B_DOMAIN"),
		apiURL: strings.TrimRight(o.Getenv("E2B_API_URL"), "/"),
		key:    Secret(strings.TrimSpace(o.Getenv("E2B_API_KEY"))),
		debug:  isTrue(o.Getenv("E2B_DEBUG")),
	}
	if c.domain == "" {
		c.domain = defaultDomain
	}
	if !validHost(c.domain) {
		return c, badSpec("E2B_DOMAIN is not a domain: write it as e2b.app")
	}
	if c.apiURL == "" {
		c.apiURL = "https://api." + c.domain
		if c.debug {
			c.apiURL = debugAPIURL
		}
	}
	if err := checkAPIURL(c.apiURL, o.Insecure); err != nil {
		return c, err
	}
	if c.key == "" {
		c.key = o.configKey()
	}
	return c, nil
}

func isTrue(s string) bool { return strings.EqualFold(s, "true") || s == "1" }

// maxConfig bounds ~/.e2b/config.json, which holds a few hundred bytes.
const maxConfig = 64 << 10

// configKey returns the API key of ~/.e2b/config.json. A file that is missing
// or unreadable is no key: what works without one goes on working.
func (o Options) configKey() Secret {
	home := o.Home
	if home == "" {
		var err error
		if home, err = os.UserHomeDir(); err != nil {
			return ""
		}
	}
	key, err := readConfigKey(filepath.Join(home, ".e2b", "config.json"))
	if err != nil && !os.IsNotExist(err) {
		o.Log.Warn("no API key from E2B's configuration", "err", err)
	}
	return key
}

func readConfigKey(path string) (Secret, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return "", err
	}
	if len(data) > maxConfig {
		return "", fmt.Errorf("%s is over %d bytes", path, maxConfig)
	}
	var config struct {
		ProjectAPIKey string `json:"projectApiKey"`
		TeamAPIKey    string `json:"teamApiKey"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		// The decoder's message may quote the file.
		return "", fmt.Errorf("%s is not the JSON that E2B's tools write", path)
	}
	if config.ProjectAPIKey != "" {
		return Secret(config.ProjectAPIKey), nil
	}
	return Secret(config.TeamAPIKey), nil
}
