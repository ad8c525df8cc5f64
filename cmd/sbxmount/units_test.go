package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestByteSize(t *testing.T) {
	for in, want := range map[string]int64{
		"0": 0, "512": 512, "1K": 1024, "64M": 64 << 20, "64MiB": 64 << 20, "64mb": 64 << 20, "2G": 2 << 30, "1T": 1 << 40,
	} {
		var b byteSize
		if err := b.Set(in); err != nil || int64(b) != want {
			t.Errorf("%q: got %d, %v; want %d", in, b, err, want)
		}
	}
	for _, in := range []string{"", "M", "-1", "1X", "1.5G", "1KM", "99999999999999999999", "9999999999T", "0x10"} {
		var b byteSize
		if err := b.Set(in); err == nil {
			t.Errorf("%q was taken as %d", in, b)
		}
	}
}

func TestFormat(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1 MiB", 64 << 20: "64 MiB", 150 << 20: "150 MiB", 3 << 40: "3 TiB",
	} {
		if got := formatSize(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 µs", 250 * time.Microsecond: "250 µs", 1500 * time.Microsecond: "1.5 ms", 42 * time.Millisecond: "42 ms",
		2300 * time.Millisecond: "2.3 s", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s",
		90 * time.Minute: "1 h 30 min", 72 * time.Hour: "3 days", -time.Second: "-1.0 s",
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"/home/user/ä b": "/home/user/ä b", "a\x1b[2Jb": `a\x1b[2Jb`, "two\nlines": `two\nlines`, "\xff": `\xff`,
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// TestNothingMovesTheCursor: what came from a sandbox, its provider or a name
// is told on a terminal as one line of printable characters.
func TestNothingMovesTheCursor(t *testing.T) {
	const evil = "/a\x1b]0;owned\a\r\nsbxmount: all is well\u009b2J\u202egnp.exe\u2066\U000e0041\x7f\xff"
	s := status{Events: []event{{Message: "m" + evil, Error: "e" + evil, Path: evil}}}
	s.Sandbox, s.Dir, s.Mountpoint, s.Log, s.Link.LastError = evil, evil, evil, evil, evil
	s.Content.Files = []fileBytes{{Path: evil, Bytes: 1}}
	for what, show := range map[string]func(io.Writer){
		"a failure": func(w io.Writer) {
			(&failure{Message: "m" + evil, Advice: "one" + strings.ReplaceAll(evil, "\n", "") + "\ntwo"}).report(w)
		},
		"status":        func(w io.Writer) { s.print(w, time.Now()) },
		"list":          func(w io.Writer) { printList(w, []listed{{s.mountState, "up"}}) },
		"status --json": func(w io.Writer) { _ = printJSON(w, s) },
		"a note":        func(w io.Writer) { noteTo(w)(evil) },
		"a log":         func(w io.Writer) { slog.New(logHandler(w, logConfig{Format: "text"})).Warn(evil, "err", evil) },
		"a JSON log":    func(w io.Writer) { slog.New(logHandler(w, logConfig{Format: "json"})).Warn(evil, "err", evil) },
	} {
		var b bytes.Buffer
		show(&b)
		if !strings.Contains(b.String(), "owned") || strings.Contains(b.String(), "\nsbxmount: all") {
			t.Errorf("%s: %q", what, b.String())
		}
		for _, r := range b.String() {
			if r != '\n' && !strconv.IsPrint(r) {
				t.Errorf("%s writes %q: %q", what, r, b.String())
			}
		}
	}
	var again status
	var b bytes.Buffer
	_ = printJSON(&b, s)
	if err := json.Unmarshal(b.Bytes(), &again); err != nil || again.Dir != strings.ToValidUTF8(evil, "\ufffd") {
		t.Errorf("JSON that is shown reads as %q, %v", again.Dir, err)
	}
}

func TestClosest(t *testing.T) {
	words := []string{"nonempty", "allow_other", "ro", "rw", "uid", "gid", "umask", "cache_size"}
	for in, want := range map[string]string{
		"nonempti": "nonempty", "allow-other": "allow_other", "RO": "ro", "cachesize": "cache_size", "sshfs_sync": "", "guid": "uid",
	} {
		if got := closest(in, words); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}
