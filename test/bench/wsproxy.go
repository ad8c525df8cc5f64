package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/coder/websocket"
)

// wsproxy connects stdin and stdout with a WebSocket: the ProxyCommand of
// the systems that use ssh, as websocat -b is in daily life.
func wsproxy(url string) error {
	ctx := context.Background()
	ws, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return err
	}
	defer ws.CloseNow()
	stream := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	ended := make(chan error, 2)
	relay := func(to io.Writer, from io.Reader) {
		_, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 64<<10))
		ended <- err
	}
	go relay(stream, os.Stdin)
	go relay(os.Stdout, stream)
	if err := <-ended; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
