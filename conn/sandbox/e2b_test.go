package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const testKey = "e2b_0123456789secret"

// apiServer answers as h does, and checks that each request carries the key.
func apiServer(t *testing.T, h http.HandlerFunc) (o Options, requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if r.Header.Get("X-API-Key") != testKey {
			t.Errorf("%s %s without the key", r.Method, r.URL)
		}
		h(w, r)
	}))
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return bare(t, map[string]string{"E2B_API_KEY": testKey, "E2B_API_URL": s.URL}), requests
}

func jsonAnswer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, body)
}

func provider(t *testing.T, o Options) Provider {
	t.Helper()
	target, err := Parse("abc123", o)
	if err != nil {
		t.Fatal(err)
	}
	return target.Provider
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		code int
		body string
		want State
		err  error
	}{
		{200, `{"state":"running"}`, Running, nil},
		{200, `{"state":"paused","new":{"field":[1]}}`, Paused, nil},
		{404, `{"message":"not found"}`, Gone, nil},
		{200, `{"state":"dancing"}`, Unknown, BadAnswer},
		{200, `{"state":`, Unknown, BadAnswer},
		{200, `{"state":"running"} {}`, Unknown, BadAnswer},
		{200, `{"state":"running","domain":"evil.test/@x"}`, Unknown, BadAnswer},
		{401, `{"message":"no"}`, Unknown, Refused},
		{403, ``, Unknown, Refused},
		{409, ``, Unknown, Transitioning},
		{429, ``, Unknown, TooMany},
		{500, `{"message":"` + strings.Repeat("x", 5000) + `"}`, Unknown, Unreachable},
		{418, ``, Unknown, BadAnswer},
	} {
		o, _ := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != "GET" || r.URL.Path != "/sandboxes/abc123" {
				t.Errorf("%s %s", r.Method, r.URL)
			}
			jsonAnswer(w, c.code, c.body)
		})
		got, err := provider(t, o).State(t.Context())
		if got != c.want || (c.err == nil) != (err == nil) || c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%d %.40s: %v, %v", c.code, c.body, got, err)
		}
		if err != nil && (strings.Contains(err.Error(), "abc123") || len(err.Error()) > 400) {
			t.Errorf("the error tells too much: %v", err)
		}
	}
}

func TestWithoutAKey(t *testing.T) {
	p := provider(t, bare(t, nil))
	if s, err := p.State(t.Context()); s != Unknown || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if err := p.Resume(t.Context()); !errors.Is(err, NoKey) {
		t.Error(err)
	}
	if err := p.KeepAlive(t.Context(), time.Minute); !errors.Is(err, NoKey) {
		t.Error(err)
	}
	if _, err := List(t.Context(), bare(t, nil)); !errors.Is(err, NoKey) {
		t.Error(err)
	}
	f := Fixed(Endpoint{})
	if s, err := f.State(t.Context()); s != Unknown || err != nil {
		t.Errorf("%v, %v", s, err)
	}
	if !errors.Is(f.Resume(t.Context()), NoKey) || !errors.Is(f.KeepAlive(t.Context(), 1), NoKey) {
		t.Error("a fixed address can be resumed")
	}
}

func TestEndpointFetchesTheToken(t *testing.T) {
	o, requests := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method + " " + r.URL.Path {
		case "GET /sandboxes/abc123":
			jsonAnswer(w, 200, `{"state":"running","domain":"d.test","network":{"allowPublicTraffic":false}}`)
		case "POST /sandboxes/abc123/connect":
			var body map[string]int
			if json.NewDecoder(r.Body).Decode(&body); body["timeout"] != 300 {
				t.Errorf("timeout %v", body)
			}
			jsonAnswer(w, 200, `{"trafficAccessToken":"tok en"}`)
		default:
			t.Errorf("%s %s", r.Method, r.URL)
		}
	})
	if _, err := provider(t, o).Endpoint(t.Context()); !errors.Is(err, BadAnswer) {
		t.Errorf("a token with a space: %v", err)
	}
	o.TrafficToken = "mine"
	e, err := provider(t, o).Endpoint(t.Context())
	if err != nil || e.Header.Get("E2b-Traffic-Access-Token") != "mine" || e.URL.Host != "8081-abc123.d.test" {
		t.Errorf("%v %v: %v", e.URL, e.Header, err)
	}
	if requests.Load() != 3 {
		t.Errorf("%d requests", requests.Load())
	}
}

func TestResume(t *testing.T) {
	var tries atomic.Int64
	o, _ := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "GET":
			jsonAnswer(w, 200, `{"state":"running","network":{"allowPublicTraffic":true}}`)
		case tries.Add(1) == 1:
			jsonAnswer(w, 409, `{"message":"still transitioning"}`)
		case tries.Load() == 2:
			w.Header().Set("Retry-After", "0")
			jsonAnswer(w, 429, ``)
		default:
			jsonAnswer(w, 201, `{"trafficAccessToken":"tok","domain":"d2.test"}`)
		}
	})
	p := provider(t, o)
	if err := p.Resume(t.Context()); err != nil || tries.Load() != 3 {
		t.Fatalf("%d tries: %v", tries.Load(), err)
	}
	e, err := p.Endpoint(t.Context())
	if err != nil || e.Header.Get("E2b-Traffic-Access-Token") != "tok" || e.URL.Host != "8081-abc123.d2.test" {
		t.Errorf("%v %v: %v", e.URL, e.Header, err)
	}
}

func TestResumeEndsWithTheContext(t *testing.T) {
	o, _ := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { jsonAnswer(w, 409, ``) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := provider(t, o).Resume(ctx); !errors.Is(err, Transitioning) {
		t.Error(err)
	}
}

func TestPausedIsNotWoken(t *testing.T) {
	o, requests := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		jsonAnswer(w, 200, `{"state":"paused","network":{"allowPublicTraffic":false}}`)
	})
	if _, err := provider(t, o).Endpoint(t.Context()); !errors.Is(err, IsPaused) {
		t.Error(err)
	}
	if requests.Load() != 1 {
		t.Errorf("%d requests", requests.Load())
	}
}

// An API in trouble is no reason not to dial a sandbox with public traffic.
func TestEndpointWithoutItsAPI(t *testing.T) {
	for _, code := range []int{401, 429, 500} {
		o, _ := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { jsonAnswer(w, code, ``) })
		e, err := provider(t, o).Endpoint(t.Context())
		if err != nil || e.URL.String() != "wss://8081-abc123.e2b.app/" {
			t.Errorf("%d: %v, %v", code, e.URL, err)
		}
	}
	o, _ := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { jsonAnswer(w, 404, ``) })
	if _, err := provider(t, o).Endpoint(t.Context()); !errors.Is(err, NotFound) {
		t.Error(err)
	}
}

func TestKeepAliveOnlyExtends(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want int
	}{{time.Second, 15}, {5 * time.Minute, 300}, {48 * time.Hour, 3600}} {
		o, _ := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
			var body map[string]int
			_ = json.NewDecoder(r.Body).Decode(&body)
			if r.Method != "POST" || r.URL.Path != "/sandboxes/abc123/refreshes" || body["duration"] != c.want {
				t.Errorf("%s %s %v", r.Method, r.URL, body)
			}
			w.WriteHeader(http.StatusNoContent)
		})
		if err := provider(t, o).KeepAlive(t.Context(), c.d); err != nil {
			t.Error(err)
		}
	}
}

func TestBadAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Reason
	}{
		"page": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<html>sign in</html>")
		}, BadAnswer},
		"endless body": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for {
				if _, err := w.Write(bytes.Repeat([]byte("["), 1<<16)); err != nil {
					return
				}
			}
		}, BadAnswer},
		"endless header": {func(w http.ResponseWriter, _ *http.Request) {
			for i := range 10_000 {
				w.Header().Set("X-"+strconv.Itoa(i), "0123456789")
			}
		}, Unreachable},
		"hang up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable},
		"redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/", http.StatusFound)
		}, BadAnswer},
		"deep": {func(w http.ResponseWriter, _ *http.Request) {
			jsonAnswer(w, 200, strings.Repeat("[", 1<<20))
		}, BadAnswer},
		"wrong type": {func(w http.ResponseWriter, _ *http.Request) {
			jsonAnswer(w, 200, `{"state":17}`)
		}, BadAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := apiServer(t, c.answer)
			_, err := provider(t, o).State(t.Context())
			if !errors.Is(err, c.want) {
				t.Error(err)
			}
		})
	}
}

func TestSlowAnswersEndWithTheContext(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"no header": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for w.(http.Flusher).Flush(); r.Context().Err() == nil; w.(http.Flusher).Flush() {
				_, _ = io.WriteString(w, " ")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := apiServer(t, answer)
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := provider(t, o).State(ctx)
			if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, BadAnswer) {
				t.Error(err)
			}
			if _, err := provider(t, o).Endpoint(ctx); err == nil {
				t.Error("an endpoint after the end of its context")
			}
		})
	}
}

func TestRedirectsWithinTheOrigin(t *testing.T) {
	o, _ := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			jsonAnswer(w, 200, `{"state":"running"}`)
			return
		}
		http.Redirect(w, r, "/moved", http.StatusFound)
	})
	if s, err := provider(t, o).State(t.Context()); s != Running || err != nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestList(t *testing.T) {
	o, requests := apiServer(t, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path != "/v2/sandboxes" || q.Get("state") != "running,paused" || q.Get("limit") != "100" {
			t.Errorf("%s", r.URL)
		}
		if q.Get("nextToken") == "" {
			w.Header().Set("X-Next-Token", "a&b")
			jsonAnswer(w, 200, `[{"sandboxID":"one","alias":"base\u001b[2J","state":"running","endAt":"2026-01-02T03:04:05Z","metadata":{"k":"v"}}]`)
			return
		}
		if q.Get("nextToken") != "a&b" {
			t.Errorf("cursor %q", q.Get("nextToken"))
		}
		jsonAnswer(w, 200, `[{"sandboxID":"two","state":"paused"}]`)
	})
	got, err := List(t.Context(), o)
	if err != nil || len(got) != 2 || requests.Load() != 2 {
		t.Fatalf("%v: %v", got, err)
	}
	if got[0].ID != "one" || got[0].Alias != "base [2J" || got[0].Metadata["k"] != "v" || got[0].Ends.Year() != 2026 || got[1].State != Paused {
		t.Errorf("%+v", got)
	}
}

func TestListWithoutEnd(t *testing.T) {
	for _, moving := range []bool{true, false} {
		var n atomic.Int64
		o, requests := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
			cursor := "same"
			if moving {
				cursor = strconv.FormatInt(n.Add(1), 10)
			}
			w.Header().Set("X-Next-Token", cursor)
			jsonAnswer(w, 200, `[]`)
		})
		if _, err := List(t.Context(), o); !errors.Is(err, BadAnswer) {
			t.Error(err)
		}
		if requests.Load() > maxPages {
			t.Errorf("%d requests", requests.Load())
		}
	}
	for _, item := range []string{`{"sandboxID":"../x","state":"running"}`, `{"sandboxID":"a","state":"x"}`, `7`} {
		o, _ := apiServer(t, func(w http.ResponseWriter, _ *http.Request) { jsonAnswer(w, 200, "["+item+"]") })
		if _, err := List(t.Context(), o); !errors.Is(err, BadAnswer) {
			t.Errorf("%s: %v", item, err)
		}
	}
}

// Pages that are large, and pages that bring many items that say nothing, end the
// listing before it fills the memory.
func TestListIsBounded(t *testing.T) {
	large := `{"sandboxID":"a","state":"running","metadata":{"k":"` + strings.Repeat("v", 3<<20) + `"}}`
	many := strings.Repeat(`{"sandboxID":"a","state":"running"},`, 5000) + `{"sandboxID":"a","state":"running"}`
	for _, items := range []string{large, many} {
		var n atomic.Int64
		o, requests := apiServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Next-Token", strconv.FormatInt(n.Add(1), 10))
			jsonAnswer(w, 200, "["+items+"]")
		})
		if _, err := List(t.Context(), o); !errors.Is(err, BadAnswer) || requests.Load() > 6 {
			t.Errorf("after %d pages of %d bytes: %v", requests.Load(), len(items), err)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	s := Secret(testKey)
	var log bytes.Buffer
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "secret", s, "struct", struct{ S Secret }{s}, "map", map[string]Secret{"s": s})
	}
	encoded, _ := json.Marshal(map[string]any{"s": s})
	all := log.String() + string(encoded) + s.String() +
		fmt.Sprintf("%s %v %+v %#v %q %x %d", s, s, s, s, s, s, s) + fmt.Sprintf("%v %+v %#v", struct{ S Secret }{s}, &struct{ S Secret }{s}, []Secret{s})
	if strings.Contains(all, "secret0") || strings.Contains(all, testKey) || strings.Contains(all, fmt.Sprintf("%x", testKey)) {
		t.Errorf("it shows: %s", all)
	}
	e := Endpoint{Header: http.Header{"E2b-Traffic-Access-Token": {testKey}}}
	log.Reset()
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "endpoint", e)
	if strings.Contains(log.String(), testKey) {
		t.Errorf("the log is %s", log.String())
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"state":"running","domain":"x","network":{"allowPublicTraffic":false},"trafficAccessToken":"t"}`))
	f.Add([]byte(`[{"sandboxID":"a","state":"paused"}]`))
	resp := &http.Response{Header: http.Header{"Content-Type": {"application/json"}}, StatusCode: 500}
	f.Fuzz(func(t *testing.T, data []byte) {
		var d detail
		var l []listed
		_ = decode(resp, data, &d)
		if decode(resp, data, &l) == nil {
			for _, it := range l {
				if i, err := it.info(); err == nil && checkID(i.ID) != nil {
					t.Errorf("id %q", i.ID)
				}
			}
		}
		if len(statusError(resp, data).Error()) > 3*maxText+50 {
			t.Error("a long error")
		}
	})
}
