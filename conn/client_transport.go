package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/crypto/ssh"
)

// transport is one authenticated connection that carries channels.
type transport interface {
	// openChannel opens a channel on which SFTP is spoken. 1 round trip.
	openChannel(ctx context.Context) (io.ReadWriteCloser, error)
	// refusesSFTP reports whether the server says that it has no SFTP. 2 round
	// trips.
	refusesSFTP(ctx context.Context) bool
	// run runs a shell command on the server and returns what it printed, up
	// to 64 KiB. About 3 round trips.
	run(ctx context.Context, command string) (string, error)
	// ping asks for a sign of life and waits for it. 1 round trip.
	ping(ctx context.Context) error
	lastByte() time.Time // when anything last arrived
	bytes() (in, out int64)
	wait() error // for the end of the connection
	close() error
}

// sshTransport is a transport over SSH.
type sshTransport struct{ conn *sshConn }

var _ transport = (*sshTransport)(nil)

func (t *sshTransport) lastByte() time.Time    { return t.conn.lastByte() }
func (t *sshTransport) bytes() (in, out int64) { return t.conn.bytes() }
func (t *sshTransport) wait() error            { return t.conn.Wait() }
func (t *sshTransport) close() error           { return t.conn.Close() }

// openChannel asks for the SFTP subsystem without waiting for the answer: what
// follows goes out right behind.
func (t *sshTransport) openChannel(ctx context.Context) (io.ReadWriteCloser, error) {
	return await(ctx, func() (io.ReadWriteCloser, error) {
		ch, _, err := t.askSFTP(false)
		return ch, err
	}, func(ch io.ReadWriteCloser) { _ = ch.Close() })
}

func (t *sshTransport) refusesSFTP(ctx context.Context) bool {
	refused, _ := await(ctx, func() (bool, error) {
		ch, ok, err := t.askSFTP(true)
		if err != nil {
			return false, err
		}
		return !ok, ch.Close()
	}, func(bool) {})
	return refused
}

// askSFTP opens a channel and asks for the subsystem on it. ok is the server's
// answer, where it is waited for.
func (t *sshTransport) askSFTP(answer bool) (ch io.ReadWriteCloser, ok bool, err error) {
	c, requests, err := t.conn.OpenChannel("session", nil)
	if err != nil {
		return nil, false, err
	}
	go ssh.DiscardRequests(requests)
	go func() { _, _ = io.Copy(io.Discard, c.Stderr()) }()
	if ok, err = c.SendRequest("subsystem", answer, ssh.Marshal(struct{ Name string }{"sftp"})); err != nil {
		_ = c.Close()
		return nil, false, err
	}
	return c, ok, nil
}

// maxOutput bounds what a command may print.
const maxOutput = 64 << 10

func (t *sshTransport) run(ctx context.Context, command string) (string, error) {
	type session struct{ *ssh.Session }
	s, err := await(ctx, func() (session, error) {
		s, err := t.conn.NewSession()
		return session{s}, err
	}, func(s session) { _ = s.Close() })
	if err != nil {
		return "", err
	}
	defer s.Close()
	return await(ctx, func() (string, error) {
		out, err := s.StdoutPipe()
		if err != nil {
			return "", err
		}
		if err := s.Start(command); err != nil {
			return "", err
		}
		var b bytes.Buffer
		_, err = io.Copy(&b, io.LimitReader(out, maxOutput))
		if err == nil {
			err = s.Wait()
		}
		return b.String(), err
	}, func(string) {})
}

func (t *sshTransport) ping(ctx context.Context) error {
	_, err := await(ctx, func() (struct{}, error) {
		_, _, err := t.conn.SendRequest("keepalive@openssh.com", true, nil)
		return none{}, err
	}, func(none) {})
	return err
}

// await runs f, which knows no context, and returns its answer or the end of
// ctx. late gets an answer that nobody waited for. f ends with its connection
// at the latest.
func await[T any](ctx context.Context, f func() (T, error), late func(T)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil {
				late(r.v)
			}
		}()
		var v T
		return v, context.Cause(ctx)
	}
}

var errNotNeeded = errors.New("the connection is not needed any more")
