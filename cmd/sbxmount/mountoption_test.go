package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func parseOptions(t *testing.T, options ...string) (*config, error) {
	t.Helper()
	c := &config{IDMap: "user"}
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	var given []string
	mountFlags(f, c, &given)
	return c, applyOptions(c, f, options)
}

func TestOptions(t *testing.T) {
	c, err := parseOptions(t, "ro,allow_other,nosuid,nodev,_netdev,x-systemd.automount,idmap=none,uid=12,gid=13,umask=027",
		"ttl=5s,cache_size=1G,write-buffer=8M,port=99,writes=through,insecure,IdentityFile=/k,identity=/l,user=me,noexec,nonempty")
	if err != nil {
		t.Fatal(err)
	}
	if !c.ReadOnly || !c.AllowOther || !c.DefaultPermissions || !c.NoExec || !c.NonEmpty || c.IDMap != "none" {
		t.Errorf("switches: %+v", c)
	}
	if *c.UID != 12 || *c.GID != 13 || *c.Umask != 0o27 {
		t.Errorf("owners: %d %d %o", *c.UID, *c.GID, *c.Umask)
	}
	if c.TTL != 5*time.Second || c.CacheSize != 1<<30 || c.WriteBuffer != 8<<20 || c.Writes != "through" {
		t.Errorf("flags: %+v", c)
	}
	if l := c.Link; l.Port != 99 || !l.Insecure || l.User != "me" || !reflect.DeepEqual(l.Identities, []string{"/k", "/l"}) {
		t.Errorf("link: %+v", c.Link)
	}
}

// TestRootOfMount8: mount(8) passes these for a root's fstab line; they must
// neither fail nor allow anything.
func TestRootOfMount8(t *testing.T) {
	if _, err := parseOptions(t, "rw,suid,dev,exec,auto,nouser,async"); err != nil {
		t.Error(err)
	}
}

func TestRefusedOptions(t *testing.T) {
	for option, hint := range map[string]string{
		"nonempti":         "Did you mean nonempty?",
		"follow_symlink":   "The options are",
		"ro=1":             "takes no value",
		"uid":              "needs a value",
		"uid=-1":           "not a number",
		"umask=9":          "octal",
		"idmap=file":       "not one of",
		"ttl":              "needs a value",
		"ttl=fast":         "invalid",
		"foreground":       "The options are",
		"writes=sometimes": "not one of",
	} {
		_, err := parseOptions(t, option)
		f := asFailure(err)
		if f == nil || f.Code != exitUsage {
			t.Errorf("%s: %v", option, err)
			continue
		}
		name, _, _ := strings.Cut(option, "=")
		if !strings.Contains(f.Message, name) || !strings.Contains(f.Message+f.Advice, hint) {
			t.Errorf("%s: %s / %s", option, f.Message, f.Advice)
		}
	}
}

func TestSplitOptions(t *testing.T) {
	got := splitOptions(`a,b=c\,d,e\\f,`)
	if want := []string{"a", "b=c,d", `e\f`, ""}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHeaders(t *testing.T) {
	h, err := parseHeaders([]string{"X-One: 1", "x-one:2", "E2b-Sandbox-Port:  8081 "})
	if err != nil || len(h.Values("X-One")) != 2 || h.Get("E2b-Sandbox-Port") != "8081" {
		t.Errorf("%v, %v", h, err)
	}
	for _, bad := range []string{"no colon", "bad name: x", ": x", "X: a\nY: b", "X: \x00"} {
		_, err := parseHeaders([]string{bad})
		if f := asFailure(err); f == nil || f.Code != exitUsage || strings.Contains(f.Message, "Y") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzOptions(f *testing.F) {
	for _, s := range []string{"ro,uid=1", `a\,b`, "=,=", "ttl=1s,cache_size=9999999T", "x-y=z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := parseOptions(t, s); err != nil && asFailure(err).Code != exitUsage {
			t.Errorf("%q: %v", s, err)
		}
	})
}
