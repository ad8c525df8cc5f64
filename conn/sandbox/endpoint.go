package sandbox

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"
)

// Endpoint is where a sandbox's SSH server is reached at one moment.
type Endpoint struct {
	URL         *url.URL    // scheme ws, wss or ssh (with a host and a port)
	Header      http.Header // for the WebSocket's upgrade; may hold secrets
	User        string      // login user; empty where the endpoint names none
	HostKeyName string      // what the SSH host key is filed under: an id or host:port
}

// LogValue logs the scheme alone: a sandbox's host name holds its id.
func (e Endpoint) LogValue() slog.Value {
	if e.URL == nil {
		return slog.StringValue("none")
	}
	return slog.StringValue(e.URL.Scheme)
}

// State is what a provider says of a sandbox.
type State uint8

// The states. Unknown is the answer where nobody can be asked.
const (
	Unknown State = iota
	Running
	Paused
	Gone
)

func (s State) String() string {
	switch s {
	case Running:
		return "running"
	case Paused:
		return "paused"
	case Gone:
		return "gone"
	}
	return "unknown"
}

// Provider knows where one sandbox is and how it lives. Its methods may be
// called by several goroutines at once; each ends with its context, and within
// about ten seconds a request where the provider does not answer. Errors are
// *Error, or the context's.
type Provider interface {
	// Endpoint says where to dial now: host and token may have changed since
	// the last time. It never wakes a paused sandbox and ends with IsPaused
	// for one that is known to be paused. Up to 2 requests to the API, none
	// without an API key.
	Endpoint(ctx context.Context) (Endpoint, error)

	// State says how the sandbox is, Unknown without an API key. It never
	// wakes it. 1 request.
	State(ctx context.Context) (State, error)

	// Resume wakes a paused sandbox and returns when it runs; for a running
	// one it makes sure of its lifetime. It waits while the sandbox is
	// changing. NoKey where nobody can be asked. 1 request, more while waiting.
	Resume(ctx context.Context) error

	// KeepAlive makes the sandbox live for at least d from now, as far as its
	// provider allows, and never shortens its life. It does not wake it. NoKey
	// where nobody can be asked. 1 request.
	KeepAlive(ctx context.Context, d time.Duration) error
}
