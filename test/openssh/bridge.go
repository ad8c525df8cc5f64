package openssh

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/sbxmount/sbxmount/test/process"
)

// startBridge starts a bridge on a free port and returns where it listens.
func startBridge(kind Bridge, target string) (addr string, bridge io.Closer, err error) {
	switch kind {
	case Own:
		return startOwn(target)
	case Websockify:
		return startWebsockify(target)
	case Websocat:
		return startWebsocat(target)
	}
	return "", nil, fmt.Errorf("no bridge %d", kind)
}

// frame is the largest message sent: websocat's -B 65536.
const frame = 64 << 10

// ownBridge is a WebSocket server that connects each client to target.
type ownBridge struct {
	target  string
	server  *http.Server
	ctx     context.Context // ends all connections
	end     context.CancelFunc
	running sync.WaitGroup
}

func startOwn(target string) (string, io.Closer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	b := &ownBridge{target: target}
	b.ctx, b.end = context.WithCancel(context.Background())
	b.server = &http.Server{Handler: b, ReadHeaderTimeout: time.Minute, ConnState: b.count}
	b.running.Go(func() { b.server.Serve(listener) })
	return listener.Addr().String(), b, nil
}

// Close ends all connections and waits for them.
func (b *ownBridge) Close() error {
	b.end()
	err := b.server.Close()
	b.running.Wait()
	return err
}

// count keeps track of connections. One that became a WebSocket is counted
// off by ServeHTTP: the HTTP server has lost sight of it.
func (b *ownBridge) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		b.running.Add(1)
	case http.StateClosed:
		b.running.Done()
	}
}

// ServeHTTP bridges one connection until either side ends.
func (b *ownBridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return
	}
	defer b.running.Done()
	defer ws.CloseNow()
	ws.SetReadLimit(-1)
	tcp, err := net.Dial("tcp", b.target)
	if err != nil {
		ws.Close(websocket.StatusInternalError, "the port is closed")
		return
	}
	defer tcp.Close()

	ctx, end := context.WithCancel(b.ctx)
	defer end()
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	var both sync.WaitGroup
	both.Go(func() { defer end(); up(ctx, ws, tcp) })
	both.Go(func() { defer end(); down(ctx, ws, tcp) })
	both.Wait()
}

// up carries what the client sends.
func up(ctx context.Context, ws *websocket.Conn, tcp net.Conn) {
	buf := make([]byte, frame)
	for {
		_, message, err := ws.Reader(ctx)
		if err != nil {
			return
		}
		if _, err := io.CopyBuffer(plain{tcp}, message, buf); err != nil {
			return
		}
	}
}

// plain hides ReadFrom, which would read into a buffer of its own.
type plain struct{ io.Writer }

// down carries what sshd sends: each read is a message.
func down(ctx context.Context, ws *websocket.Conn, tcp net.Conn) {
	buf := make([]byte, frame)
	for {
		n, err := tcp.Read(buf)
		if n > 0 {
			if ws.Write(ctx, websocket.MessageBinary, buf[:n]) != nil {
				return
			}
		}
		if err == io.EOF {
			ws.Close(websocket.StatusNormalClosure, "")
		}
		if err != nil {
			return
		}
	}
}

// programBridge is a bridge that is a program.
type programBridge struct{ *process.Process }

func (p programBridge) Close() error {
	p.Kill()
	return nil
}

// startWebsockify hands websockify a listening socket, as inetd would: nobody
// can take the port, and connections are accepted by the kernel before the
// program is up.
func startWebsockify(target string) (string, io.Closer, error) {
	path, err := exec.LookPath("websockify")
	if err != nil {
		return "", nil, fmt.Errorf("%w (Debian: websockify)", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	defer listener.Close()
	file, err := listener.(*net.TCPListener).File()
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	cmd := exec.Command(path, "--inetd", target)
	cmd.Stdin = file
	p, err := process.Start(cmd)
	if err != nil {
		return "", nil, err
	}
	return listener.Addr().String(), programBridge{p}, nil
}

// startWebsocat runs websocat as a sandbox's start command does.
func startWebsocat(target string) (string, io.Closer, error) {
	path, err := exec.LookPath("websocat")
	if err != nil {
		return "", nil, err
	}
	for {
		port, err := freePort()
		if err != nil {
			return "", nil, err
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		p, err := process.Start(exec.Command(path, "-b", "--exit-on-eof", "ws-l:"+addr, "tcp:"+target))
		if err != nil {
			return "", nil, err
		}
		if err = p.Connects(addr, patience); err == nil {
			return addr, programBridge{p}, nil
		}
		p.Kill()
		if !strings.Contains(p.Output(), "in use") {
			return "", nil, fmt.Errorf("websocat does not start: %w\n%s", err, p.Output())
		}
	}
}
