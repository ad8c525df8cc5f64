package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"gopkg.in/natefinch/lumberjack.v2"
)

// logConfig is where and how a mount logs.
type logConfig struct {
	Verbose int // 1 debug, 2 every request, too
	File    string
	Format  string // "text" or "json"
}

// Bounds of the log on disk: some days of a mount with trouble.
const (
	logMegabytes = 10
	logFiles     = 3 // beside the one that is written
	logDays      = 30
)

// mountLog is a mount's log, and what it said of errors.
type mountLog struct {
	*slog.Logger
	past  *history
	file  string // "": standard error
	queue *logQueue
}

// openLog makes a mount's log. It never holds a secret, and the sandbox's id at
// debug level alone. One that can't be written to, or is slow, is no reason to
// fail or to wait: the status says so.
func openLog(c logConfig, point string, foreground bool) *mountLog {
	var w io.Writer = os.Stderr
	if c.File == "" && !foreground {
		if home, err := stateHome(); err == nil && privateDir(home) == nil && privateDir(filepath.Join(home, "log")) == nil {
			c.File = filepath.Join(home, "log", dirName(point)+".log")
		}
		if ownFile(c.File) != nil || ownFile(crashFile(c.File)) != nil {
			c.File = ""
		}
	}
	if c.File != "" {
		// lumberjack keeps a file's mode and makes new ones 0600.
		w = &lumberjack.Logger{Filename: c.File, MaxSize: logMegabytes, MaxBackups: logFiles, MaxAge: logDays}
		keepCrashes(crashFile(c.File))
	}
	past := new(history)
	direct := slog.New(logHandler(w, c))
	queue := newLogQueue(w, func(lines int64) {
		direct.Warn("the log could not keep up: lines were left out", "lines", lines)
	}, func(err error) {
		past.add(event{Time: time.Now(), Message: "the log can't be written", Error: err.Error()})
	})
	return &mountLog{slog.New(remember{logHandler(queue, c), past}), past, c.File, queue}
}

// Close writes the rest of the log.
func (l *mountLog) Close() {
	l.queue.Close()
	if l.file != "" {
		dropCrashFile(l.file)
	}
}

// logHandler writes the log in its format: in either, what a sandbox said moves
// no cursor.
func logHandler(w io.Writer, c logConfig) slog.Handler {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if c.Verbose > 0 {
		o.Level = slog.LevelDebug
	}
	if c.Format == "json" {
		return slog.NewJSONHandler(harmless{w}, o)
	}
	return slog.NewTextHandler(w, o) // which quotes what can't be printed
}

// crashFile is where the runtime writes a panic to, since a daemon has no
// terminal.
func crashFile(log string) string { return log + ".crash" }

func keepCrashes(path string) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close() // the runtime keeps a descriptor of its own
	_ = debug.SetCrashOutput(f, debug.CrashOptions{})
}

// dropCrashFile removes it where nothing was written.
func dropCrashFile(log string) {
	if info, err := os.Stat(crashFile(log)); err == nil && info.Size() == 0 {
		os.Remove(crashFile(log))
	}
}

// event is a warning or an error, as status shows it.
type event struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
	Error   string    `json:"error,omitempty"`
	Path    string    `json:"path,omitempty"`  // of the file, on the sandbox
	Times   int       `json:"times,omitempty"` // how often, where it was more than once; Time is the last
}

func (e event) same(other event) bool {
	return e.Message == other.Message && e.Error == other.Error && e.Path == other.Path
}

// maxEvents is what fits on a screen.
const maxEvents = 10

// history keeps the last warnings and errors.
type history struct {
	mu     sync.Mutex // guards events; a leaf
	events []event
}

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	// A file that fails at each write must not push the others out.
	if i := slices.IndexFunc(h.events, e.same); i >= 0 {
		e.Times = max(h.events[i].Times, 1) + 1
		h.events = slices.Delete(h.events, i, i+1)
	}
	h.events = append(h.events, e)
	if len(h.events) > maxEvents {
		h.events = append([]event(nil), h.events[1:]...)
	}
}

func (h *history) last() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]event{}, h.events...)
}

// remember is a slog.Handler that gives warnings and errors to a history, too.
type remember struct {
	slog.Handler
	past *history
}

func (r remember) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level >= slog.LevelWarn {
		e := event{Time: rec.Time, Message: rec.Message}
		rec.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "err", "error":
				e.Error = a.Value.String()
				var about *conn.Error
				if err, ok := a.Value.Any().(error); ok && errors.As(err, &about) {
					e.Path = about.Path
				}
			}
			return true
		})
		r.past.add(e)
	}
	return r.Handler.Handle(ctx, rec)
}

func (r remember) WithAttrs(attrs []slog.Attr) slog.Handler {
	return remember{r.Handler.WithAttrs(attrs), r.past}
}

func (r remember) WithGroup(name string) slog.Handler {
	return remember{r.Handler.WithGroup(name), r.past}
}
