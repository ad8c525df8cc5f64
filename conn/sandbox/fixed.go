package sandbox

import (
	"context"
	"time"
)

// fixed is a Provider that knows one address and nothing else.
type fixed struct{ endpoint Endpoint }

var _ Provider = fixed{}

// Fixed returns the Provider of one address that never changes.
func Fixed(e Endpoint) Provider { return fixed{e} }

func (f fixed) Endpoint(context.Context) (Endpoint, error) { return f.endpoint.clone(), nil }

func (f fixed) State(context.Context) (State, error) { return Unknown, nil }

func (f fixed) Resume(context.Context) error { return &Error{Op: "resume", Reason: NoKey} }

func (f fixed) KeepAlive(context.Context, time.Duration) error {
	return &Error{Op: "keep alive", Reason: NoKey}
}

// clone returns a copy that its receiver may change.
func (e Endpoint) clone() Endpoint {
	if e.URL != nil {
		e.URL = new(*e.URL)
	}
	e.Header = e.Header.Clone()
	return e
}
