package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/sbxmount/sbxmount/test/link"
)

const (
	// patience bounds one sample: sshfs takes two minutes for some.
	patience = 15 * time.Minute
	// startPatience bounds the start of a system.
	startPatience = time.Minute
	// ageing is waited before a warm work: longer than names and attributes
	// are trusted (1 s), shorter than sshfs trusts them (20 s).
	ageing = 1500 * time.Millisecond
)

// Sample is one measured run of a work.
type Sample struct {
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"` // of the system's processes, beside the work's own
	MaxRSS     int64   `json:"max_rss"`     // bytes, since the system started
	RoundTrips int64   `json:"round_trips"` // longest chain of request and answer
	Up         int64   `json:"up"`          // bytes over the link
	Down       int64   `json:"down"`
	Probe99    float64 `json:"probe_99,omitempty"` // seconds that 99 of 100 probes took at most
}

// Result is what a system did with a work under a condition.
type Result struct {
	Work      string    `json:"work"`
	Packets   string    `json:"packets"`
	Condition string    `json:"condition"`
	System    string    `json:"system"`
	Sample              // the median by time
	MBPerSec  float64   `json:"mb_per_second,omitempty"`
	Samples   []float64 `json:"samples"` // all times, seconds
	Error     string    `json:"error,omitempty"`

	on   Condition
	work *Work
}

// bench measures works in a lab.
type bench struct {
	*lab
	link *link.Link
	n    int
}

// site makes the directories of a work, and fills them.
func (b *bench) site(w *Work) (*Site, error) {
	base, err := os.MkdirTemp(b.temp, "work")
	if err != nil {
		return nil, err
	}
	site := &Site{
		Mount: filepath.Join(base, "mnt"), Dir: filepath.Join(base, "dir"),
		Fixtures: filepath.Join(base, "fixtures"), Local: filepath.Join(base, "local"), Self: b.self,
	}
	for _, dir := range []string{site.Mount, site.Dir, site.Fixtures} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return nil, err
		}
	}
	if w.Prepare != nil {
		if err := w.Prepare(site); err != nil {
			return nil, fmt.Errorf("%s: prepare: %w", w.Name, err)
		}
	}
	return site, nil
}

// measure takes the samples of one system. The error is in the result: one
// failed cell must not end a run of an hour.
func (b *bench) measure(ctx context.Context, w *Work, c Condition, s System, site *Site) Result {
	r := Result{Work: w.Name, Packets: w.Packets, Condition: c.String(), System: s.Name(), on: c, work: w}
	b.link.Set(c.RTT, c.Rate)
	defer b.link.Set(0, 0)
	var samples []Sample
	for range b.n {
		sample, err := b.sample(ctx, w, s, site)
		if err != nil {
			r.Error = err.Error()
			break
		}
		samples = append(samples, sample)
		r.Samples = append(r.Samples, sample.Seconds)
	}
	if len(samples) > 0 && r.Error == "" {
		slices.SortFunc(samples, func(a, b Sample) int { return int(1e6 * (a.Seconds - b.Seconds)) })
		r.Sample = samples[len(samples)/2]
		r.MBPerSec = float64(w.Bytes) / 1e6 / r.Seconds
	}
	return r
}

// sample runs a work once, in a fresh session.
func (b *bench) sample(ctx context.Context, w *Work, s System, site *Site) (_ Sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := b.reset(w, site); err != nil {
		return Sample{}, err
	}
	links, began := b.link.Stats(), time.Now()
	starting, started := context.WithTimeout(ctx, startPatience)
	session, err := s.Start(starting, site)
	started()
	if err != nil {
		return Sample{}, err
	}
	stop := sync.OnceValue(session.Stop)
	defer func() { err = errors.Join(err, stop()) }()
	defer context.AfterFunc(ctx, func() { stop() })() // ends what waits in the mount
	if !w.Mounting {
		if err := serves(ctx, site); err != nil {
			return Sample{}, err
		}
	}
	if w.Warm {
		if err := session.Do(ctx, w, site); err != nil {
			return Sample{}, fmt.Errorf("the first time: %w", err)
		}
		time.Sleep(ageing)
	}
	used := session.Usage()
	if !w.Mounting {
		links, began = b.link.Stats(), time.Now()
	}
	if w.Cut {
		b.link.Cut()
	}
	if err := session.Do(ctx, w, site); err != nil {
		return Sample{}, err
	}
	took := time.Since(began)
	links = b.link.Stats().Sub(links)
	usage := session.Usage()
	if w.Check != nil {
		if err := w.Check(ctx, site); err != nil {
			return Sample{}, fmt.Errorf("not delivered or wrong: %w", err)
		}
	}
	probe := 0.
	if w.Probes {
		if probe, err = probed(site); err != nil {
			return Sample{}, err
		}
	}
	return Sample{
		Probe99: probe,
		Seconds: took.Seconds(), CPUSeconds: (usage.CPU - used.CPU).Seconds(), MaxRSS: usage.MaxRSS,
		RoundTrips: links.RoundTrips, Up: links.Up, Down: links.Down,
	}, nil
}

// serves waits until a mount answers: the kernel shows it before its daemon is
// connected. statfs has nothing cached that a work asks for.
func serves(ctx context.Context, site *Site) error {
	return site.run(ctx, site.Local, `stat -f "$MNT" >/dev/null`)
}

// reset brings server and local directory back to what every sample starts
// from.
func (b *bench) reset(w *Work, site *Site) error {
	if err := os.RemoveAll(site.Local); err != nil {
		return err
	}
	if err := os.Mkdir(site.Local, 0o755); err != nil {
		return err
	}
	if w.Reset != nil {
		return w.Reset(site)
	}
	return nil
}
