package conn

import (
	"context"
	"net"
	"testing"
)

func TestDialSSHOverWebSocket(t *testing.T) {
	o := optionsFor(t, bridge(t, newSSHServer(t).serve))
	ctx, cancel := context.WithCancel(t.Context())
	c, err := dialSSH(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel() // the end of the dial's context does not touch what was dialled
	receive(t, c, 3<<20)
	send(t, c, 3<<20)
	if in, out := c.bytes(); in < 3<<20 || out < 3<<20 {
		t.Errorf("%d bytes in and %d out were counted", in, out)
	}
}

func TestDialSSHOverTCP(t *testing.T) {
	c := mustDial(t, optionsFor(t, "ssh://"+serveSSH(t, newSSHServer(t))))
	receive(t, c, 3<<20)
	send(t, c, 3<<20)
}

func TestDialStream(t *testing.T) {
	o := optionsFor(t, bridge(t, func(c net.Conn) {
		buf := make([]byte, 5)
		_, _ = c.Read(buf)
		_, _ = c.Write(append([]byte("got "), buf...))
	}))
	c, err := DialStream(soon(t), *o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, _ = c.Write([]byte("hello"))
	buf := make([]byte, 9)
	if _, err := c.Read(buf); err != nil || string(buf) != "got hello" {
		t.Fatalf("read %q: %v", buf, err)
	}
}
