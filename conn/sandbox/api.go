package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	apiKeyHeader       = "X-API-Key"
	trafficTokenHeader = "e2b-traffic-access-token"

	// requestTimeout bounds a request with its answer: E2B's API answers
	// within a second, a resume within a few.
	requestTimeout = 10 * time.Second
	resumeTimeout  = 30 * time.Second

	// maxAnswer bounds an answer: a page of 100 sandboxes with all the
	// metadata that they may carry stays well below.
	maxAnswer = 4 << 20
	maxHeader = 64 << 10 // an answer's header is some hundred bytes
)

// api asks a provider's HTTP API. It is safe for concurrent use.
type api struct {
	base   string // no slash at the end
	key    Secret
	client *http.Client
}

func newAPI(c e2bConfig, o Options) *api {
	t := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        o.TLS.Clone(),
		TLSHandshakeTimeout:    requestTimeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConns:           1,
		ForceAttemptHTTP2:      true,
	}
	return &api{base: c.apiURL, key: c.key, client: &http.Client{Transport: t, CheckRedirect: SameOrigin}}
}

// rest gives the connection up that a burst of questions shared: the next one
// comes minutes later.
func (a *api) rest() { a.client.CloseIdleConnections() }

// maxRedirects is plenty within one origin.
const maxRedirects = 3

// SameOrigin is an http.Client's CheckRedirect that follows a redirect only to
// the scheme, host and port that the first request was for: the header of a
// request that is redirected, and what secret is in it, stays there.
func SameOrigin(req *http.Request, via []*http.Request) error {
	first := via[0].URL
	if len(via) > maxRedirects || req.URL.Scheme != first.Scheme || !strings.EqualFold(req.URL.Host, first.Host) {
		return http.ErrUseLastResponse
	}
	return nil
}

// checkAPIURL refuses an API that the key would travel to in the clear.
func checkAPIURL(raw string, insecure bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || !validHost(u.Host) || u.User != nil || u.RawQuery != "":
		return badSpec("E2B_API_URL is malformed: write it as https://api.e2b.app")
	case u.Scheme == "https", u.Scheme == "http" && (insecure || IsLoopback(u)):
		return nil
	case u.Scheme == "http":
		return badSpec("E2B_API_URL is without TLS: the API key would travel in the clear; write https://, or allow it with --insecure")
	}
	return badSpec("E2B_API_URL is not an https:// URL")
}

// call makes one request. The answer's status must be among want; its body is
// decoded into answer where that is not nil.
func (a *api) call(ctx context.Context, op, method, path string, body, answer any, want ...int) (http.Header, error) {
	fail := func(r Reason, err error) error { return &Error{Op: op, Reason: r, Err: err} }
	if a.key == "" {
		return nil, fail(NoKey, nil)
	}
	req, err := a.request(ctx, method, path, body)
	if err != nil {
		return nil, fail(BadSpec, errors.New("the API's address or key is malformed"))
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, fail(Unreachable, withoutURL(err))
	}
	defer resp.Body.Close()
	data, err := readAnswer(resp.Body)
	if err != nil {
		return nil, fail(readReason(err), withoutURL(err))
	}
	if !slices.Contains(want, resp.StatusCode) {
		return nil, fail(statusReason(resp.StatusCode), statusError(resp, data))
	}
	if answer != nil {
		if err := decode(resp, data, answer); err != nil {
			return nil, fail(BadAnswer, err)
		}
	}
	return resp.Header, nil
}

func (a *api) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, r)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "sbxmount")
	req.Header.Set(apiKeyHeader, a.key.Reveal())
	return req, nil
}

// errTooLong is an answer over maxAnswer.
var errTooLong = fmt.Errorf("the answer is over %d bytes", maxAnswer)

func readAnswer(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(data) > maxAnswer {
		err = errTooLong
	}
	return data, err
}

func readReason(err error) Reason {
	if errors.Is(err, errTooLong) {
		return BadAnswer
	}
	return Unreachable
}

// withoutURL takes the URL, which holds the sandbox's id, off an error of
// net/http.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func statusReason(code int) Reason {
	switch {
	case code == http.StatusNotFound:
		return NotFound
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return Refused
	case code == http.StatusConflict:
		return Transitioning
	case code == http.StatusTooManyRequests:
		return TooMany
	case code >= 500, code == http.StatusRequestTimeout:
		return Unreachable
	}
	return BadAnswer
}

// statusError says what stands in an answer that reports an error. Its text is
// the server's: printable bytes, and few of them.
func statusError(resp *http.Response, data []byte) error {
	var body struct {
		Message string `json:"message"`
	}
	after := retryAfter(resp.Header)
	text := http.StatusText(resp.StatusCode)
	if isJSON(resp) && json.Unmarshal(data, &body) == nil && body.Message != "" {
		text = printable(body.Message)
	}
	return &statusFailure{code: resp.StatusCode, text: text, retryAfter: after}
}

// statusFailure is an answer with a status that was not hoped for.
type statusFailure struct {
	code       int
	text       string
	retryAfter time.Duration // 0 where the server did not say
}

func (s *statusFailure) Error() string { return fmt.Sprintf("status %d: %s", s.code, s.text) }

// maxText is enough for a sentence of a server's.
const maxText = 200

// printable makes a server's text safe for a terminal and a log.
func printable(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) || r == '\ufffd' {
			return ' '
		}
		return r
	}, s)
}

// maxRetryAfter caps what a server may make us wait.
const maxRetryAfter = 30 * time.Second

func retryAfter(h http.Header) time.Duration {
	d, err := time.ParseDuration(h.Get("Retry-After") + "s")
	if err != nil || d < 0 {
		return 0
	}
	return min(d, maxRetryAfter)
}

func isJSON(resp *http.Response) bool {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && (t == "application/json" || strings.HasSuffix(t, "+json"))
}

// decode reads exactly one JSON value.
func decode(resp *http.Response, data []byte, answer any) error {
	if !isJSON(resp) {
		return errors.New("it is not JSON: is there a login page or a proxy in between?")
	}
	if err := json.Unmarshal(data, answer); err != nil {
		// The decoder's message may quote the answer, which may hold a token.
		return errors.New("it is malformed JSON")
	}
	return nil
}
