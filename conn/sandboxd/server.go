package sandboxd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Server is a running sandbox. Its methods are safe for concurrent use.
type Server struct {
	o    Options
	root *os.Root
	keys *ssh.ServerConfig
	http *http.Server
	addr net.Addr
	ssh  net.Listener // nil without SSHAddr

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup // everything that Close waits for

	mu      sync.Mutex // guards what follows; held for no I/O
	life    life
	conns   map[*Conn]struct{}
	closing bool
	logins  int // connections that logged in
}

// Start serves until ctx ends or Close.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	key, err := hostKey(o.HostKey)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{o: o, root: root, conns: map[*Conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.keys = s.sshConfig(key)
	s.life.begin(time.Now(), o.Lifetime)
	if err := s.listen(); err != nil {
		s.cancel()
		return nil, errors.Join(err, root.Close())
	}
	s.work.Go(s.age)
	context.AfterFunc(s.ctx, func() { _ = s.Close() })
	return s, nil
}

func (s *Server) listen() error {
	l, err := net.Listen("tcp", s.o.Addr)
	if err != nil {
		return err
	}
	if s.o.SSHAddr != "" {
		if s.ssh, err = net.Listen("tcp", s.o.SSHAddr); err != nil {
			return errors.Join(err, l.Close())
		}
		s.work.Go(s.acceptSSH)
	}
	s.addr = l.Addr()
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 10 * time.Second, // a client on loopback is faster
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, tcpKey{}, c) },
		BaseContext:       func(net.Listener) context.Context { return s.ctx },
	}
	s.work.Go(func() { _ = s.http.Serve(l) })
	return nil
}

// tcpKey is the context key of a request's TCP connection.
type tcpKey struct{}

// URL is the WebSocket's, with the token in it where one is needed.
func (s *Server) URL() string {
	u := url.URL{Scheme: "ws", Host: s.addr.String(), Path: "/"}
	if !s.o.Public {
		u.RawQuery = url.Values{"token": {s.o.Token}}.Encode()
	}
	return u.String()
}

// APIURL is the base of the provider's HTTP API.
func (s *Server) APIURL() string { return "http://" + s.addr.String() }

// SSHURL is where SSH is served without a WebSocket, "" where it is not.
func (s *Server) SSHURL() string {
	if s.ssh == nil {
		return ""
	}
	return "ssh://" + s.ssh.Addr().String()
}

// Addr is the listener's host:port.
func (s *Server) Addr() string { return s.addr.String() }

// ID is the sandbox's id, Token what a dial needs, APIKey what the API needs.
func (s *Server) ID() string     { return s.o.ID }
func (s *Server) Token() string  { return s.o.Token }
func (s *Server) APIKey() string { return s.o.APIKey }

// Close ends all connections and waits for what is at work. It returns nil.
func (s *Server) Close() error {
	s.mu.Lock()
	first := !s.closing
	s.closing = true
	s.mu.Unlock()
	if first {
		s.cancel()
		_ = s.http.Close()
		if s.ssh != nil {
			_ = s.ssh.Close()
		}
		s.Drop()
	}
	s.work.Wait()
	if first {
		_ = s.root.Close()
	}
	return nil
}

// Drop resets all connections, as a lost proxy would, and returns how many.
func (s *Server) Drop() int {
	conns := s.Conns()
	for _, c := range conns {
		c.Reset()
	}
	return len(conns)
}

// Conns returns the SSH connections of the moment, also those that have not
// logged in.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		list = append(list, c)
	}
	return list
}

// Logins returns how many connections have logged in so far.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Conn is one SSH connection.
type Conn struct {
	stream net.Conn
	tcp    net.Conn // below stream; nil where it is not known
	done   chan struct{}
}

// Done is closed once the connection has ended and so have its sessions: no
// request of theirs is carried out any more.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Reset ends the connection without a word of SSH or WebSocket. A stream that
// was given to ServeSSH may have a method Reset of its own for that.
func (c *Conn) Reset() {
	if r, ok := c.stream.(interface{ Reset() }); ok {
		r.Reset()
	}
	if t, ok := c.tcp.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // a reset instead of an orderly end
	}
	if c.tcp != nil {
		_ = c.tcp.Close()
	}
	_ = c.stream.Close()
}

// add registers a connection; false when it came too late.
func (s *Server) add(c *Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false
	}
	c.done = make(chan struct{})
	s.conns[c] = struct{}{}
	s.work.Add(1)
	return true
}

func (s *Server) remove(c *Conn) {
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	close(c.done)
	s.work.Done()
}

// acceptSSH serves SSH without a WebSocket.
func (s *Server) acceptSSH() {
	for {
		c, err := s.ssh.Accept()
		if err != nil {
			return
		}
		go s.ServeSSH(c)
	}
}

// ServeSSH serves one SSH connection on any byte stream and returns when it
// has ended.
func (s *Server) ServeSSH(stream net.Conn) {
	c := &Conn{stream: stream}
	if tcp, ok := stream.(*net.TCPConn); ok {
		c.tcp = tcp
	}
	s.serve(c)
}
