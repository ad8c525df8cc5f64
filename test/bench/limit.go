package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sbxmount/sbxmount/conn"
	"github.com/sbxmount/sbxmount/conn/sandbox"
	"github.com/sbxmount/sbxmount/test/process"
)

// limit moves bulk data by package conn with no file system above, in a
// process of its own, as the other systems are: this program's hidden command
// "limit", which is told what to do through stdin.
type limit struct{ *lab }

func (l *limit) Name() string      { return "limit" }
func (l *limit) Missing() error    { return nil }
func (l *limit) Does(w *Work) bool { return w.Limit != NoStream }

// Start returns when the connection serves.
func (l *limit) Start(ctx context.Context, site *Site) (Session, error) {
	cmd := exec.Command(l.self, "limit", l.url, l.server.User, l.server.Identity, l.server.KnownHosts)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	s := &limitSession{in: in}
	if s.process, err = process.Start(cmd); err != nil {
		return nil, err
	}
	if err := s.process.Await("ready\n", time.Minute); err != nil {
		s.process.Kill()
		return nil, fmt.Errorf("limit: %w: %s", err, s.process.Output())
	}
	return s, nil
}

type limitSession struct {
	process *process.Process
	in      io.WriteCloser
}

func (s *limitSession) Do(ctx context.Context, w *Work, site *Site) error {
	verb, name := "read", "big"
	if w.Limit == WriteBig {
		verb, name = "write", "new"
	}
	fmt.Fprintf(s.in, "%s %d %s\n", verb, w.Bytes, filepath.Join(site.Dir, name))
	deadline, _ := ctx.Deadline()
	if err := s.process.Await("done\n", time.Until(deadline)); err != nil {
		return fmt.Errorf("limit: %w: %s", err, s.process.Output())
	}
	return nil
}

func (s *limitSession) Usage() process.Usage { return process.UsageOf(s.process.PID()) }

func (s *limitSession) Stop() error {
	s.in.Close()
	s.process.Kill()
	return nil
}

// serveLimit is the hidden command: it connects, says "ready", and answers
// each line with "done", or ends with an error.
func serveLimit(args []string) error {
	if len(args) != 4 {
		return errors.New("limit: URL, user, identity and known_hosts are needed")
	}
	target, err := sandbox.Parse(args[0], sandbox.Options{})
	if err != nil {
		return err
	}
	ctx := context.Background()
	client, err := conn.Dial(ctx, conn.Options{
		Provider: target.Provider, User: args[1],
		Auth:     conn.AuthOptions{Identities: []string{args[2]}},
		HostKeys: conn.HostKeyOptions{Mode: conn.HostKeyStrict, File: args[3]},
	})
	if err != nil {
		return err
	}
	defer client.Close(ctx)
	fmt.Println("ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		number, path, _ := strings.Cut(rest, " ")
		size, err := strconv.ParseInt(number, 10, 64)
		if err == nil {
			err = move(ctx, client, verb, path, size)
		}
		if err != nil {
			return err
		}
		fmt.Println("done")
	}
	return nil
}

func move(ctx context.Context, r conn.Remote, verb, path string, size int64) error {
	if verb == "write" {
		return sendBig(ctx, r, path, size)
	}
	return fetchBig(ctx, r, path, size)
}

// What is asked for at once, and how much of it: more than any link here
// carries in a round trip.
const (
	piece    = 1 << 20
	inFlight = 64
)

// fetchBig reads and compares a big file with inFlight pieces asked for ahead.
func fetchBig(ctx context.Context, r conn.Remote, path string, size int64) error {
	f, opened := r.Open(path, conn.OpenRead, 0)
	defer f.Close()
	if _, err := opened.Wait(ctx); err != nil {
		return err
	}
	var buffers [inFlight][]byte
	var asked [inFlight]*conn.Call[int]
	ask := func(off int64) {
		i := off / piece % inFlight
		if buffers[i] == nil {
			buffers[i] = make([]byte, piece)
		}
		asked[i] = f.ReadAt(buffers[i], off)
	}
	ahead := min(size, inFlight*piece)
	for off := int64(0); off < ahead; off += piece {
		ask(off)
	}
	want := bytes.Clone(cycle())
	for off := int64(0); off < size; off += piece {
		i := off / piece % inFlight
		if n, err := asked[i].Wait(ctx); n != piece {
			return fmt.Errorf("%d bytes at %d: %w", n, off, err)
		}
		for at := 0; at < piece; at += chunk {
			if err := checkChunk(buffers[i][at:at+chunk], want, off+int64(at)); err != nil {
				return err
			}
		}
		if next := off + inFlight*piece; next < size {
			ask(next)
		}
	}
	return nil
}

// sendBig writes a big file with up to inFlight pieces unanswered, then syncs.
func sendBig(ctx context.Context, r conn.Remote, path string, size int64) error {
	f, opened := r.Open(path, conn.OpenWrite|conn.OpenCreate|conn.OpenTrunc, 0o644)
	defer f.Close()
	if _, err := opened.Wait(ctx); err != nil {
		return err
	}
	var buffers [inFlight][]byte
	var sent [inFlight]*conn.Call[struct{}]
	for off := int64(0); off < size; off += piece {
		i := off / piece % inFlight
		if buffers[i] == nil {
			buffers[i] = make([]byte, piece)
		} else if _, err := sent[i].Wait(ctx); err != nil {
			return err
		}
		for at := 0; at < piece; at += chunk {
			copy(buffers[i][at:], cycle())
			stamp(buffers[i][at:at+chunk], off+int64(at))
		}
		sent[i] = f.WriteAt(buffers[i], off)
	}
	for _, call := range sent {
		if call == nil {
			continue
		}
		if _, err := call.Wait(ctx); err != nil {
			return err
		}
	}
	_, err := f.Sync().Wait(ctx)
	return err
}
