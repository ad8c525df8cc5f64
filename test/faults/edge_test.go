package faults_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/pkg/sftp"

	"github.com/sbxmount/sbxmount/test/faults"
)

func TestFramings(t *testing.T) {
	for name, f := range map[string]faults.Frames{
		"1 byte":                 {Message: 1},
		"64 KiB":                 {Message: 64 << 10},
		"1 MiB":                  {Message: 1 << 20},
		"fragments of 1 byte":    {Fragment: 1},
		"fragments and pings":    {Fragment: 1000, Ping: 2},
		"empty messages":         {Empty: 2},
		"1 MiB in 64 KiB, pings": {Message: 1 << 20, Fragment: 64 << 10, Ping: 1},
	} {
		t.Run(name, func(t *testing.T) {
			size := 1 << 20
			if f.Message == 1 || f.Fragment == 1 {
				size = 20_000
			}
			r := start(t, faults.Server{Sandbox: public, Frames: f})
			client, err := dialSSH(t, r)
			if err != nil {
				t.Fatal(err)
			}
			c, err := sftp.NewClient(client)
			if err != nil {
				t.Fatal(err)
			}
			there := make([]byte, size)
			_, _ = rand.Read(there)
			file, err := c.Create("f")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.Write(there); err != nil {
				t.Fatal(err)
			}
			back := make([]byte, size)
			if _, err := file.ReadAt(back, 0); err != nil || !bytes.Equal(there, back) {
				t.Fatalf("read back: %v", err)
			}
		})
	}
}

// Each end ends the connection, before or after the login.
func TestEnds(t *testing.T) {
	for _, end := range []faults.End{
		faults.EndClose, faults.EndNoCode, faults.EndError, faults.EndHangup, faults.EndReset, faults.EndMidFrame,
		faults.EndPage, faults.EndHuge, faults.EndHugeSign, faults.EndReserved, faults.EndMasked, faults.EndOpcode,
		faults.EndContinues, faults.EndInterleaved, faults.EndLongPing, faults.EndSplitPing, faults.EndBadCode,
		faults.EndHalfCode, faults.EndSilence,
	} {
		for _, after := range []int64{0, 700, 2500} {
			r := start(t, faults.Server{Sandbox: public, Frames: faults.Frames{End: end, After: after}})
			done := make(chan error, 1)
			go func() {
				client, err := dialSSH(t, r)
				if err == nil {
					_, err = sftp.NewClient(client)
				}
				done <- err
			}()
			switch end {
			case faults.EndSilence, faults.EndHuge, faults.EndMasked: // coder/websocket takes masked frames
				time.AfterFunc(100*time.Millisecond, func() { r.Drop() })
			}
			select {
			case err := <-done:
				if err == nil {
					t.Errorf("%s after %d bytes: nothing happened", end, after)
				}
			case <-time.After(patience):
				t.Errorf("%s after %d bytes: the client hangs", end, after)
			}
		}
	}
}

func TestAnswersOfTheEdge(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public})
	for answer, status := range map[faults.Answer]int{
		faults.NotFound: 502, faults.PortClosed: 502, faults.BadGateway: 502, faults.EndlessBody: 502,
		faults.Forbidden: 403, faults.Transitioning: 409, faults.TooMany: 429, faults.BadRequest: 400,
		faults.Page: 200, faults.Redirect: 302, faults.BadKey: 101, faults.Bare: 101, faults.TextUpgrade: 101,
		faults.Hangup: 0, faults.Reset: 0, faults.NotHTTP: 0, faults.HalfHeader: 0, faults.EndlessHeader: 0,
		faults.Nothing: 0,
	} {
		r.SetEdge(faults.Edge{Answer: answer, Times: 1})
		got, err := upgrade(r.Addr())
		if got != status || (err != nil) != (status == 0) {
			t.Errorf("%s: status %d, %v", answer, got, err)
		}
		if _, err := dialSSH(t, r); err != nil {
			t.Errorf("after %s: %v", answer, err)
		}
	}
}

// upgrade asks for a WebSocket and returns the answer's status.
func upgrade(addr string) (int, error) {
	req, _ := http.NewRequest(http.MethodGet, "http://"+addr+"/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	tr := &http.Transport{MaxResponseHeaderBytes: 64 << 10, ResponseHeaderTimeout: 200 * time.Millisecond}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}

// The connection ends at every step of the handshake and after.
func TestStreamEnds(t *testing.T) {
	for n := int64(1); n < 3000; n += 97 {
		for _, s := range []faults.Stream{{CloseOut: n, Times: 1}, {CloseIn: n, Times: 1}} {
			r := start(t, faults.Server{Sandbox: public, Stream: s})
			client, err := dialSSH(t, r)
			if err == nil {
				_, err = sftp.NewClient(client)
			}
			if err == nil && n < 1500 {
				t.Errorf("%+v: nothing happened", s)
			}
			if client, err = dialSSH(t, r); err == nil {
				_, err = sftp.NewClient(client)
			}
			if err != nil {
				t.Errorf("%+v: the second dial: %v", s, err)
			}
			_ = r.Close()
		}
	}
}

func TestGreetings(t *testing.T) {
	for _, g := range []faults.Greeting{
		faults.GreetingNone, faults.GreetingEndless, faults.GreetingLong, faults.GreetingOld, faults.GreetingHTTP,
	} {
		t.Run(string(g), func(t *testing.T) {
			r := start(t, faults.Server{Sandbox: public, Stream: faults.Stream{Greeting: g}})
			time.AfterFunc(300*time.Millisecond, func() { r.Drop() }) // x/crypto/ssh waits for more
			if _, err := dialSSH(t, r); err == nil {
				t.Error("logged in")
			}
		})
	}
}

func TestDrippingStream(t *testing.T) {
	r := start(t, faults.Server{Sandbox: public, Stream: faults.Stream{Drip: time.Microsecond}})
	if _, err := dialSSH(t, r); err != nil {
		t.Fatal(err)
	}
	r = start(t, faults.Server{Sandbox: public, Stream: faults.Stream{SilentAfter: 100}})
	time.AfterFunc(100*time.Millisecond, func() { r.Drop() })
	if _, err := dialSSH(t, r); err == nil {
		t.Error("logged in through silence")
	}
}

// A token is asked for where the sandbox asks for one, also by the WebSocket
// that is formed here.
func TestTokenIsNeeded(t *testing.T) {
	r := start(t, faults.Server{Frames: faults.Frames{Message: 100}})
	if status, err := upgrade(r.Addr()); status != 403 {
		t.Errorf("status %d, %v", status, err)
	}
	if _, err := dialSSH(t, r); err != nil {
		t.Error(err)
	}
}
