package sandbox

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bare are options that see neither this machine's environment nor its home.
func bare(t testing.TB, env map[string]string) Options {
	return Options{Getenv: func(k string) string { return env[k] }, Home: t.TempDir()}
}

func mustParse(t *testing.T, spec string, o Options) (Target, Endpoint) {
	t.Helper()
	target, err := Parse(spec, o)
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	e, err := target.Provider.Endpoint(t.Context())
	if err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return target, e
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ spec, url, user, key, dir string }{
		{"abc123", "wss://8081-abc123.e2b.app/", "", "abc123", ""},
		{"abc123:", "wss://8081-abc123.e2b.app/", "", "abc123", ""},
		{"abc123:/", "wss://8081-abc123.e2b.app/", "", "abc123", "/"},
		{"abc123:/srv/a:b c", "wss://8081-abc123.e2b.app/", "", "abc123", "/srv/a:b c"},
		{"abc123:src", "wss://8081-abc123.e2b.app/", "", "abc123", "src"},
		{"abc123:~", "wss://8081-abc123.e2b.app/", "", "abc123", ""},
		{"abc123:~/src", "wss://8081-abc123.e2b.app/", "", "abc123", "src"},
		{"abc123-9f2c", "wss://8081-abc123-9f2c.e2b.app/", "", "abc123", ""},
		{"ws://localhost:1234", "ws://localhost:1234/", "", "localhost:1234", ""},
		{"ws://localhost:1234/?token=x", "ws://localhost:1234/?token=x", "", "localhost:1234", ""},
		{"ws://localhost:1234/?token=x:/srv", "ws://localhost:1234/?token=x", "", "localhost:1234", "/srv"},
		{"wss://example.com", "wss://example.com/", "", "example.com:443", ""},
		{"wss://example.com:/srv", "wss://example.com/", "", "example.com:443", "/srv"},
		{"wss://example.com/a/b:src", "wss://example.com/a/b", "", "example.com:443", "src"},
		{"wss://[::1]:99/x:/y", "wss://[::1]:99/x", "", "[::1]:99", "/y"},
		{"ssh://box", "ssh://box:22", "", "box:22", ""},
		{"ssh://me@box:2222", "ssh://box:2222", "me", "box:2222", ""},
		{"ssh://me@box:2222:/srv", "ssh://box:2222", "me", "box:2222", "/srv"},
		{"ssh://box:/srv", "ssh://box:22", "", "box:22", "/srv"},
		{"ssh://box:src", "ssh://box:22", "", "box:22", "src"},
		{"ssh://box:22src", "ssh://box:22", "", "box:22", "22src"},
		{"ssh://[fe80::1]:/srv", "ssh://[fe80::1]:22", "", "[fe80::1]:22", "/srv"},
		{"ssh://[fe80::1]:8022:/srv", "ssh://[fe80::1]:8022", "", "[fe80::1]:8022", "/srv"},
	} {
		target, e := mustParse(t, c.spec, bare(t, nil))
		if e.URL.String() != c.url || e.User != c.user || e.HostKeyName != c.key || target.Dir != c.dir {
			t.Errorf("%s: %v, user %q, key %q, dir %q", c.spec, e.URL, e.User, e.HostKeyName, target.Dir)
		}
		if strings.Contains(target.Display, "token") {
			t.Errorf("%s is displayed as %s", c.spec, target.Display)
		}
	}
}

func TestParseErrorsSayWhatToDo(t *testing.T) {
	for spec, want := range map[string]string{
		"":                        "id is missing",
		":/srv":                   "id is missing",
		"ABC":                     "lower-case",
		"abc_def":                 "lower-case",
		"abc-":                    "lower-case",
		"abc-d-e":                 "lower-case",
		"/home/me":                "path",
		"./x":                     "path",
		"me@box":                  "ssh://",
		"box.example.com":         "ssh://",
		strings.Repeat("a", 58):   "57 characters",
		"abc\x00":                 "NUL",
		"abc:~root":               "another user",
		"http://x":                "ws://",
		"ftp://x":                 "ws, wss and ssh",
		"ws://":                   "host",
		"ws://a b":                "host",
		"ws://-x":                 "host",
		"ws://h:99999/":           "65535",
		"ws://h:0/":               "65535",
		"wss://me:secret@h":       "password",
		"wss://me@h":              "--user",
		"wss://h/#x":              "#",
		"ssh://me:secret@h":       "password",
		"ssh://h/srv":             "ssh://host:port:/dir",
		"ssh://h?x":               "ssh://host:port:/dir",
		"ws://[::1":               "host",
		"ws://evil\r\nX: y/":      "host",
		"ssh://":                  "host",
		"wss://%zz/":              "host",
		"ssh://exa%6dple.com:x@y": "password",
	} {
		_, err := Parse(spec, bare(t, nil))
		if !errors.Is(err, BadSpec) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", spec, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: a secret in the error: %v", spec, err)
		}
	}
}

func TestTemplate(t *testing.T) {
	o := bare(t, nil)
	o.URLTemplate, o.Port = "wss://{port}.{id}.example.com/x?i={id}", 99
	o.Header, o.TrafficToken = http.Header{"X-A": {"b"}}, "tok"
	target, e := mustParse(t, "abc:/d", o)
	if e.URL.String() != "wss://99.abc.example.com/x?i=abc" || e.HostKeyName != "abc" || target.Dir != "/d" || target.ID != "abc" {
		t.Errorf("%v, %q", e.URL, e.HostKeyName)
	}
	if e.Header.Get("X-A") != "b" || e.Header.Get("E2b-Traffic-Access-Token") != "tok" {
		t.Errorf("header %v", e.Header)
	}
	for _, bad := range []string{"wss://example.com/", "https://{id}/", "{id}", "wss://{id}:/dir"} {
		o.URLTemplate = bad
		if _, err := Parse("abc", o); !errors.Is(err, BadSpec) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	o.URLTemplate, o.Port = "ssh://{id}", 70000
	if _, err := Parse("abc", o); !errors.Is(err, BadSpec) {
		t.Errorf("port 70000: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env    map[string]string
		url    string
		apiURL string
	}{
		{map[string]string{"E2B_DOMAIN": "example.dev"}, "wss://8081-abc.example.dev/", "https://api.example.dev"},
		{map[string]string{"E2B_DEBUG": "true"}, "ws://localhost:8081/", "http://localhost:3000"},
		{map[string]string{"E2B_API_URL": "https://x.test/api/"}, "wss://8081-abc.e2b.app/", "https://x.test/api"},
	} {
		target, e := mustParse(t, "abc", bare(t, c.env))
		if p := target.Provider.(*e2b); e.URL.String() != c.url || p.config.apiURL != c.apiURL {
			t.Errorf("%v: %v, %s", c.env, e.URL, p.config.apiURL)
		}
	}
	for _, env := range []map[string]string{
		{"E2B_DOMAIN": "a b"}, {"E2B_DOMAIN": "a/b"}, {"E2B_API_URL": "http://example.com"},
		{"E2B_API_URL": "ftp://example.com"}, {"E2B_API_URL": "https://u:p@example.com"}, {"E2B_API_URL": "://"},
	} {
		if _, err := Parse("abc", bare(t, env)); !errors.Is(err, BadSpec) {
			t.Errorf("%v: %v", env, err)
		}
	}
	o := bare(t, map[string]string{"E2B_API_URL": "http://example.com"})
	o.Insecure = true
	if _, err := Parse("abc", o); err != nil {
		t.Error(err)
	}
}

func TestKeyOfE2BsTools(t *testing.T) {
	for data, want := range map[string]string{
		`{"projectApiKey":"p","teamApiKey":"t"}`: "p",
		`{"teamApiKey":"t"}`:                     "t",
		`{`:                                      "",
		`[]`:                                     "",
		strings.Repeat(" ", maxConfig+1):         "",
	} {
		o := bare(t, nil)
		_ = os.Mkdir(filepath.Join(o.Home, ".e2b"), 0o700)
		if err := os.WriteFile(filepath.Join(o.Home, ".e2b", "config.json"), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		target, err := Parse("abc", o)
		if err != nil {
			t.Fatal(err)
		}
		if got := target.Provider.(*e2b).config.key.Reveal(); got != want {
			t.Errorf("the key is %q, not %q", got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"abc:/x", "ssh://u@h:22:/d", "wss://[::1]:9/p?q:/d", "ws://h:x", "ssh://@", "ws://]:["} {
		f.Add(s)
	}
	o := Options{Getenv: func(string) string { return "" }, Home: f.TempDir()}
	f.Fuzz(func(t *testing.T, spec string) {
		target, err := Parse(spec, o)
		if err != nil {
			return
		}
		e, err := target.Provider.Endpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !validHost(e.URL.Host) || e.URL.User != nil || strings.ContainsRune(target.Dir, 0) {
			t.Errorf("%q became %v and %q", spec, e.URL, target.Dir)
		}
	})
}
