package conn

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sftpProgram is OpenSSH's server program.
const sftpProgram = "/usr/lib/openssh/sftp-server"

// lab is a server that needs no SSH: each channel is an sftp-server process
// behind pipes, on a link whose round trip can be set and which can be cut.
type lab struct {
	t    testing.TB
	rtt  time.Duration
	args []string

	mu       sync.Mutex // guards all below
	open     map[*labTransport]bool
	refuse   error // of dials
	dials    int
	channels int // that one connection may have; 0: any number
}

func newLab(t testing.TB) *lab {
	if _, err := os.Stat(sftpProgram); err != nil {
		t.Fatalf("OpenSSH's sftp-server is needed (package openssh-sftp-server): %v", err)
	}
	return &lab{t: t, open: make(map[*labTransport]bool)}
}

// dialClient returns a Client of the lab, closed at the test's end.
func (l *lab) dialClient(o Options) *Client {
	l.t.Helper()
	return l.dialWith(o, openOwn)
}

func (l *lab) dialWith(o Options, open opener) *Client {
	l.t.Helper()
	c, err := newClient(l.t.Context(), o.withDefaults(), l.dial, open)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := c.Close(ctx); err != nil {
			l.t.Errorf("close: %v", err)
		}
	})
	return c
}

func (l *lab) dial(context.Context) (transport, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dials++
	if l.refuse != nil {
		return nil, l.refuse
	}
	t := &labTransport{lab: l, over: make(chan struct{})}
	t.last.Store(time.Now().UnixNano())
	l.open[t] = true
	return t, nil
}

// cut ends every connection.
func (l *lab) cut() {
	l.mu.Lock()
	var all []*labTransport
	for t := range l.open {
		all = append(all, t)
	}
	l.mu.Unlock()
	for _, t := range all {
		t.close()
	}
}

// allow has dials refused with err, or let in again.
func (l *lab) allow(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuse = err
}

type labTransport struct {
	lab  *lab
	once sync.Once
	over chan struct{}
	last atomic.Int64
	in   atomic.Int64

	mu       sync.Mutex // guards channels
	channels []*labChannel
}

var errCut = errors.New("the lab cut the link")

func (t *labTransport) openChannel(ctx context.Context) (io.ReadWriteCloser, error) {
	select {
	case <-time.After(t.lab.rtt):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.over:
		return nil, errCut
	default:
	}
	if t.lab.channels > 0 && len(t.channels) >= t.lab.channels {
		return nil, errors.New("no more channels")
	}
	ch, err := t.start()
	if err == nil {
		t.channels = append(t.channels, ch)
	}
	return ch, err
}

func (t *labTransport) refusesSFTP(context.Context) bool { return false }

// start runs a server program between two delaying pipes.
func (t *labTransport) start() (*labChannel, error) {
	cmd := exec.Command(sftpProgram, t.lab.args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	ch := &labChannel{Conn: ours, t: t, done: make(chan struct{}), server: theirs, cmd: cmd}
	var both sync.WaitGroup
	both.Go(func() { delay(in, theirs, t.lab.rtt/2, nil); _ = in.Close() })
	both.Go(func() { delay(theirs, out, t.lab.rtt/2, t); _ = theirs.Close() })
	go func() {
		both.Wait()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		close(ch.done)
	}()
	return ch, nil
}

// delay copies with a delay on each byte and no bound on the rate.
func delay(dst io.Writer, src io.Reader, by time.Duration, t *labTransport) {
	if by == 0 {
		buf := make([]byte, 64<<10)
		for {
			n, err := src.Read(buf)
			if n > 0 {
				t.heard(n)
				if _, err := dst.Write(buf[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	type parcel struct {
		due time.Time
		b   []byte
	}
	parcels := make(chan parcel, 4096)
	done := make(chan struct{})
	go func() {
		defer close(parcels)
		r := bufio.NewReaderSize(src, 64<<10)
		for {
			buf := make([]byte, 64<<10)
			n, err := r.Read(buf)
			if n > 0 {
				select {
				case parcels <- parcel{time.Now().Add(by), buf[:n]}:
				case <-done:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	defer close(done)
	for p := range parcels {
		time.Sleep(time.Until(p.due)) // the link's delay, no wait for an event
		t.heard(len(p.b))
		if _, err := dst.Write(p.b); err != nil {
			return
		}
	}
}

func (t *labTransport) heard(n int) {
	if t != nil {
		t.last.Store(time.Now().UnixNano())
		t.in.Add(int64(n))
	}
}

type labChannel struct {
	net.Conn
	t      *labTransport
	server net.Conn
	cmd    *exec.Cmd
	done   chan struct{}
}

// end closes both ends and the program.
func (ch *labChannel) end() {
	_ = ch.Conn.Close()
	_ = ch.server.Close()
	_ = ch.cmd.Process.Kill()
}

// run answers who serves the connection with its first server program, since
// the shell's parent would be the test.
func (t *labTransport) run(ctx context.Context, command string) (string, error) {
	if command == whoami {
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.channels) == 0 {
			return "", errCut
		}
		pid := t.channels[0].cmd.Process.Pid
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return fmt.Sprintf("sbxmount %d %d %d\n%s", pid, os.Getuid(), os.Getgid(), stat), err
	}
	out, err := exec.CommandContext(ctx, "sh", "-c", command).Output()
	return string(out), err
}

func (t *labTransport) ping(ctx context.Context) error {
	select {
	case <-time.After(t.lab.rtt):
		t.heard(1)
		return nil
	case <-t.over:
		return errCut
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *labTransport) lastByte() time.Time    { return time.Unix(0, t.last.Load()) }
func (t *labTransport) bytes() (in, out int64) { return t.in.Load(), 0 }

func (t *labTransport) wait() error {
	<-t.over
	return errCut
}

func (t *labTransport) close() error {
	t.once.Do(func() { close(t.over) })
	t.lab.mu.Lock()
	delete(t.lab.open, t)
	t.lab.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range t.channels {
		ch.end()
	}
	return nil
}
