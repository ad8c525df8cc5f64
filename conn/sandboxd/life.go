package sandboxd

import "time"

// State is how the sandbox is.
type State string

// The states that the provider's API tells, and Changing between them: the API
// then answers that the sandbox is transitioning.
const (
	Running  State = "running"
	Paused   State = "paused"
	Gone     State = "gone"
	Changing State = "changing"
)

// life is a sandbox's state and how long it lasts.
type life struct {
	state   State
	started time.Time
	end     time.Time // zero: never
	changed chan struct{}
}

func (l *life) begin(now time.Time, d time.Duration) {
	l.state, l.started = Running, now
	l.changed = make(chan struct{})
	if d > 0 {
		l.end = now.Add(d)
	}
}

// set changes the state and tells the goroutine that ages the sandbox.
func (l *life) set(state State) {
	l.state = state
	l.stir()
}

func (l *life) stir() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// extend makes the sandbox live until end at least.
func (l *life) extend(end time.Time) {
	if !l.end.IsZero() && end.After(l.end) {
		l.end = end
		l.stir()
	}
}

// Pause ends all connections and stops answering dials until Resume.
func (s *Server) Pause() { s.change(Paused) }

// Resume makes a paused sandbox run again.
func (s *Server) Resume() { s.change(Running) }

// Kill ends the sandbox for good: to the API and the proxy it is unknown.
func (s *Server) Kill() { s.change(Gone) }

// Hold keeps the sandbox between two states, as while its memory is written:
// dials and the API are answered with 409. Pause, Resume or Kill end it.
func (s *Server) Hold() { s.change(Changing) }

// State returns the sandbox's state.
func (s *Server) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.state
}

// change sets the state, unless the sandbox is gone. Leaving Running resets
// the connections.
func (s *Server) change(to State) {
	s.mu.Lock()
	if s.life.state != Gone {
		s.life.set(to)
	}
	s.mu.Unlock()
	if to != Running {
		s.Drop()
	}
}

// dialled returns the state that a dial finds, after the resuming that it may
// cause.
func (s *Server) dialled() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.state == Paused && s.o.AutoResume {
		s.wake(s.o.Lifetime)
	}
	return s.life.state
}

// wake lets a paused sandbox run, for d at least. s.mu is held.
func (s *Server) wake(d time.Duration) {
	s.life.set(Running)
	if !s.life.end.IsZero() {
		s.life.end = time.Now().Add(d)
		s.life.stir()
	}
}

// age ends the sandbox's life when it is over.
func (s *Server) age() {
	for {
		s.mu.Lock()
		end, changed, state := s.life.end, s.life.changed, s.life.state
		s.mu.Unlock()
		over := time.NewTimer(time.Until(end))
		if state != Running || end.IsZero() {
			over.Stop()
		}
		select {
		case <-s.ctx.Done():
			over.Stop()
			return
		case <-changed:
			over.Stop()
		case <-over.C:
			s.expire()
		}
	}
}

func (s *Server) expire() {
	if s.o.PauseAtEnd {
		s.Pause()
	} else {
		s.Kill()
	}
}
