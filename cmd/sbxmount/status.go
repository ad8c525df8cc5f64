package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// status is what a daemon tells of its mount: the JSON of `sbxmount status`.
// Fields are added, never renamed.
type status struct {
	mountState
	Link    linkStatus    `json:"link"`
	Content contentStatus `json:"content"`
	Limits  limitStatus   `json:"limits"`
	Events  []event       `json:"events"` // the last warnings and errors, oldest first
}

// linkStatus is the connection's side.
type linkStatus struct {
	State       string    `json:"state"`
	Since       time.Time `json:"since"`
	RTT         float64   `json:"rtt_ms"`
	Reconnects  int       `json:"reconnects"`
	Connections int       `json:"connections"`
	Lanes       int       `json:"lanes"`
	BytesIn     int64     `json:"bytes_in"`
	BytesOut    int64     `json:"bytes_out"`
	InFlight    int       `json:"in_flight"`
	LastError   string    `json:"last_error,omitempty"`
}

// contentStatus is the files' side. Sizes are bytes.
type contentStatus struct {
	Cached      int64       `json:"cached"`
	CacheSize   int64       `json:"cache_size"`
	Waiting     int64       `json:"waiting"` // written here, not acknowledged there
	WriteBuffer int64       `json:"write_buffer"`
	Files       []fileBytes `json:"files,omitempty"` // what waits, by file
	Lost        int64       `json:"lost"`            // failed, and reported to the programs that wrote it
	Behind      int         `json:"behind"`          // changes of names that nobody waits for, not acknowledged
	Refused     int64       `json:"refused"`         // of those, not carried out so far
	Names       int         `json:"names"`
	OpenFiles   int         `json:"open_files"`
	Unusable    int64       `json:"unusable_names"` // left out of listings
}

// limitStatus is what the process has of what it may have.
type limitStatus struct {
	Inodes        int   `json:"inodes"`
	MaxInodes     int   `json:"max_inodes"`
	Open          int   `json:"open"` // files and directories
	MaxOpen       int   `json:"max_open"`
	Requests      int   `json:"requests"` // of programs, being answered
	MaxRequests   int   `json:"max_requests"`
	Goroutines    int   `json:"goroutines"`
	MaxGoroutines int   `json:"max_goroutines"` // follows from the requests
	Memory        int64 `json:"memory"`         // bytes
	MaxMemory     int64 `json:"max_memory"`     // follows from the cache, the inodes and the requests
	Journal       int64 `json:"journal"`        // bytes on the local disk
	MaxJournal    int64 `json:"max_journal"`    // 0: there is none
}

// fileBytes are some bytes of one file.
type fileBytes struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
}

// shownFiles is how many files a person wants to read of.
const shownFiles = 10

// print shows a status to a person.
func (s status) print(w io.Writer, now time.Time) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, a ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, a...)) }
	fmt.Fprintf(w, "%s on %s\n", plain(s.Sandbox), plain(s.Mountpoint))
	row("  directory", "%s", plain(s.Dir))
	row("  link", "%s", s.Link.describe(now))
	row("  traffic", "%s in, %s out", formatSize(s.Link.BytesIn), formatSize(s.Link.BytesOut))
	row("  waiting", "%s", s.Content.waiting())
	if s.Content.Behind > 0 {
		row("  behind", "%s not acknowledged yet", count(s.Content.Behind, "change", "changes"))
	}
	if s.Content.Refused > 0 {
		row("  refused", "%s that the sandbox did not carry out", count(int(s.Content.Refused), "change", "changes"))
	}
	if s.Content.Lost > 0 {
		row("  lost", "%s could not be written; the programs were told", formatSize(s.Content.Lost))
	}
	row("  cache", "%s of %s", formatSize(s.Content.Cached), formatSize(s.Content.CacheSize))
	row("  limits", "%s", s.Limits)
	if s.Content.Unusable > 0 {
		row("  left out", "%d names that no local file can have", s.Content.Unusable)
	}
	row("  daemon", "pid %d, up %s, log %s", s.PID, formatDuration(now.Sub(s.Started)), plain(orNone(s.Log)))
	t.Flush()
	printFiles(w, s.Content.Files)
	for _, e := range s.Events {
		fmt.Fprintf(w, "  %s  %s\n", e.Time.Local().Format("15:04:05"), e.line())
	}
}

func (l linkStatus) describe(now time.Time) string {
	text := l.State
	if !l.Since.IsZero() {
		text += " for " + formatDuration(now.Sub(l.Since))
	}
	if l.RTT > 0 {
		text += ", round trip " + formatDuration(time.Duration(l.RTT*float64(time.Millisecond)))
	}
	text += ", " + count(l.Connections, "connection", "connections") + " with " + count(l.Lanes, "lane", "lanes")
	if l.Reconnects > 0 {
		text += ", " + count(l.Reconnects, "reconnect", "reconnects")
	}
	if l.LastError != "" {
		text += "; last: " + plain(l.LastError)
	}
	return text
}

func (l limitStatus) String() string {
	text := fmt.Sprintf("%d of %d inodes, %d of %d open, %d of %d requests, %s of %s memory, %d of %d goroutines",
		l.Inodes, l.MaxInodes, l.Open, l.MaxOpen, l.Requests, l.MaxRequests,
		formatSize(l.Memory), formatSize(l.MaxMemory), l.Goroutines, l.MaxGoroutines)
	if l.MaxJournal > 0 {
		text += fmt.Sprintf(", %s of %s journal", formatSize(l.Journal), formatSize(l.MaxJournal))
	}
	return text
}

func (c contentStatus) waiting() string {
	if c.Waiting == 0 && c.Behind == 0 {
		return "nothing: everything written is on the sandbox"
	}
	return formatSize(c.Waiting) + " of " + formatSize(c.WriteBuffer)
}

func printFiles(w io.Writer, files []fileBytes) {
	for i, f := range files {
		if i == shownFiles {
			fmt.Fprintf(w, "  waiting: %s more\n", count(len(files)-i, "file", "files"))
			return
		}
		fmt.Fprintf(w, "  waiting: %s of %s\n", formatSize(f.Bytes), f.name())
	}
}

// name is the file's for a person.
func (f fileBytes) name() string {
	if f.Path == "" {
		return "a deleted file"
	}
	return plain(f.Path)
}

func (e event) line() string {
	text := plain(e.Message)
	if e.Path != "" && !strings.Contains(e.Error, e.Path) {
		text += " " + plain(e.Path)
	}
	if e.Times > 1 {
		text += fmt.Sprintf(" (%d times)", e.Times)
	}
	if e.Error != "" {
		text += ": " + plain(e.Error)
	}
	return text
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
