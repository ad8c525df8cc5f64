package vfs

import (
	"context"
	"path"
	"strings"
	"testing"
)

// sandboxLinks is a sandbox's file system for texts: a path to its link text,
// or "dir", or "file".
type sandboxLinks map[string]string

// look finds what is at p; links in p's own directories are followed, as a
// server does.
func (s sandboxLinks) look(_ context.Context, p string) (string, bool, bool, error) {
	switch v, ok := s[s.real(p)]; {
	case !ok || v == "file":
		return "", false, false, nil
	case v == "dir":
		return "", false, true, nil
	default:
		return v, true, false, nil
	}
}

func (s sandboxLinks) real(p string) string {
	cur := "/"
	for _, name := range strings.Split(strings.Trim(p, "/"), "/") {
		if v := s[cur]; v != "dir" && v != "file" && v != "" {
			if v[0] == '/' {
				cur = s.real(v)
			} else {
				cur = s.real(path.Join(path.Dir(cur), v))
			}
		}
		cur = path.Join(cur, name)
	}
	return cur
}

var box = sandboxLinks{
	"/": "dir", "/usr": "dir", "/usr/bin": "dir", "/etc": "dir", "/home": "dir",
	"/home/user": "dir", "/home/user/a": "dir", "/home/user/a/b": "dir", "/home/user/f": "file",
	"/home/user/up":   "..",
	"/home/user/self": "self",
	"/home/user/etc":  "/etc",
	"/home/user/ab":   "a/b",
	"/home/user/abc":  "ab",
	"/home/user/back": "/home/user",
	"/home/user/deep": "etc/sub/dir", // by way of a link
	"/etc/sub":        "dir", "/etc/sub/dir": "dir", "/etc/sub/up": "../sub",
}

func TestShow(t *testing.T) {
	texts := linkTexts{root: "/home/user", look: box.look}
	for _, c := range []struct {
		dir     string
		outside bool
		text    string
		want    string
	}{
		// Inside, as they are.
		{"/home/user", false, "f", "f"},
		{"/home/user", false, "./a/b/", "./a/b/"},
		{"/home/user/a", false, "../f", "../f"},
		{"/home/user/a/b", false, "../../f", "../../f"},
		{"/home/user/a", false, "b//x", "b//x"},
		{"/home/user", false, "...", "..."},
		// Absolute, inside.
		{"/home/user", false, "/home/user/f", "f"},
		{"/home/user/a/b", false, "/home/user/f", "../../f"},
		{"/home/user/a", false, "/home/user/", "../"},
		{"/home/user", false, "/home/user", "."},
		{"/home/user", false, "/home/user2/x", ".sbxmount-root/home/user2/x"},
		// Out of it.
		{"/home/user", false, "/usr/bin/python3", ".sbxmount-root/usr/bin/python3"},
		{"/home/user/a", false, "/usr/bin/python3", "../.sbxmount-root/usr/bin/python3"},
		{"/home/user", false, "/", ".sbxmount-root/"},
		{"/home/user", false, "..", ".sbxmount-root/home"},
		{"/home/user", false, "../user/f", "f"},
		{"/home/user/a", false, "../../../../../../etc/passwd", "../.sbxmount-root/etc/passwd"},
		{"/home/user", false, "/../../etc", ".sbxmount-root/etc"},
		// ".." in the middle: as the sandbox resolves it.
		{"/home/user", false, "a/../f", "f"},
		{"/home/user", false, "a/b/../../../x", ".sbxmount-root/home/x"},
		{"/home/user", false, "up/../etc/passwd", ".sbxmount-root/etc/passwd"},
		{"/home/user", false, "etc/../usr/bin", ".sbxmount-root/usr/bin"},
		{"/home/user", false, "ab/../f", "a/f"},
		{"/home/user", false, "abc/../f", "a/f"},
		{"/home/user", false, "deep/../x", "etc/sub/x"},
		{"/home/user", false, "deep/../../x", "etc/x"},
		{"/home/user", false, "deep/../../../x", ".sbxmount-root/x"},
		{"/home/user", false, "etc/sub/up/../../x", ".sbxmount-root/x"},
		{"/home/user", false, "back/back/../x", ".sbxmount-root/home/x"},
		{"/home/user", false, "missing/../../../etc", "missing/..."},
		{"/home/user", false, "f/../x", "f/..."},
		// Seen from the outside view.
		{"/usr/bin", true, "../lib/x", "../lib/x"},
		{"/usr/bin", true, "../../home/user/f", "../../home/user/f"},
		{"/usr/bin", true, "/home/user/f", "../../../f"},
		{"/usr/bin", true, "/etc/x", "../../../.sbxmount-root/etc/x"},
		{"/usr/bin", true, "../..", "../.."},
		{"/usr/bin", true, "../../../x", "../../../.sbxmount-root/x"},
		{"/home", true, "/home/user", "../.."},
		{"/usr/bin", true, "../../../../../etc", "../../../.sbxmount-root/etc"},
	} {
		got, err := texts.show(context.Background(), standing{c.dir, c.outside}, c.text)
		if err != nil || got != c.want {
			t.Errorf("%s in %s (outside %v): %q, %v; want %q", c.text, c.dir, c.outside, got, err, c.want)
		}
	}
}

func TestShowRefuses(t *testing.T) {
	texts := linkTexts{root: "/home/user", look: box.look}
	for _, text := range []string{"", "a\x00b", strings.Repeat("a", 4096), "self/../x", "/" + strings.Repeat("a/", 2046)} {
		if got, err := texts.show(context.Background(), standing{dir: "/home/user"}, text); err == nil {
			t.Errorf("%.20q is shown as %.40q", text, got)
		}
	}
}

func TestStore(t *testing.T) {
	texts := linkTexts{root: "/home/user", look: box.look}
	for text, want := range map[string]string{
		"f": "f", "../f": "../f", "/usr/bin": "/usr/bin", "..": "..",
		".sbxmount-root/usr/bin":         "/usr/bin",
		"../../.sbxmount-root/usr/bin/":  "/usr/bin/",
		"../.sbxmount-root":              "/",
		"../.sbxmount-root/":             "/",
		".sbxmount-rootless":             ".sbxmount-rootless",
		"a/.sbxmount-root/usr":           "a/.sbxmount-root/usr",
		"..//../.sbxmount-root/usr//bin": "/usr//bin",
	} {
		if got := texts.store(standing{dir: "/home/user/a"}, text); got != want {
			t.Errorf("%q is stored as %q, want %q", text, got, want)
		}
	}
}

// From the outside view, the mount's root is the mounted directory.
func TestStoreOutside(t *testing.T) {
	texts := linkTexts{root: "/home/user", look: box.look}
	for text, want := range map[string]string{
		"x": "x", "../lib": "../lib", "../../../f": "/home/user/f", "../../..": "/home/user",
		"../../../.sbxmount-root/etc": "/etc", "../../../../f": "../../../../f",
	} {
		if got := texts.store(standing{"/usr/bin", true}, text); got != want {
			t.Errorf("%q is stored as %q, want %q", text, got, want)
		}
	}
}

// A copied link comes back with the text that was copied.
func TestStoreUndoesShow(t *testing.T) {
	texts := linkTexts{root: "/home/user", look: box.look}
	for _, at := range []standing{{dir: "/home/user/a"}, {"/usr/bin", true}} {
		for _, text := range []string{"/usr/bin/python3", "/", "/etc/", "../b", "/home/user/f", "../../../etc", "/home/user"} {
			shown, err := texts.show(context.Background(), at, text)
			if err != nil {
				t.Fatal(err)
			}
			again, err := texts.show(context.Background(), at, texts.store(at, shown))
			if err != nil || again != shown {
				t.Errorf("%q is shown as %q, its copy as %q, %v", text, shown, again, err)
			}
		}
	}
}

// Whatever the text and whatever links there are: what the kernel makes of a
// shown text stays in the mount, since it never goes up further than it is
// deep, nor up behind something that may be a link.
func FuzzShow(f *testing.F) {
	for _, s := range []string{"../../etc", "/etc", "a/../../x", "up/../../..", "./.././../x", "//..//..", "a/..", "self/.."} {
		f.Add(s, uint8(2), false)
	}
	f.Fuzz(func(t *testing.T, text string, depth uint8, outside bool) {
		texts := linkTexts{root: "/home/user", look: box.look}
		at := standing{dir: "/home/user", outside: outside}
		for range depth % 8 {
			at.dir += "/d"
		}
		shown, err := texts.show(context.Background(), at, text)
		if err != nil {
			return
		}
		if ups, ok := leadingUps(shown); !ok || ups > texts.depth(at) {
			t.Fatalf("%q in %+v is shown as %q", text, at, shown)
		}
		if _, err := texts.show(context.Background(), at, texts.store(at, shown)); err != nil {
			t.Fatalf("the copy of %q, shown as %q: %v", text, shown, err)
		}
	})
}
