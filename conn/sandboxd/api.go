package sandboxd

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// routeAPI serves the provider's HTTP API, as far as a client that mounts uses
// it: what E2B documents of its REST API.
func (s *Server) routeAPI(mux *http.ServeMux) {
	mux.HandleFunc("GET /sandboxes/{id}", s.withKey(s.withSandbox(s.getSandbox)))
	mux.HandleFunc("POST /sandboxes/{id}/connect", s.withKey(s.withSandbox(s.connect)))
	mux.HandleFunc("POST /sandboxes/{id}/refreshes", s.withKey(s.withSandbox(s.refresh)))
	mux.HandleFunc("POST /sandboxes/{id}/timeout", s.withKey(s.withSandbox(s.setTimeout)))
	mux.HandleFunc("GET /v2/sandboxes", s.withKey(s.list))
}

func apiError(w http.ResponseWriter, status int, text string) {
	answerJSON(w, status, message{Message: text, Code: status})
}

func (s *Server) withKey(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !same(r.Header.Get("X-API-Key"), s.o.APIKey) {
			apiError(w, http.StatusUnauthorized, "Invalid API key")
			return
		}
		next(w, r)
	}
}

// withSandbox answers for ids that are not ours, for a sandbox that is gone and
// for changes to one that is changing.
func (s *Server) withSandbox(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch state := s.State(); {
		case r.PathValue("id") != s.o.ID || state == Gone:
			apiError(w, http.StatusNotFound, "sandbox not found")
		case state == Changing && r.Method != http.MethodGet:
			apiError(w, http.StatusConflict, "sandbox is transitioning")
		default:
			next(w, r)
		}
	}
}

// detail is what the API says of a sandbox.
type detail struct {
	SandboxID  string            `json:"sandboxID"`
	TemplateID string            `json:"templateID"`
	Alias      string            `json:"alias"`
	ClientID   string            `json:"clientID"`
	State      State             `json:"state"`
	StartedAt  time.Time         `json:"startedAt"`
	EndAt      time.Time         `json:"endAt"`
	Metadata   map[string]string `json:"metadata"`
	Network    struct {
		AllowPublicTraffic bool `json:"allowPublicTraffic"`
	} `json:"network"`
	Lifecycle struct {
		AutoResume bool   `json:"autoResume"`
		OnTimeout  string `json:"onTimeout"`
	} `json:"lifecycle"`
}

// forEver is what is told of a sandbox without an end: the most that a plan
// allows.
const forEver = 24 * time.Hour

func (s *Server) detail() detail {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := detail{
		SandboxID: s.o.ID, TemplateID: "sandboxd", Alias: "sandboxd", ClientID: "sandboxd",
		State: s.life.state, StartedAt: s.life.started.UTC(), EndAt: s.life.end.UTC(),
		Metadata: map[string]string{},
	}
	if s.life.end.IsZero() {
		d.EndAt = d.StartedAt.Add(forEver)
	}
	if d.State == Changing {
		d.State = Running // the API knows no more than two states
	}
	d.Network.AllowPublicTraffic = s.o.Public
	d.Lifecycle.AutoResume = s.o.AutoResume
	d.Lifecycle.OnTimeout = "kill"
	if s.o.PauseAtEnd {
		d.Lifecycle.OnTimeout = "pause"
	}
	return d
}

func (s *Server) getSandbox(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, http.StatusOK, s.detail())
}

// maxBody is far over what these requests carry.
const maxBody = 64 << 10

// seconds reads one field of a request's body, a count of seconds within
// bounds; it answers for itself when it is not.
func seconds(w http.ResponseWriter, r *http.Request, field string, low, high, missing int) (time.Duration, bool) {
	n := missing
	body := map[string]json.RawMessage{}
	err := json.NewDecoder(io.LimitReader(r.Body, maxBody)).Decode(&body)
	if raw, ok := body[field]; ok && err == nil {
		err = json.Unmarshal(raw, &n)
	}
	if (err != nil && err != io.EOF) || n < low || n > high {
		apiError(w, http.StatusBadRequest, field+" is missing or out of range")
		return 0, false
	}
	return time.Duration(n) * time.Second, true
}

// connect resumes if need be, extends and never shortens.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	d, ok := seconds(w, r, "timeout", 0, 24*3600, -1)
	if !ok {
		return
	}
	status := http.StatusOK
	s.mu.Lock()
	if s.life.state == Paused {
		status = http.StatusCreated
		s.wake(d)
	}
	s.life.extend(time.Now().Add(d))
	s.mu.Unlock()
	answerJSON(w, status, struct {
		SandboxID  string `json:"sandboxID"`
		TemplateID string `json:"templateID"`
		ClientID   string `json:"clientID"`
		Token      string `json:"trafficAccessToken,omitempty"`
	}{s.o.ID, "sandboxd", "sandboxd", s.trafficToken()})
}

func (s *Server) trafficToken() string {
	if s.o.Public {
		return ""
	}
	return s.o.Token
}

// refresh extends; it neither resumes nor shortens.
func (s *Server) refresh(w http.ResponseWriter, r *http.Request) {
	d, ok := seconds(w, r, "duration", 15, 3600, 15)
	if !ok {
		return
	}
	s.mu.Lock()
	running := s.life.state == Running
	if running {
		s.life.extend(time.Now().Add(d))
	}
	s.mu.Unlock()
	if !running {
		apiError(w, http.StatusNotFound, "sandbox not found")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// setTimeout overwrites the end, also with an earlier one.
func (s *Server) setTimeout(w http.ResponseWriter, r *http.Request) {
	d, ok := seconds(w, r, "timeout", 0, 24*3600, -1)
	if !ok {
		return
	}
	s.mu.Lock()
	s.life.end = time.Now().Add(d)
	s.life.stir()
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

// list answers a page of the account's sandboxes: this one, behind as many
// others as Options.Others says. The cursor is an index.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	limit, err := strconv.Atoi(q.Get("limit"))
	if q.Get("limit") == "" {
		limit, err = 100, nil
	}
	from, err2 := strconv.Atoi("0" + q.Get("nextToken"))
	if err != nil || err2 != nil || limit < 1 || limit > 100 {
		apiError(w, http.StatusBadRequest, "limit or nextToken is malformed")
		return
	}
	all := s.account(q["state"])
	page := all[min(from, len(all)):min(from+limit, len(all))]
	if from+limit < len(all) {
		w.Header().Set("X-Next-Token", strconv.Itoa(from+limit))
	}
	answerJSON(w, http.StatusOK, page)
}

// account returns the sandboxes in the states that are asked for, "running"
// where none is.
func (s *Server) account(states []string) []detail {
	var want []string
	for _, list := range states {
		want = append(want, strings.Split(list, ",")...)
	}
	if len(want) == 0 {
		want = []string{string(Running)}
	}
	own := s.detail()
	all := []detail{}
	for i := range s.o.Others {
		d := own
		d.SandboxID = "iother" + strconv.Itoa(i)
		d.State = Running
		all = append(all, d)
	}
	return slices.DeleteFunc(append(all, own), func(d detail) bool {
		return d.State == Gone || !slices.Contains(want, string(d.State))
	})
}
