package contract_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandboxd"
	"github.com/sbxmount/sbxmount/test/link"
	"github.com/sbxmount/sbxmount/test/openssh"
)

// A dial waits for no more round trips than its documentation says: counted by
// causality, so that a slow machine does not matter.
func TestDialRoundTrips(t *testing.T) {
	box := start(t, sandboxd.Options{Public: true})
	ssh := openssh.Start(t, openssh.Options{Bridge: openssh.Own})
	for _, c := range []struct {
		name, addr  string
		url         func(addr string) string
		o           conn.Options
		stream, all int64
	}{
		// TCP, upgrade | versions, key exchange (2), service, none | channel and subsystem, SFTP's handshake, what is asked of the server
		{"method none", box.Addr(), func(a string) string { return strings.Replace(box.URL(), box.Addr(), a, 1) },
			conn.Options{}, 2, 10},
		{"a key", ssh.Addr, ssh.Via, conn.Options{
			User: ssh.User, Auth: conn.AuthOptions{Identities: []string{ssh.Identity}},
		}, 2, 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			l, err := link.New(link.Options{Target: c.addr, RTT: 2 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			c.o.Provider = fixed(t, c.url(l.Addr()))
			c.o.HostKeys = conn.HostKeyOptions{File: filepath.Join(t.TempDir(), "known_hosts")}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			before := l.Stats()
			stream, err := conn.DialStream(ctx, c.o)
			if err != nil {
				t.Fatal(err)
			}
			took := l.Stats().Sub(before).RoundTrips
			_ = stream.Close()
			if took > c.stream {
				t.Errorf("DialStream took %d round trips, not %d", took, c.stream)
			}
			before = l.Stats()
			client, err := conn.Dial(ctx, c.o)
			if err != nil {
				t.Fatal(err)
			}
			took = l.Stats().Sub(before).RoundTrips
			t.Logf("Dial took %d round trips", took)
			if took > c.all {
				t.Errorf("Dial took %d round trips, not %d", took, c.all)
			}
			if err := client.Close(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
