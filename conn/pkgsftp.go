package conn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/pkg/sftp"
)

// pkgSession is a session with the client of pkg/sftp: the reference beside
// our own, and the way out for a server that ours can't cope with.
//
// Its calls block, one goroutine each. Reads and writes of a stretch of the
// queue run side by side; everything else runs alone, after all before it, so
// that the order is the queue's. What it can't do: listings tell no link
// counts and are not cut short, nor bounded; several round trips stand for one
// where modes are to be set; a handle's times can be set only while its path
// still leads to it. It believes a server's short answer amid a read.
type pkgSession struct {
	client  *sftp.Client
	able    features
	ctx     context.Context // ends with the session
	cancel  context.CancelFunc
	over    chan struct{}  // closed once everything was answered
	running sync.WaitGroup // reads and writes under way
	slots   chan struct{}  // one each of them

	answering sync.Mutex // held around done: one at a time; before mu

	mu      sync.Mutex // guards all below
	changed *sync.Cond // queue or lost changed
	queue   []*request
	lost    error // why the session ended; nil while it lives
	files   map[handle]*pkgFile
	last    uint64 // number of the last handle
}

// pkgFile is an open file.
type pkgFile struct {
	*sftp.File
	appends bool // its writes must not overtake one another
}

var _ session = (*pkgSession)(nil)

const (
	// pkgPacket is what every server serves whole: pkg/sftp does not tell
	// limits@openssh.com.
	pkgPacket = 32 << 10
	// pkgSlots keeps a window of 2 MiB full.
	pkgSlots = 64
)

// openPkg makes a session with pkg/sftp's client.
func openPkg(ctx context.Context, channel io.ReadWriteCloser, _ *features) (session, error) {
	stop := context.AfterFunc(ctx, func() { _ = channel.Close() })
	client, err := sftp.NewClientPipe(channel, channel, sftp.MaxPacketChecked(pkgPacket))
	if err == nil && !stop() {
		_ = client.Close()
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = channel.Close()
		return nil, &Error{Op: "connection", Kind: pkgKind(ctx, err), Err: err}
	}
	s := &pkgSession{
		client: client, over: make(chan struct{}), slots: make(chan struct{}, pkgSlots),
		files: make(map[handle]*pkgFile),
	}
	s.changed = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.able = features{
		maxRead: pkgPacket, maxWrite: pkgPacket,
		posixRename: s.has("posix-rename@openssh.com", "1"), statvfs: s.has("statvfs@openssh.com", "2"),
		hardlink: s.has("hardlink@openssh.com", "1"), fsync: s.has("fsync@openssh.com", "1"),
	}
	go s.watch()
	go s.run()
	return s, nil
}

// brokenLink are the ends of a connection that say nothing about the server.
var brokenLink = []error{
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, os.ErrClosed, syscall.ECONNRESET, syscall.EPIPE,
	sftp.ErrSSHFxConnectionLost,
}

// pkgKind tells a broken connection from an answer that breaks the protocol.
func pkgKind(ctx context.Context, err error) Kind {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return TimedOut
	}
	for _, end := range brokenLink {
		if ctx.Err() != nil || errors.Is(err, end) {
			return NotConnected
		}
	}
	return Protocol
}

func (s *pkgSession) has(extension, version string) bool {
	v, ok := s.client.HasExtension(extension)
	return ok && v == version
}

func (s *pkgSession) features() features     { return s.able }
func (s *pkgSession) ended() <-chan struct{} { return s.over }

func (s *pkgSession) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &lostError{sent: true, cause: s.lost}
}

func (s *pkgSession) start(r *request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending() {
		// run is gone, or about to: it answers to nobody who comes later.
		go s.answer(r, &lostError{cause: s.lost})
		return
	}
	s.queue = append(s.queue, r)
	s.changed.Broadcast()
}

// ending reports whether run takes nothing from the queue any more. s.mu is
// held.
func (s *pkgSession) ending() bool { return s.lost != nil }

func (s *pkgSession) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, q := range s.queue {
		if q == r {
			s.queue = append(s.queue[:i:i], s.queue[i+1:]...)
			return true
		}
	}
	return false
}

func (s *pkgSession) close() error {
	s.end(&Error{Op: "connection", Kind: Closed})
	<-s.over
	return nil
}

// end makes cause the reason why the session is over, unless there is one.
func (s *pkgSession) end(cause error) {
	s.mu.Lock()
	if s.lost == nil {
		s.lost = cause
	}
	s.changed.Broadcast()
	s.mu.Unlock()
	s.cancel()
	_ = s.client.Close()
}

// watch waits for the connection's end.
func (s *pkgSession) watch() {
	err := s.client.Wait()
	s.end(&Error{Op: "connection", Kind: pkgKind(s.ctx, err), Err: err})
}

// run carries the queue out until the session ends, and answers the rest.
func (s *pkgSession) run() {
	defer close(s.over)
	for r := s.next(); r != nil; r = s.next() {
		if s.aside(r) {
			s.slots <- struct{}{}
			s.running.Go(func() {
				s.answer(r, s.carryOut(r))
				<-s.slots
			})
			continue
		}
		s.running.Wait()
		s.answer(r, s.carryOut(r))
	}
	s.running.Wait()
	s.mu.Lock()
	rest := s.queue
	s.queue = nil
	s.mu.Unlock()
	for _, r := range rest {
		s.answer(r, &lostError{cause: s.lost})
	}
}

// next takes a request from the queue; nil says that the session is over.
func (s *pkgSession) next() *request {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) == 0 && s.lost == nil {
		s.changed.Wait()
	}
	if s.lost != nil {
		return nil
	}
	r := s.queue[0]
	s.queue = s.queue[1:]
	return r
}

// aside reports whether r may run beside others of its kind.
func (s *pkgSession) aside(r *request) bool {
	if r.kind == reqRead {
		return true
	}
	f := s.file(r.handle)
	return r.kind == reqWrite && f != nil && !f.appends
}

// answer gives r its end.
func (s *pkgSession) answer(r *request, err error) {
	r.err = s.ends(r, err)
	s.answering.Lock()
	defer s.answering.Unlock()
	r.done(r)
}

// ends makes an error of pkg/sftp one of a session.
func (s *pkgSession) ends(r *request, err error) error {
	var (
		status *sftp.StatusError
		known  *Error
		lost   *lostError
	)
	switch {
	case err == nil, err == io.EOF && r.kind == reqRead, errors.As(err, &lost), errors.As(err, &known):
		return err
	case err == io.EOF:
		return newStatusError(r, fxEOF, "end of file")
	case errors.Is(err, os.ErrNotExist):
		return newStatusError(r, fxNoSuchFile, "")
	case errors.Is(err, os.ErrPermission):
		return newStatusError(r, fxPermissionDenied, "")
	case errors.As(err, &status):
		return newStatusError(r, status.Code, pkgMessage(status))
	case errors.Is(err, os.ErrClosed):
		return newStatusError(r, fxFailure, "invalid handle")
	}
	// What is left is a broken connection, or an answer that makes no sense:
	// its session is of no more use.
	s.end(&Error{Op: "connection", Kind: pkgKind(s.ctx, err), Err: err})
	return s.cause()
}

// pkgMessage returns the server's words, which pkg/sftp only quotes.
func pkgMessage(s *sftp.StatusError) string {
	quoted, err := strconv.QuotedPrefix(strings.TrimPrefix(s.Error(), "sftp: "))
	if err != nil {
		return ""
	}
	text, _ := strconv.Unquote(quoted)
	return text
}

func (s *pkgSession) file(h handle) *pkgFile {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.files[h]
}
