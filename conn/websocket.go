package conn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/sbxmount/sbxmount/conn/sandbox"
)

// maxUpgradeHeader bounds the header of the answer to an upgrade.
const maxUpgradeHeader = 64 << 10

// webSocket dials an endpoint's WebSocket. ctx bounds the upgrade, not the
// connection. 3 round trips with TLS (TCP, TLS 1.3, the upgrade), 2 without.
func (d *dialer) webSocket(ctx context.Context, e sandbox.Endpoint) (*wsConn, error) {
	if e.URL.Scheme == "ws" && !d.o.Insecure && !sandbox.IsLoopback(e.URL) {
		return nil, dialFailed(NotConnected, BadEndpoint, errors.New("ws:// leaves traffic and token readable on the way")).
			advised("Use wss://, or allow it with --insecure.")
	}
	transport := d.transport()
	defer transport.CloseIdleConnections()
	header := e.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("User-Agent", "sbxmount")
	ws, resp, err := websocket.Dial(ctx, e.URL.String(), &websocket.DialOptions{
		HTTPClient:      &http.Client{Transport: transport, CheckRedirect: sandbox.SameOrigin},
		HTTPHeader:      header,
		CompressionMode: websocket.CompressionDisabled, // SSH's bytes do not compress
	})
	if err != nil {
		return nil, upgradeFailed(ctx, resp, err)
	}
	ws.SetReadLimit(-1) // a message is streamed, so that its size costs no memory
	return &wsConn{link: d.link.Load(), ws: ws}, nil
}

// transport makes the HTTP transport of one upgrade: HTTP/1.1, since only that
// is upgraded.
func (d *dialer) transport() *http.Transport {
	config := &tls.Config{}
	if d.o.TLS != nil {
		config = d.o.TLS.Clone()
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.NextProtos = []string{"http/1.1"}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        config,
		Protocols:              protocols,
		DisableKeepAlives:      false, // "Connection: close" would stand in the upgrade's way
		MaxResponseHeaderBytes: maxUpgradeHeader,
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			l, err := d.tcp(ctx, addr)
			if err != nil {
				return nil, err
			}
			return l, nil
		},
	}
}

// upgradeFailed makes the error of a failed upgrade.
func upgradeFailed(ctx context.Context, resp *http.Response, err error) error {
	if resp == nil || ctx.Err() != nil {
		return networkFailed(ctx, err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return dialFailed(NotConnected, BadEndpoint, errors.New("the upgrade's answer breaks the WebSocket protocol"))
	}
	body, _ := io.ReadAll(resp.Body) // its first kilobyte, in memory already
	return refused(resp, body)
}

// wsConn is the byte stream inside of a WebSocket: binary messages of any
// framing in, messages of up to maxMessage bytes and one TCP write each out.
//
// One goroutine may read and one may write at a time. It has no deadlines: a
// deadline that strikes amid a frame leaves nothing to go on with.
type wsConn struct {
	link    *link
	ws      *websocket.Conn
	message io.Reader // what is left of the message being read; nil between two
}

var _ net.Conn = (*wsConn)(nil)

// Read reads on, over message boundaries. A close of whatever kind that the
// other end announced is the end of the stream.
func (w *wsConn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if w.message == nil {
			kind, r, err := w.ws.Reader(context.Background())
			if err != nil {
				return 0, streamEnd(err)
			}
			if kind != websocket.MessageBinary {
				_ = w.Close()
				return 0, errors.New("websocket: a text message where bytes belong")
			}
			w.message = r
		}
		n, err := w.message.Read(p)
		if err == io.EOF {
			w.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func streamEnd(err error) error {
	switch websocket.CloseStatus(err) {
	case websocket.StatusNormalClosure, websocket.StatusGoingAway, websocket.StatusNoStatusRcvd:
		return io.EOF
	}
	return err
}

// Write sends p in messages, never an empty one: websocat takes that for the
// end.
func (w *wsConn) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), maxMessage)
		if err := w.send(p[:n]); err != nil {
			return written, err
		}
		p, written = p[n:], written+n
	}
	return written, nil
}

func (w *wsConn) send(message []byte) error {
	w.link.cork()
	err := w.ws.Write(context.Background(), websocket.MessageBinary, message)
	if flushed := w.link.uncork(); err == nil {
		err = flushed
	}
	return err
}

// Close ends the connection at once. No close frame waits for a dead link;
// the end of the TCP connection says as much.
func (w *wsConn) Close() error {
	err := w.link.Close()
	_ = w.ws.CloseNow()
	return err
}

func (w *wsConn) LocalAddr() net.Addr  { return w.link.LocalAddr() }
func (w *wsConn) RemoteAddr() net.Addr { return w.link.RemoteAddr() }

var errNoDeadline = fmt.Errorf("websocket: deadlines: %w", errors.ErrUnsupported)

func (w *wsConn) SetDeadline(time.Time) error      { return errNoDeadline }
func (w *wsConn) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (w *wsConn) SetWriteDeadline(time.Time) error { return errNoDeadline }
