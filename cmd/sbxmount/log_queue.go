package main

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// queuedLines is what a log may be behind: some bursts of warnings. At a
	// hundred and some bytes a line it is a few hundred KiB.
	queuedLines = 2048
	// lastLines is how long the end of a log is waited for: a disk that is busy
	// gets it down, a pipe that nobody reads must not keep the process.
	lastLines = 2 * time.Second
)

// logQueue writes a log on a goroutine of its own. Whoever logs may hold locks
// that the whole mount waits for, and a pipe that nobody reads, a terminal that
// was stopped or a disk that hangs must not stop it: what does not fit is left
// out and counted. Write may be called by many at once, and after Close, which
// ignores it.
type logQueue struct {
	w        io.Writer
	missing  func(lines int64) // writes to w that so many were left out
	failing  func(error)       // told of each write that failed
	lines    chan []byte
	left     atomic.Int64 // lines that did not fit
	over     chan struct{}
	overOnce sync.Once
	done     chan struct{}
}

func newLogQueue(w io.Writer, missing func(lines int64), failing func(error)) *logQueue {
	q := &logQueue{
		w: w, missing: missing, failing: failing,
		lines: make(chan []byte, queuedLines), over: make(chan struct{}), done: make(chan struct{}),
	}
	go q.run()
	return q
}

// Write queues one line and never waits or fails.
func (q *logQueue) Write(line []byte) (int, error) {
	select {
	case q.lines <- bytes.Clone(line):
	default:
		q.left.Add(1)
	}
	return len(line), nil
}

func (q *logQueue) run() {
	defer close(q.done)
	for {
		select {
		case line := <-q.lines:
			q.put(line)
			continue
		default:
		}
		select {
		case line := <-q.lines:
			q.put(line)
		case <-q.over:
			if len(q.lines) == 0 {
				return
			}
		}
	}
}

// put writes a line, behind a word of those that are missing.
func (q *logQueue) put(line []byte) {
	if n := q.left.Swap(0); n > 0 {
		q.missing(n)
	}
	if _, err := q.w.Write(line); err != nil {
		q.failing(err)
	}
}

// Close writes what is queued, for some time, and ends the queue. The goroutine
// of one that hangs is left to the end of the process.
func (q *logQueue) Close() error {
	q.overOnce.Do(func() { close(q.over) })
	select {
	case <-q.done:
	case <-time.After(lastLines):
	}
	return nil
}
