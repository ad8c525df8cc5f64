package faults

import (
	"fmt"
	"net"
	"net/http"
	"strings"
)

// Edge says what a dial is answered instead of an upgrade.
type Edge struct {
	Answer Answer
	Skip   int // dials that are let through before
	Times  int // dials that are answered so; 0: all

	API Answer // what the provider's API answers to everything
}

// Answer is one answer of the edge; empty is none.
type Answer string

// The answers.
const (
	NotFound      Answer = "502 sandbox not found"
	PortClosed    Answer = "502 port not open"
	BadGateway    Answer = "502 html" // a load balancer's page
	Forbidden     Answer = "403"      // token missing or wrong
	Transitioning Answer = "409"      // pausing or resuming
	TooMany       Answer = "429"      // with Retry-After: 1
	BadRequest    Answer = "400"      // plain text
	Page          Answer = "200 html" // a captive portal's login page
	Redirect      Answer = "302"      // to another host
	BadKey        Answer = "101 bad"  // an upgrade with a wrong accept key
	Bare          Answer = "101 bare" // an upgrade without its headers
	Nothing       Answer = "nothing"  // takes the request and says no word until the client goes, or the knob is turned
	Hangup        Answer = "hangup"   // closes without an answer
	Reset         Answer = "reset"    // resets
	EndlessHeader Answer = "header"   // a header without end
	EndlessBody   Answer = "502 body" // an error page without end
	NotHTTP       Answer = "not http" // an SSH banner where HTTP belongs
	HalfHeader    Answer = "half"     // half a status line, then the end
	TextUpgrade   Answer = "101 page" // an upgrade followed by HTML instead of frames
)

// Answers returns all of them.
func Answers() []Answer {
	return []Answer{
		NotFound, PortClosed, BadGateway, Forbidden, Transitioning, TooMany, BadRequest, Page, Redirect, BadKey, Bare,
		Nothing, Hangup, Reset, EndlessHeader, EndlessBody, NotHTTP, HalfHeader, TextUpgrade,
	}
}

type edge struct {
	r    *Running
	next http.Handler
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		e.api(w, r)
		return
	}
	run := e.r
	run.mu.Lock()
	run.stats.Dials++
	answer := run.edge.Answer
	if answer != "" && !run.hit(edgeRule{}, run.edge.Skip, run.edge.Times) {
		answer = ""
	}
	stream := run.stream
	if stream != (Stream{}) && !run.hit(streamRule{}, stream.Skip, stream.Times) {
		stream = Stream{}
	}
	frames, changed := run.frames, run.edgeChanged
	run.mu.Unlock()
	switch {
	case answer != "":
		run.faulted(string(answer))
		answer.give(w, r, run.sandbox().ID(), changed)
	case frames != (Frames{}) || stream != (Stream{}):
		run.upgrade(w, r, frames, stream)
	default:
		e.next.ServeHTTP(w, r)
	}
}

// api is the provider's API.
func (e *edge) api(w http.ResponseWriter, r *http.Request) {
	run := e.r
	run.mu.Lock()
	answer, changed := run.edge.API, run.edgeChanged
	run.mu.Unlock()
	if answer == "" {
		e.next.ServeHTTP(w, r)
		return
	}
	run.faulted("API: " + string(answer))
	answer.give(w, r, run.sandbox().ID(), changed)
}

// give answers a request; changed is closed when the knob is turned.
func (a Answer) give(w http.ResponseWriter, r *http.Request, id string, changed <-chan struct{}) {
	page := func(kind string, status int, body string) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}
	json := func(status int, text, more string) {
		page("application/json; charset=utf-8", status,
			fmt.Sprintf(`{"sandboxId":%q,"message":%q%s,"code":%d}`, id, text, more, status))
	}
	switch a {
	case NotFound:
		json(http.StatusBadGateway, "The sandbox was not found", "")
	case PortClosed:
		json(http.StatusBadGateway, "The sandbox is running but port is not open", `,"port":8081`)
	case Forbidden:
		json(http.StatusForbidden, "Traffic access token is missing or invalid", "")
	case Transitioning:
		json(http.StatusConflict, "The sandbox is still transitioning", "")
	case TooMany:
		w.Header().Set("Retry-After", "1")
		json(http.StatusTooManyRequests, "Too many requests", "")
	case BadRequest:
		page("text/plain; charset=utf-8", http.StatusBadRequest, "Invalid host\n")
	case BadGateway:
		page("text/html", http.StatusBadGateway, htmlPage)
	case Page:
		page("text/html", http.StatusOK, htmlPage)
	case Redirect:
		w.Header().Set("Location", "http://127.0.0.2:9/stolen")
		w.WriteHeader(http.StatusFound)
	case Nothing:
		select {
		case <-r.Context().Done():
		case <-changed:
		}
		panic(http.ErrAbortHandler) // which closes the connection
	case EndlessBody:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, htmlPage); err != nil {
				return
			}
		}
	default:
		a.giveRaw(w, r)
	}
}

const htmlPage = "<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"

// giveRaw answers without the help of net/http.
func (a Answer) giveRaw(w http.ResponseWriter, r *http.Request) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	switch a {
	case Hangup:
	case Reset:
		abort(c)
	case EndlessHeader:
		_, err = fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\n")
		for err == nil {
			_, err = fmt.Fprintf(c, "X-More: %s\r\n", strings.Repeat("m", 1000))
		}
	case NotHTTP:
		_, _ = fmt.Fprint(c, "SSH-2.0-OpenSSH_9.6\r\n")
	case HalfHeader:
		_, _ = fmt.Fprint(c, "HTTP/1.1 101 Swi")
	case Bare:
		_, _ = fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\n\r\n")
	case BadKey:
		_, _ = fmt.Fprint(c, switching(acceptKey("x")))
	case TextUpgrade:
		_, _ = fmt.Fprint(c, switching(acceptKey(r.Header.Get("Sec-WebSocket-Key")))+htmlPage)
	}
}

// abort makes the end of a connection a reset.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// upgrade is the WebSocket that frames and stream are knobs of.
func (r *Running) upgrade(w http.ResponseWriter, req *http.Request, f Frames, s Stream) {
	token := req.Header.Get("E2b-Traffic-Access-Token")
	if token == "" {
		token = req.URL.Query().Get("token")
	}
	if box := r.sandbox(); token != box.Token() && strings.Contains(box.URL(), "token=") {
		Forbidden.give(w, req, box.ID(), nil)
		return
	}
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if _, err := fmt.Fprint(c, switching(acceptKey(req.Header.Get("Sec-WebSocket-Key")))); err != nil {
		_ = c.Close()
		return
	}
	ws := newFrameConn(c, buf.Reader, f)
	r.sandbox().ServeSSH(&stream{Conn: ws, knobs: s, ends: ws.kill, done: make(chan struct{})})
}
