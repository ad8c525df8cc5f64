package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A log that nobody reads stops nobody, and says what is missing once somebody
// does.
func TestLogThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		var missing int64
		q := newLogQueue(w, func(lines int64) { missing += lines; fmt.Fprintln(w, "missing") }, func(error) {})
		const lines = 3 * queuedLines
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() {
				for range lines / 3 {
					if n, err := q.Write([]byte("line\n")); n != 5 || err != nil {
						t.Errorf("%d, %v", n, err)
					}
				}
			})
		}
		writers.Wait()
		began := time.Now()
		q.Close()
		if took := time.Since(began); took != lastLines {
			t.Errorf("the end took %s", took)
		}
		read := make(chan string)
		go func() {
			all, _ := io.ReadAll(r)
			read <- string(all)
		}()
		<-q.done
		w.Close()
		text := <-read
		if told := int64(strings.Count(text, "line")); told+missing != lines || missing == 0 || !strings.Contains(text, "missing") {
			t.Errorf("%d lines told, %d missing, of %d", told, missing, lines)
		}
		if _, err := q.Write([]byte("late\n")); err != nil {
			t.Error(err)
		}
	})
}

// What was logged is written when the log is closed.
func TestLogIsWritten(t *testing.T) {
	var out bytes.Buffer
	q := newLogQueue(&out, func(int64) {}, func(err error) { t.Error(err) })
	for i := range 100 {
		fmt.Fprintln(q, i)
	}
	q.Close()
	q.Close()
	if n := strings.Count(out.String(), "\n"); n != 100 || !strings.HasSuffix(out.String(), "99\n") {
		t.Errorf("%d lines", n)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A log that can't be written is told of in the status, once.
func TestLogOnFullDisk(t *testing.T) {
	past := new(history)
	q := newLogQueue(fullDisk{}, func(int64) {}, func(err error) { past.add(event{Message: "the log can't be written", Error: err.Error()}) })
	for range 3 {
		fmt.Fprintln(q, "line")
	}
	q.Close()
	if events := past.last(); len(events) != 1 || events[0].Times != 3 || !strings.Contains(events[0].Error, "no space") {
		t.Errorf("%+v", events)
	}
}
