package sandboxd_test

import (
	"context"
	"net"
	"net/http"
	"testing"

	"github.com/coder/websocket"
	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/sbxmount/sbxmount/conn/sandboxd"
)

// start starts a sandbox over an empty directory that ends with the test.
func start(t testing.TB, o sandboxd.Options) *sandboxd.Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := sandboxd.Start(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// dialWS opens a WebSocket as a byte stream.
func dialWS(t testing.TB, url string, header http.Header) (net.Conn, *http.Response, error) {
	t.Helper()
	ws, resp, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		return nil, resp, err
	}
	c := websocket.NetConn(context.Background(), ws, websocket.MessageBinary)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return c, resp, nil
}

// login logs in over a stream; without methods by none.
func login(t testing.TB, c net.Conn, user string, methods ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	sc, channels, requests, err := ssh.NewClientConn(c, "sandbox:22", &ssh.ClientConfig{
		User: user, Auth: methods, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		return nil, err
	}
	client := ssh.NewClient(sc, channels, requests)
	t.Cleanup(func() { _ = client.Close() })
	return client, nil
}

func dialSSH(t testing.TB, s *sandboxd.Server) *ssh.Client {
	t.Helper()
	c, _, err := dialWS(t, s.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := login(t, c, "user")
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func dialSFTP(t testing.TB, s *sandboxd.Server) *sftp.Client {
	t.Helper()
	client, err := sftp.NewClient(dialSSH(t, s), sftp.MaxPacketUnchecked(255<<10), sftp.UseConcurrentWrites(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}
