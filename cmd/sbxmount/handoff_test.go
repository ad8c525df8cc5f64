package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"testing"
)

// pairOf connects a starter with the test's end of the socket.
func pairOf(t *testing.T) (*starter, *json.Encoder, *json.Decoder, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	enc := json.NewEncoder(ours)
	go func() { _ = enc.Encode(order{Config: &config{Spec: "abc", Link: linkConfig{TrafficToken: "secret"}}}) }()
	s, c, err := greet(theirs)
	if err != nil || c.Spec != "abc" || c.Link.TrafficToken != "secret" {
		t.Fatalf("%+v, %v", c, err)
	}
	return s, enc, json.NewDecoder(ours), ours
}

func TestHandoffAsks(t *testing.T) {
	s, enc, dec, _ := pairOf(t)
	go func() {
		var r reply
		for _, o := range []order{{Answer: "opensesame"}, {Refused: true}} {
			if dec.Decode(&r) == nil {
				_ = enc.Encode(o)
			}
		}
	}()
	ask := askOnce(s.ask)
	for range 2 { // the second time from memory
		if got, err := ask(t.Context(), "Password: "); err != nil || got != "opensesame" {
			t.Errorf("%q, %v", got, err)
		}
	}
	if _, err := ask(t.Context(), "Passphrase: "); !errors.Is(err, errNobodyAnswers) {
		t.Errorf("refused: %v", err)
	}
}

func TestHandoffAbandoned(t *testing.T) {
	s, _, dec, ours := pairOf(t)
	go func() {
		var r reply
		_ = dec.Decode(&r)
		ours.Close()
	}()
	if _, err := s.ask(t.Context(), "Password: "); !errors.Is(err, errNobodyAnswers) {
		t.Errorf("%v", err)
	}
	<-s.gone.Done()
	s.tell(reply{Note: "nobody hears this"})
}

func TestHandoffInterrupted(t *testing.T) {
	s, _, dec, _ := pairOf(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		var r reply
		_ = dec.Decode(&r)
		cancel()
	}()
	if _, err := s.ask(ctx, "Password: "); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestServeByHand(t *testing.T) {
	ours, theirs := net.Pipe()
	ours.Close()
	if _, _, err := greet(theirs); !errors.Is(err, errNoStarter) {
		t.Errorf("%v", err)
	}
}
