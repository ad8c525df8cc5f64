package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answersWithin is how long a daemon that is well takes at most to tell its
// status: it takes no round trip.
const answersWithin = 5 * time.Second

// maxAnswer bounds an answer: a status names some hundred files at most.
const maxAnswer = 16 << 20

// errUnreached is a request that no daemon took.
var errUnreached = errors.New("not reached")

// call asks the mount's daemon.
func (m *mountRef) call(ctx context.Context, method, path string, v any) error {
	t := &http.Transport{DialContext: m.dial}
	defer t.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://sbxmount"+path, nil)
	if err != nil {
		return err
	}
	resp, err := t.RoundTrip(req)
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", errUnreached, err)
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the daemon answers %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(v)
}

func (m *mountRef) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	path, hold, err := socketPath(m.dir)
	if err != nil {
		return nil, err
	}
	defer hold.Close() // nil is fine
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

// status asks how the mount is.
func (m *mountRef) status(ctx context.Context) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	var s status
	err := m.call(ctx, http.MethodGet, "/status", &s)
	return s, err
}

// do has the daemon do something. Errors that are no *failure mean that it
// could not be asked.
func (m *mountRef) do(ctx context.Context, path string) error {
	var o outcome
	if err := m.call(ctx, http.MethodPost, path, &o); err != nil {
		return err
	}
	if o.Failure != nil {
		return o.Failure
	}
	return nil
}

// dyingTime is how long the kernel may take to end a killed daemon: its lock
// goes with the last thread, after the process is dead to everybody else.
const dyingTime = 2 * time.Second

// errGone is a daemon that ended before it took a request: what is there now
// has to be looked up again.
var errGone = errors.New("the daemon ended before it was asked")

// endedSoon reports whether a daemon that hung up, or whose process is dead, is
// gone for good within dyingTime.
func (m *mountRef) endedSoon(ctx context.Context) bool {
	patience, cancel := context.WithTimeout(ctx, dyingTime)
	defer cancel()
	return m.ended(patience) == nil
}

// obituary is the end of a daemon that was asked something and gave no answer
// but err; nil where it lives.
func (m *mountRef) obituary(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil || !m.endedSoon(ctx):
		return nil
	case errors.Is(err, errUnreached):
		return errGone
	}
	note := m.bury()
	if note == "" {
		return errGone // in order, on somebody else's request
	}
	return failed(exitNotDelivered, "What was written and neither closed nor synced may be lost.", "%s", note)
}

// errStillThere is a daemon that said it would end and does not.
var errStillThere = errors.New("the daemon still runs")

// ended waits until the daemon has given up its claim.
func (m *mountRef) ended(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for m.alive() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errStillThere
		}
	}
	return nil
}
