package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// The socket between the command that a person typed and the daemon that it
// starts: the daemon's descriptor 3. Both send JSON values, one after another.
const handoffFD = 3

// order is what the command sends: the config first, then an answer for each
// question.
type order struct {
	Config  *config `json:"config,omitempty"`
	Answer  string  `json:"answer,omitempty"`
	Refused bool    `json:"refused,omitempty"` // nobody answers
}

// word of the daemon: one field is set.
type reply struct {
	Note    string      `json:"note,omitempty"`    // to be shown now
	Ask     string      `json:"ask,omitempty"`     // a question for the person
	Failure *failure    `json:"failure,omitempty"` // the end
	Serving *mountState `json:"serving,omitempty"` // the end, too
}

// socketPair returns two ends of a stream that exec'ed programs don't inherit.
func socketPair() (ours net.Conn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	for _, fd := range pair {
		unix.CloseOnExec(fd)
	}
	theirs = os.NewFile(uintptr(pair[1]), "handoff")
	f := os.NewFile(uintptr(pair[0]), "handoff")
	defer f.Close()
	if ours, err = net.FileConn(f); err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// starter is the daemon's end: the command that started it.
type starter struct {
	conn    net.Conn
	answers chan order
	gone    context.Context // ends when the command does

	mu  sync.Mutex // guards enc
	enc *json.Encoder
}

// errNoStarter is `serve` started by hand.
var errNoStarter = failed(exitUsage, "Mount with `sbxmount <sandbox>[:<dir>] <mountpoint>`.",
	"serve is what sbxmount starts by itself")

// meetStarter takes the socket over and reads the config.
func meetStarter() (*starter, *config, error) {
	unix.CloseOnExec(handoffFD)
	f := os.NewFile(handoffFD, "handoff")
	if f == nil {
		return nil, nil, errNoStarter
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, nil, errNoStarter
	}
	return greet(c)
}

// greet reads the config from the command's socket.
func greet(c net.Conn) (*starter, *config, error) {
	dec := json.NewDecoder(c)
	var first order
	if err := dec.Decode(&first); err != nil || first.Config == nil {
		c.Close()
		return nil, nil, errNoStarter
	}
	gone, leave := context.WithCancel(context.Background())
	s := &starter{conn: c, answers: make(chan order), gone: gone, enc: json.NewEncoder(c)}
	go func() {
		defer leave()
		for {
			var o order
			if dec.Decode(&o) != nil {
				return
			}
			select {
			case s.answers <- o:
			case <-gone.Done():
				return
			}
		}
	}()
	return s, first.Config, nil
}

// tell sends a reply; a command that is gone misses it.
func (s *starter) tell(r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.enc.Encode(r)
}

var errNobodyAnswers = errors.New("nobody is there to answer")

// ask puts a question to the person, while there is one.
func (s *starter) ask(ctx context.Context, question string) (string, error) {
	s.tell(reply{Ask: question})
	select {
	case o := <-s.answers:
		if o.Refused {
			return "", errNobodyAnswers
		}
		return o.Answer, nil
	case <-s.gone.Done():
		return "", errNobodyAnswers
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// askOnce remembers answers: a reconnect, when nobody may be there any more,
// asks the same questions.
func askOnce(ask prompt) prompt {
	var mu sync.Mutex // one question at a time; guards said
	said := map[string]string{}
	return func(ctx context.Context, question string) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if answer, ok := said[question]; ok {
			return answer, nil
		}
		answer, err := ask(ctx, question)
		if err == nil {
			said[question] = answer
		}
		return answer, err
	}
}

// ready says that the mount serves. Unless the daemon is tied to it, the
// command goes its way.
func (s *starter) ready(m mountState, tied bool) {
	s.tell(reply{Serving: &m})
	if !tied {
		s.conn.Close()
	}
}
