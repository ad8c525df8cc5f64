package conn

import (
	"context"
	"sync"
)

// answers are the passwords and passphrases that a person gave, kept in memory
// for reconnects, when nobody is there to ask. The nil pointer keeps none.
type answers struct {
	turn chan struct{} // taken by who asks: a person is asked one question at a time

	mu    sync.Mutex // guards given; not held while a person is asked
	given map[string]string
}

func newAnswers() *answers {
	return &answers{turn: make(chan struct{}, 1), given: make(map[string]string)}
}

// get returns the answer to a question, asking where there is none yet.
func (a *answers) get(ctx context.Context, question string, ask func(string) (string, error)) (string, error) {
	if a == nil {
		return ask(question)
	}
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return "", errPrompt
	}
	defer func() { <-a.turn }()
	a.mu.Lock()
	answer, known := a.given[question]
	a.mu.Unlock()
	if known {
		return answer, nil
	}
	answer, err := ask(question)
	if err == nil {
		a.mu.Lock()
		a.given[question] = answer
		a.mu.Unlock()
	}
	return answer, err
}

// forget drops all answers: one of them was wrong.
func (a *answers) forget() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.given)
}
