package sandbox

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// e2b is the Provider of one E2B sandbox. Without an API key it knows the
// address that E2B gives every sandbox, and nothing else.
type e2b struct {
	id     string // as it was given
	apiID  string // without the client of the older form
	o      Options
	config e2bConfig
	api    *api

	mu     sync.Mutex // guards what the API last told; held for no request
	domain string     // "" : the configuration's
	token  Secret     // "" : none needed, or not known
}

var _ Provider = (*e2b)(nil)

func newE2B(id string, o Options) (*e2b, error) {
	c, err := o.e2b()
	if err != nil {
		return nil, err
	}
	apiID, _, _ := strings.Cut(id, "-")
	return &e2b{id: id, apiID: apiID, o: o, config: c, api: newAPI(c, o), token: o.TrafficToken}, nil
}

// detail is the API's answer about one sandbox, as far as it is used.
type detail struct {
	State   string `json:"state"`
	Domain  string `json:"domain"`
	Network struct {
		AllowPublicTraffic *bool `json:"allowPublicTraffic"`
	} `json:"network"`
}

// Endpoint asks the API where the sandbox is; it is dialled at its usual
// address where the API has nothing to say, since a sandbox with public
// traffic needs no API.
func (p *e2b) Endpoint(ctx context.Context) (Endpoint, error) {
	defer p.api.rest()
	d, err := p.detail(ctx, "state")
	switch {
	case errors.Is(err, NoKey):
	case errors.Is(err, NotFound):
		return Endpoint{}, err
	case err != nil:
		if ctx.Err() != nil {
			return Endpoint{}, err
		}
		p.o.Log.Warn("dialling without asking the provider", "err", err)
	case d.State == "paused":
		return Endpoint{}, &Error{Op: "endpoint", Reason: IsPaused}
	default:
		if err := p.fetchToken(ctx, d); err != nil {
			return Endpoint{}, err
		}
	}
	return p.endpoint(), nil
}

// fetchToken gets the traffic token of a running sandbox that needs one. The
// only answer that carries it is connect's, which never shortens a life.
func (p *e2b) fetchToken(ctx context.Context, d detail) error {
	public := d.Network.AllowPublicTraffic == nil || *d.Network.AllowPublicTraffic
	if public || p.o.TrafficToken != "" {
		return nil
	}
	return p.connect(ctx, "token")
}

func (p *e2b) endpoint() Endpoint {
	p.mu.Lock()
	domain, token := p.domain, p.token
	p.mu.Unlock()
	if domain == "" {
		domain = p.config.domain
	}
	port := strconv.Itoa(p.o.Port)
	u := &url.URL{Scheme: "wss", Host: port + "-" + p.id + "." + domain, Path: "/"}
	if p.config.debug {
		u.Scheme, u.Host = "ws", "localhost:"+port
	}
	h := p.o.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if token != "" {
		h.Set(trafficTokenHeader, token.Reveal())
	}
	return Endpoint{URL: u, Header: h, HostKeyName: p.apiID}
}

// State asks without waking.
func (p *e2b) State(ctx context.Context) (State, error) {
	defer p.api.rest()
	d, err := p.detail(ctx, "state")
	switch {
	case errors.Is(err, NoKey):
		return Unknown, nil
	case errors.Is(err, NotFound):
		return Gone, nil
	case err != nil:
		return Unknown, err
	case d.State == "running":
		return Running, nil
	case d.State == "paused":
		return Paused, nil
	}
	return Unknown, &Error{Op: "state", Reason: BadAnswer, Err: errors.New("a state that is neither running nor paused")}
}

// detail asks the API about the sandbox and keeps the domain that it tells.
func (p *e2b) detail(ctx context.Context, op string) (detail, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var d detail
	if _, err := p.api.call(ctx, op, http.MethodGet, "/sandboxes/"+p.apiID, nil, &d, http.StatusOK); err != nil {
		return d, err
	}
	return d, p.learn(op, d.Domain, "")
}

// learn keeps what the API told, after checking that it is what it should be.
func (p *e2b) learn(op, domain string, token Secret) error {
	if domain != "" && !validHost(domain) {
		return &Error{Op: op, Reason: BadAnswer, Err: errors.New("a domain that is none")}
	}
	if !validToken(token.Reveal()) {
		return &Error{Op: op, Reason: BadAnswer, Err: errors.New("a traffic token that no header can carry")}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if domain != "" {
		p.domain = domain
	}
	if token != "" && p.o.TrafficToken == "" {
		p.token = token
	}
	return nil
}

// maxToken is far over what a token needs and below what servers take as a
// header.
const maxToken = 4 << 10

func validToken(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxToken
}

// Resume connects, again while the sandbox is changing.
func (p *e2b) Resume(ctx context.Context) error {
	defer p.api.rest()
	ctx, cancel := context.WithTimeout(ctx, resumeTimeout)
	defer cancel()
	for pace := resumePace(); ; {
		err := p.connect(ctx, "resume")
		if !errors.Is(err, Transitioning) && !errors.Is(err, TooMany) {
			return err
		}
		again := time.NewTimer(max(pace.NextBackOff(), askedToWait(err)))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return err
		}
	}
}

// askedToWait returns how long the server said to wait.
func askedToWait(err error) time.Duration {
	var s *statusFailure
	if errors.As(err, &s) {
		return s.retryAfter
	}
	return 0
}

// resumePace begins with what a pause takes at least.
func resumePace() backoff.BackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval = 250 * time.Millisecond
	b.MaxInterval = 2 * time.Second
	return b
}

// connect makes the sandbox run, for at least the lifetime that was asked for,
// and learns its token and domain.
func (p *e2b) connect(ctx context.Context, op string) error {
	body := struct {
		Timeout int `json:"timeout"`
	}{int(p.o.Lifetime / time.Second)}
	var answer struct {
		Token  Secret `json:"trafficAccessToken"`
		Domain string `json:"domain"`
	}
	_, err := p.api.call(ctx, op, http.MethodPost, "/sandboxes/"+p.apiID+"/connect", body, &answer,
		http.StatusOK, http.StatusCreated)
	if err != nil {
		return err
	}
	return p.learn(op, answer.Domain, answer.Token)
}

// The API's bounds of a refresh.
const (
	minRefresh = 15 * time.Second
	maxRefresh = time.Hour
)

// KeepAlive refreshes, which extends a life or leaves it as it is.
func (p *e2b) KeepAlive(ctx context.Context, d time.Duration) error {
	defer p.api.rest()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body := struct {
		Duration int `json:"duration"`
	}{int(min(max(d, minRefresh), maxRefresh) / time.Second)}
	_, err := p.api.call(ctx, "keep alive", http.MethodPost, "/sandboxes/"+p.apiID+"/refreshes", body, nil,
		http.StatusNoContent, http.StatusOK)
	return err
}
