package conn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pipes are a program's standard input and output as a channel.
type pipes struct {
	io.Reader
	io.WriteCloser
	program *exec.Cmd
}

func (p pipes) Close() error {
	_ = p.WriteCloser.Close()
	_ = p.program.Process.Kill()
	return nil
}

// sftpServer starts OpenSSH's sftp-server on pipes.
func sftpServer(t *testing.T) io.ReadWriteCloser {
	t.Helper()
	c := exec.Command("/usr/lib/openssh/sftp-server")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return pipes{out, in, c}
}

func openPkgOn(t *testing.T, channel io.ReadWriteCloser) session {
	t.Helper()
	s, err := openPkg(soon(t), channel, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	return s
}

// startAll starts requests and waits for all of their answers.
func startAll(s session, requests ...*request) {
	var all sync.WaitGroup
	all.Add(len(requests))
	for _, r := range requests {
		r.done = func(*request) { all.Done() }
		s.start(r)
	}
	all.Wait()
}

func TestPkgKeepsTheOrder(t *testing.T) {
	s := openPkgOn(t, sftpServer(t))
	path := filepath.Join(t.TempDir(), "file")
	open := &request{kind: reqOpen, path: path, flags: OpenRead | OpenWrite | OpenCreate, perm: 0o600}
	startAll(s, open)
	if open.err != nil {
		t.Fatal(open.err)
	}
	data := make([]byte, 32<<10)
	_, _ = pattern{}.Read(data)
	var requests []*request
	for i := range 50 {
		requests = append(requests, &request{kind: reqWrite, handle: open.opened, off: int64(i) * 32 << 10, buf: data})
	}
	stat := &request{kind: reqFstat, handle: open.opened}
	cut := &request{kind: reqFsetstat, handle: open.opened, set: SetAttr{Valid: SetSize, Attr: Attr{Size: 40 << 10}}}
	read := &request{kind: reqRead, handle: open.opened, buf: make([]byte, 32<<10), off: 32 << 10}
	last := &request{kind: reqClose, handle: open.opened}
	startAll(s, append(requests, stat, cut, read, last)...)
	if stat.attr.Size != 50*32<<10 {
		t.Errorf("the size behind the writes is %d", stat.attr.Size)
	}
	if read.err != io.EOF || read.n != 8<<10 || !bytes.Equal(read.buf[:read.n], data[:read.n]) {
		t.Errorf("the read behind the cut: %d bytes, %v", read.n, read.err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || info.Size() != 40<<10 {
		t.Errorf("the file: %v, %v", info, err)
	}
	after := &request{kind: reqRead, handle: open.opened, buf: make([]byte, 1)}
	startAll(s, after)
	if !errors.Is(after.err, BadHandle) {
		t.Errorf("a read from a closed handle: %v", after.err)
	}
}

func TestPkgErrors(t *testing.T) {
	s := openPkgOn(t, sftpServer(t))
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	for _, r := range []*request{
		{kind: reqLstat, path: missing}, {kind: reqStat, path: missing}, {kind: reqOpen, path: missing, flags: OpenRead},
		{kind: reqUnlink, path: missing}, {kind: reqRmdir, path: missing}, {kind: reqReadlink, path: missing},
		{kind: reqList, path: missing}, {kind: reqRename, path: missing, to: missing + "2"},
	} {
		startAll(s, r)
		if !errors.Is(r.err, NotExist) {
			t.Errorf("%s: %v", reqNames[r.kind], r.err)
		}
	}
	isDir, unsupported := &request{kind: reqUnlink, path: dir}, &request{kind: reqLsetstat, path: dir}
	startAll(s, isDir, unsupported)
	if !errors.Is(isDir.err, IsDir) {
		t.Errorf("unlink of a directory: %v", isDir.err)
	}
	if unsupported.err == nil {
		t.Error("lsetstat was done")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error("unlink removed a directory")
	}
}

func TestPkgEndsWithItsConnection(t *testing.T) {
	ours, theirs := net.Pipe()
	asked := make(chan struct{})
	go func() { // a server that answers the handshake and nothing else
		_, _ = io.ReadFull(theirs, make([]byte, 9))
		_, _ = theirs.Write([]byte{0, 0, 0, 5, 2, 0, 0, 0, 3})
		_, _ = io.ReadFull(theirs, make([]byte, 4))
		close(asked)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	s := openPkgOn(t, ours)
	var answered sync.WaitGroup
	answered.Add(3)
	done := func(*request) { answered.Done() }
	first := &request{kind: reqLstat, path: "/a", done: done}
	second := &request{kind: reqLstat, path: "/b", done: done}
	third := &request{kind: reqLstat, path: "/c", done: func(*request) { t.Error("withdrawn and answered") }}
	for _, r := range []*request{first, second, third} {
		s.start(r)
	}
	<-asked
	if !s.withdraw(third) {
		t.Fatal("a queued request can't be withdrawn")
	}
	if s.withdraw(third) {
		t.Error("it was withdrawn twice")
	}
	_ = theirs.Close()
	<-s.ended()
	late := &request{kind: reqLstat, path: "/d", done: done}
	s.start(late)
	answered.Wait()
	if l := asLost(first.err); l == nil || !l.sent || KindOf(l) != NotConnected {
		t.Errorf("the request under way ended with %v", first.err)
	}
	for _, r := range []*request{second, late} {
		if l := asLost(r.err); l == nil || l.sent {
			t.Errorf("a request that was not sent ended with %v", r.err)
		}
	}
}

func TestPkgHandshakeIsBounded(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, theirs) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := openPkg(ctx, ours, nil); KindOf(err) != TimedOut {
		t.Errorf("ended as %v", err)
	}
}
