package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// controls is what the control socket reaches. Each may be called by several
// goroutines at once.
type controls struct {
	status  func() status
	sync    func(ctx context.Context) *failure
	unmount func(ctx context.Context, force bool) *failure
}

// controlServer answers on a mount's socket, to its user (and root) alone.
type controlServer struct {
	http *http.Server
	done chan struct{} // closed when it no longer accepts
}

// maxSocketPath is what fits in sockaddr_un on Linux and macOS.
const maxSocketPath = 103

// socketPath returns a path to dir's socket that fits in an address. hold
// keeps what it may lead through; it is closed after use.
func socketPath(dir string) (path string, hold *os.File, err error) {
	path = filepath.Join(dir, sockName)
	if len(path) <= maxSocketPath {
		return path, nil, nil
	}
	if hold, err = os.Open(dir); err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", hold.Fd(), sockName), hold, nil
}

// listenControl opens the control socket in a directory that only this user
// can enter.
func listenControl(dir string, c controls, log *slog.Logger) (*controlServer, error) {
	path, hold, err := socketPath(dir)
	if err != nil {
		return nil, err
	}
	defer hold.Close() // nil is fine
	if err := os.Remove(filepath.Join(dir, sockName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // the claim removes it, by its real path
	if err := os.Chmod(filepath.Join(dir, sockName), 0o600); err != nil {
		l.Close()
		return nil, err
	}
	s := &controlServer{
		http: &http.Server{
			Handler:           c.handler(),
			ReadHeaderTimeout: 5 * time.Second, // the client is this program
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
		done: make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(ownerOnly{l, log})
	}()
	return s, nil
}

// close lets requests that are being answered end, for a moment.
func (s *controlServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if s.http.Shutdown(ctx) != nil {
		s.http.Close()
	}
	<-s.done
}

// ownerOnly hangs up on connections of other users. The directory's mode
// keeps them out already; this holds also where a descriptor was passed on.
type ownerOnly struct {
	*net.UnixListener
	log *slog.Logger
}

func (l ownerOnly) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && (uid == os.Geteuid() || uid == 0) {
			return c, nil
		}
		l.log.Warn("another user knocked at the control socket", "uid", uid, "err", err)
		c.Close()
	}
}

func (c controls) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { answer(w, c.status()) })
	mux.HandleFunc("POST /sync", func(w http.ResponseWriter, r *http.Request) {
		taken(w)
		answer(w, outcome{c.sync(r.Context())})
	})
	mux.HandleFunc("POST /unmount", func(w http.ResponseWriter, r *http.Request) {
		taken(w)
		answer(w, outcome{c.unmount(r.Context(), r.URL.Query().Has("force"))})
	})
	return mux
}

// outcome is the answer of what is done rather than told.
type outcome struct {
	Failure *failure `json:"failure,omitempty"`
}

// taken tells who asks that work on the request begins: when the daemon dies
// from here on, something may be lost.
func taken(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
