package sandboxd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// hostKey reads the host key from a file, or makes one: in the file, if one is
// named, else in memory.
func hostKey(file string) (ssh.Signer, error) {
	if file != "" {
		data, err := os.ReadFile(file)
		if err == nil {
			return ssh.ParsePrivateKey(data)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	if file != "" {
		block, err := ssh.MarshalPrivateKey(key, "sandbox")
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			return nil, err
		}
	}
	return ssh.NewSignerFromKey(key)
}

var errLogin = errors.New("login refused")

// sshConfig says how clients log in.
func (s *Server) sshConfig(key ssh.Signer) *ssh.ServerConfig {
	a := s.o.Auth
	c := &ssh.ServerConfig{ServerVersion: "SSH-2.0-sandboxd"}
	c.AddHostKey(key)
	allow := func(m ssh.ConnMetadata, ok bool) (*ssh.Permissions, error) {
		if !ok || s.o.User != "" && m.User() != s.o.User {
			return nil, errLogin
		}
		return nil, nil
	}
	if a.open() && !a.NoNone {
		c.NoClientAuth = true
		c.NoClientAuthCallback = func(m ssh.ConnMetadata) (*ssh.Permissions, error) { return allow(m, true) }
	}
	if a.open() || a.Password != "" {
		c.PasswordCallback = func(m ssh.ConnMetadata, p []byte) (*ssh.Permissions, error) {
			return allow(m, same(string(p), a.Password))
		}
	}
	if len(a.Keys) > 0 {
		c.PublicKeyCallback = func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			return allow(m, knows(a.Keys, k))
		}
	}
	return c
}

func knows(keys []ssh.PublicKey, k ssh.PublicKey) bool {
	for _, known := range keys {
		if string(known.Marshal()) == string(k.Marshal()) {
			return true
		}
	}
	return false
}

// loginGrace is sshd's LoginGraceTime.
const loginGrace = 2 * time.Minute

// serve serves one connection until it ends.
func (s *Server) serve(c *Conn) {
	if !s.add(c) {
		c.Reset()
		return
	}
	defer s.remove(c)
	if s.State() != Running { // it changed during the upgrade
		c.Reset()
		return
	}
	grace := time.AfterFunc(loginGrace, c.Reset)
	sc, channels, requests, err := ssh.NewServerConn(c.stream, s.keys)
	if grace.Stop(); err != nil {
		s.o.Log.Debug("no login", "err", err)
		_ = c.stream.Close()
		return
	}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	ctx, cancel := context.WithCancel(s.ctx)
	var sessions sync.WaitGroup
	sessions.Go(func() { ssh.DiscardRequests(requests) })
	s.serveChannels(ctx, c, channels, &sessions)
	cancel()
	_ = sc.Close()
	sessions.Wait()
	s.o.Log.Debug("connection ended", "err", sc.Wait())
}

// serveChannels opens session channels, at most Options.MaxSessions at a time,
// until the connection ends.
func (s *Server) serveChannels(ctx context.Context, c *Conn, channels <-chan ssh.NewChannel, sessions *sync.WaitGroup) {
	var open atomic.Int32
	for nc := range channels {
		if nc.ChannelType() != "session" {
			_ = nc.Reject(ssh.UnknownChannelType, "only sessions are served")
			continue
		}
		if int(open.Load()) >= s.o.MaxSessions {
			_ = nc.Reject(ssh.ConnectionFailed, "open failed") // sshd's words
			continue
		}
		ch, requests, err := nc.Accept()
		if err != nil {
			continue
		}
		open.Add(1)
		sessions.Go(func() {
			defer open.Add(-1)
			s.serveSession(ctx, c, ch, requests)
		})
	}
}

// serveSession serves one session channel: the sftp subsystem or a command.
func (s *Server) serveSession(ctx context.Context, c *Conn, ch ssh.Channel, requests <-chan *ssh.Request) {
	defer ch.Close()
	run := s.startOf(ctx, c, ch, requests)
	if run == nil {
		return
	}
	var rest sync.WaitGroup
	rest.Go(func() { ssh.DiscardRequests(requests) })
	status := run()
	_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(status)}))
	_ = ch.Close()
	rest.Wait()
}

// startOf waits for the request that says what a session is to run; nil when
// the channel ends before.
func (s *Server) startOf(ctx context.Context, c *Conn, ch ssh.Channel, requests <-chan *ssh.Request) func() int {
	for r := range requests {
		var run func() int
		var arg struct{ Text string }
		switch {
		case ssh.Unmarshal(r.Payload, &arg) != nil:
		case r.Type == "subsystem" && arg.Text == "sftp" && !s.o.NoSFTP:
			run = func() int { return s.serveSFTP(ch) }
		case r.Type == "exec" && s.o.Exec != nil:
			run = func() int {
				return s.o.Exec(ctx, Exec{Conn: c, Command: arg.Text, Stdin: ch, Stdout: ch, Stderr: ch.Stderr()})
			}
		}
		if r.WantReply {
			_ = r.Reply(run != nil, nil)
		}
		if run != nil {
			return run
		}
	}
	return nil
}

// serveSFTP runs one SFTP session and returns its exit status.
func (s *Server) serveSFTP(ch ssh.Channel) int {
	var rw io.ReadWriteCloser = ch
	if s.o.SFTP != nil {
		rw = s.o.SFTP(ch)
	}
	session := newSession(s, rw)
	err := session.serve()
	session.close()
	_ = rw.Close()
	if err != nil {
		s.o.Log.Debug("SFTP session ended", "err", err)
		return 255 // sftp-server's for a fatal error
	}
	return 0
}
