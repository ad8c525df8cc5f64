package sandboxd

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

const (
	tokenHeader = "E2b-Traffic-Access-Token"
	idHeader    = "E2b-Sandbox-Id"
	port        = 8081 // what the sandbox's own WebSocket bridge listens on
)

// handler answers everything that comes to the listener.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	s.routeAPI(mux)
	mux.HandleFunc("/", s.webSocket)
	var h http.Handler = noBrowsers(mux)
	if s.o.Edge != nil {
		h = s.o.Edge(h)
	}
	return h
}

// noBrowsers refuses requests that a page in a browser made: those always say
// where they come from when they are for a WebSocket or change something.
func noBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
			answerJSON(w, http.StatusForbidden, message{Code: http.StatusForbidden, Message: "browsers are refused"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// message is how the edge proxy and the API say what is wrong.
type message struct {
	SandboxID string `json:"sandboxId,omitempty"`
	Message   string `json:"message"`
	Port      int    `json:"port,omitempty"`
	Code      int    `json:"code"`
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// webSocket is the edge proxy and the sandbox's bridge in one.
func (s *Server) webSocket(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, text string) {
		answerJSON(w, status, message{SandboxID: s.o.ID, Message: text, Code: status})
	}
	if id := r.Header.Get(idHeader); id != "" && id != s.o.ID {
		refuse(http.StatusBadGateway, "The sandbox was not found")
		return
	}
	if !s.admits(r) {
		refuse(http.StatusForbidden, "The traffic access token is missing or wrong")
		return
	}
	switch s.dialled() {
	case Running:
	case Changing:
		refuse(http.StatusConflict, "The sandbox is still transitioning")
		return
	default:
		refuse(http.StatusBadGateway, "The sandbox was not found")
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.o.Log.Debug("upgrade refused", "err", err)
		return
	}
	tcp, _ := r.Context().Value(tcpKey{}).(net.Conn)
	s.serve(&Conn{stream: newStream(ws, tcp), tcp: tcp})
}

// admits reports whether a request carries the token, in a header or in its
// query.
func (s *Server) admits(r *http.Request) bool {
	given := r.Header.Get(tokenHeader)
	if given == "" {
		given = r.URL.Query().Get("token")
	}
	return s.o.Public || same(given, s.o.Token)
}

// same compares secrets in a time that depends on neither.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
