package sandboxd_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// refusal dials and returns the status and body of the refusal, 0 for none.
func refusal(t *testing.T, url string, header http.Header) (int, string) {
	t.Helper()
	c, resp, err := dialWS(t, url, header)
	if err == nil {
		_ = c.Close()
		return 0, ""
	}
	if resp == nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func TestToken(t *testing.T) {
	s := start(t, sandboxd.Options{})
	bare := "ws://" + s.Addr() + "/"
	for name, test := range map[string]struct {
		url    string
		header http.Header
		want   int
	}{
		"in the query":  {s.URL(), nil, 0},
		"in a header":   {bare, http.Header{"E2b-Traffic-Access-Token": {s.Token()}}, 0},
		"any path":      {bare + "some/path?token=" + s.Token(), nil, 0},
		"none":          {bare, nil, 403},
		"empty":         {bare + "?token=", nil, 403},
		"wrong":         {s.URL() + "x", nil, 403},
		"shorter":       {s.URL()[:len(s.URL())-1], nil, 403},
		"a page":        {s.URL(), http.Header{"Origin": {"http://" + s.Addr()}}, 403},
		"another page":  {s.URL(), http.Header{"Origin": {"https://example.com"}}, 403},
		"null page":     {s.URL(), http.Header{"Origin": {"null"}}, 403},
		"fetch":         {s.URL(), http.Header{"Sec-Fetch-Site": {"none"}}, 403},
		"other sandbox": {s.URL(), http.Header{"E2b-Sandbox-Id": {"iother"}}, 502},
		"this sandbox":  {s.URL(), http.Header{"E2b-Sandbox-Id": {s.ID()}}, 0},
	} {
		if got, body := refusal(t, test.url, test.header); got != test.want {
			t.Errorf("%s: status %d %s", name, got, body)
		}
	}
	public := start(t, sandboxd.Options{Public: true})
	if got, _ := refusal(t, "ws://"+public.Addr(), nil); got != 0 {
		t.Errorf("a public sandbox refuses with %d", got)
	}
	if start(t, sandboxd.Options{}).Token() == s.Token() {
		t.Error("two sandboxes have one token")
	}
}

func TestLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "bad"} {
		for _, o := range []sandboxd.Options{{Addr: addr}, {SSHAddr: addr}} {
			o.Dir = t.TempDir()
			if s, err := sandboxd.Start(t.Context(), o); err == nil {
				_ = s.Close()
				t.Errorf("listens on %s", addr)
			}
		}
	}
}

func TestBadDirectory(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	for _, d := range []string{"", dir + "/file", dir + "/missing"} {
		if s, err := sandboxd.Start(t.Context(), sandboxd.Options{Dir: d}); err == nil {
			_ = s.Close()
			t.Errorf("serves %q", d)
		}
	}
}

// A sandbox that leaves the state running resets its connections.
func TestStates(t *testing.T) {
	s := start(t, sandboxd.Options{})
	lost := func(what string, leave func()) {
		t.Helper()
		client := dialSSH(t, s)
		leave()
		ended := make(chan struct{})
		go func() { _ = client.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: the connection goes on", what)
		}
	}
	want := func(status int, text string) {
		t.Helper()
		if got, body := refusal(t, s.URL(), nil); got != status || !strings.Contains(body, text) {
			t.Errorf("status %d %q, want %d %q", got, body, status, text)
		}
	}
	lost("pause", s.Pause)
	want(502, "not found")
	s.Resume()
	want(0, "")
	lost("hold", s.Hold)
	want(409, "transitioning")
	s.Resume()
	lost("kill", s.Kill)
	want(502, "not found")
	s.Resume()
	want(502, "not found")
	if s.State() != sandboxd.Gone {
		t.Errorf("state %s", s.State())
	}
}

func TestAutoResume(t *testing.T) {
	s := start(t, sandboxd.Options{AutoResume: true})
	s.Pause()
	dialSSH(t, s)
	if s.State() != sandboxd.Running {
		t.Errorf("state %s", s.State())
	}
}

// api asks the provider's API and returns the status and the answer.
func api(t *testing.T, s *sandboxd.Server, method, path, body string) (int, http.Header, map[string]any, []any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.APIURL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-API-Key", s.APIKey())
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, _ := io.ReadAll(resp.Body)
	var one map[string]any
	var many []any
	if json.Unmarshal(data, &one) != nil {
		_ = json.Unmarshal(data, &many)
	}
	return resp.StatusCode, resp.Header, one, many
}

func TestAPI(t *testing.T) {
	s := start(t, sandboxd.Options{Lifetime: time.Hour})
	box := "/sandboxes/" + s.ID()
	want := func(status int, method, path, body string) map[string]any {
		t.Helper()
		got, _, answer, _ := api(t, s, method, path, body)
		if got != status {
			t.Errorf("%s %s %s: status %d %v, want %d", method, path, body, got, answer, status)
		}
		return answer
	}
	end := func() time.Time {
		t.Helper()
		at, err := time.Parse(time.RFC3339, want(200, "GET", box, "")["endAt"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	if a := want(200, "GET", box, ""); a["state"] != "running" || a["sandboxID"] != s.ID() {
		t.Errorf("%v", a)
	}
	before := end()
	if a := want(200, "POST", box+"/connect", `{"timeout":60}`); a["trafficAccessToken"] != s.Token() {
		t.Errorf("%v", a)
	}
	want(204, "POST", box+"/refreshes", `{"duration":15}`)
	if !end().Equal(before) {
		t.Error("the life was shortened")
	}
	want(200, "POST", box+"/connect", `{"timeout":7200}`)
	if !end().After(before) {
		t.Error("the life was not extended")
	}
	want(204, "POST", box+"/timeout", `{"timeout":600}`)
	if !end().Before(before) {
		t.Error("a timeout does not shorten")
	}
	for _, bad := range []string{`{"duration":14}`, `{"duration":3601}`, `{"duration":"x"}`, `[`} {
		want(400, "POST", box+"/refreshes", bad)
	}
	want(400, "POST", box+"/connect", `{}`)
	s.Pause()
	if a := want(200, "GET", box, ""); a["state"] != "paused" {
		t.Errorf("%v", a)
	}
	want(404, "POST", box+"/refreshes", `{"duration":15}`)
	want(201, "POST", box+"/connect", `{"timeout":60}`)
	if s.State() != sandboxd.Running {
		t.Error("connect does not resume")
	}
	s.Hold()
	want(409, "POST", box+"/connect", `{"timeout":60}`)
	want(404, "GET", "/sandboxes/iother", "")
	s.Kill()
	want(404, "GET", box, "")
	want(404, "POST", box+"/connect", `{"timeout":60}`)
}

func TestAPIKey(t *testing.T) {
	s := start(t, sandboxd.Options{})
	for _, key := range []string{"", "wrong"} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", s.APIURL()+"/v2/sandboxes", nil)
		req.Header.Set("X-API-Key", key)
		tr := &http.Transport{DisableKeepAlives: true}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 401 {
			t.Errorf("key %q: status %d", key, resp.StatusCode)
		}
	}
}

func TestListPages(t *testing.T) {
	s := start(t, sandboxd.Options{Others: 5})
	var ids []string
	next := ""
	for {
		_, header, _, page := api(t, s, "GET", "/v2/sandboxes?state=running,paused&limit=4&nextToken="+next, "")
		for _, item := range page {
			ids = append(ids, item.(map[string]any)["sandboxID"].(string))
		}
		if next = header.Get("X-Next-Token"); next == "" {
			break
		}
	}
	if len(ids) != 6 || ids[5] != s.ID() {
		t.Errorf("%q", ids)
	}
	s.Pause()
	if _, _, _, page := api(t, s, "GET", "/v2/sandboxes?state=paused", ""); len(page) != 1 {
		t.Errorf("paused: %v", page)
	}
	if status, _, _, _ := api(t, s, "GET", "/v2/sandboxes?limit=101", ""); status != 400 {
		t.Errorf("status %d", status)
	}
}

func TestLifetimeEnds(t *testing.T) {
	for _, pause := range []bool{false, true} {
		s := start(t, sandboxd.Options{Lifetime: 50 * time.Millisecond, PauseAtEnd: pause})
		client := dialSSH(t, s)
		_ = client.Wait()
		want := sandboxd.Gone
		if pause {
			want = sandboxd.Paused
		}
		if got := s.State(); got != want {
			t.Errorf("state %s, want %s", got, want)
		}
	}
}
