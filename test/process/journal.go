package process

import (
	"bytes"
	"sync"
)

// maxJournal is what is kept of a program's output: enough for a test's
// failure, bounded for a long benchmark.
const maxJournal = 64 << 10

// journal keeps the end of what a program wrote.
type journal struct {
	mu   sync.Mutex
	text []byte        // guarded by mu
	more chan struct{} // closed at the next write; guarded by mu
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, p...)
	if extra := len(j.text) - maxJournal; extra > 0 {
		j.text = append(j.text[:0], j.text[extra:]...)
	}
	close(j.more)
	j.more = make(chan struct{})
	return len(p), nil
}

func (j *journal) end() { j.Write(nil) }

func (j *journal) look() ([]byte, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return bytes.Clone(j.text), j.more
}

func (j *journal) String() string {
	text, _ := j.look()
	return string(text)
}
