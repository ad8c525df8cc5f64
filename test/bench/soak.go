package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/sbxmount/sbxmount/test/link"
)

const (
	// soakBig is larger than the cache, so that reading it never ends to cost.
	soakBig = 96 << 20
	// soakWindow is how long one row of a soak takes: some cuts' worth.
	soakWindow = 15 * time.Second
	// soakCut is the mean time between two cuts.
	soakCut = 3 * time.Second
)

// soakFlags keep the daemon's own bounds small, so that it reaches them.
var soakFlags = []string{"--cache-size", "32M", "--write-buffer", "8M"}

// Soak is a mount under a mixed load while its connections are cut every few
// seconds: what must stay level.
type Soak struct {
	Seconds    float64      `json:"seconds"`
	RTT        string       `json:"rtt"`
	Cuts       int          `json:"cuts"`
	Operations int          `json:"operations"`
	Unclear    int          `json:"unclear"` // that were reported as ones of which nobody can know
	Failures   []string     `json:"failures"`
	Windows    []SoakWindow `json:"windows"`
}

// SoakWindow is some seconds of a soak.
type SoakWindow struct {
	At         float64 `json:"at"`     // seconds since the start
	Memory     int64   `json:"memory"` // resident bytes at its end
	Heap       int64   `json:"heap"`
	Goroutines int     `json:"goroutines"`
	Files      int     `json:"files"` // descriptors
	Operations int     `json:"operations"`
	P50        float64 `json:"p50_ms"` // of the operations' times
	P99        float64 `json:"p99_ms"`
	Max        float64 `json:"max_ms"`
}

// soak runs the load for a while and watches.
func (b *bench) soak(ctx context.Context, d time.Duration) (_ *Soak, err error) {
	site, err := b.site(&Work{Prepare: func(site *Site) error { return writeBig(filepath.Join(site.Dir, "big"), soakBig) }})
	if err != nil {
		return nil, err
	}
	b.link.Set(mid.RTT, 0)
	defer b.link.Set(0, 0)
	m := &mounter{lab: b.lab, name: "sbxmount", command: b.sbxmount(soakFlags...)}
	session, err := m.Start(ctx, site)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, session.Stop()) }()
	load, err := b.startLoad(ctx, site)
	if err != nil {
		return nil, err
	}
	s := &Soak{RTT: mid.RTT.String()}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var cutting sync.WaitGroup
	cutting.Go(func() { s.Cuts = b.cutNowAndThen(ctx) })
	tick := time.NewTicker(soakWindow)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			w, err := b.look(session.(*mounted), site, load)
			if err != nil {
				s.Failures = append(s.Failures, err.Error())
				break
			}
			w.At = time.Since(began).Seconds()
			s.Windows = append(s.Windows, w)
			fmt.Fprintf(os.Stderr, "soak %4.0f s: %4d MB, %3d goroutines, %2d files, %5d operations, median %.1f ms, 99 %% %.0f ms\n",
				w.At, w.Memory>>20, w.Goroutines, w.Files, w.Operations, w.P50, w.P99)
		case <-ctx.Done():
		}
	}
	cutting.Wait()
	s.Seconds = time.Since(began).Seconds()
	load.end(s)
	s.judge()
	return s, nil
}

// cutNowAndThen cuts one connection or all, at once or in the middle of a
// packet, until ctx ends, and counts.
func (b *bench) cutNowAndThen(ctx context.Context) (cuts int) {
	r := rand.New(rand.NewPCG(1, 1))
	for {
		select {
		case <-ctx.Done():
			return cuts
		case <-time.After(time.Duration(r.Int64N(int64(2 * soakCut)))):
		}
		cuts++
		switch r.IntN(3) {
		case 0:
			b.link.Cut()
		case 1:
			b.link.CutOne(r.IntN(4))
		case 2:
			b.link.After(link.Direction(r.IntN(2)), r.Int64N(100_000), link.Reset)
		}
	}
}

// load is the process that works in the mount.
type load struct {
	cmd   *exec.Cmd
	stdin io.Closer
	read  chan struct{} // closed when it has told all

	mu       sync.Mutex // guards all below
	times    []float64  // ms, of the present window
	total    int
	unclear  int
	failures []string
}

func (b *bench) startLoad(ctx context.Context, site *Site) (*load, error) {
	l := &load{cmd: exec.CommandContext(ctx, b.self, "soak", site.Mount, "1"), read: make(chan struct{})}
	l.cmd.Stderr = os.Stderr
	out, err := l.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if l.stdin, err = l.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := l.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(l.read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			l.heard(lines.Text())
		}
	}()
	return l, nil
}

func (l *load) heard(line string) {
	what, rest, _ := strings.Cut(line, " ")
	l.mu.Lock()
	defer l.mu.Unlock()
	us, err := strconv.ParseFloat(rest, 64)
	switch {
	case what == "?":
		l.unclear++
	case what == "!" || err != nil:
		l.failures = append(l.failures, strings.TrimPrefix(line, "! "))
	default:
		l.times = append(l.times, us/1000)
		l.total++
	}
}

// end has the load stop after what it is at, and takes what it counted.
func (l *load) end(s *Soak) {
	_ = l.stdin.Close()
	<-l.read
	if err := l.cmd.Wait(); err != nil {
		l.failures = append(l.failures, "the load: "+err.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.Operations, s.Unclear, s.Failures = l.total, l.unclear, append(s.Failures, l.failures...)
}

// look makes a window of what was since the last one, and of the daemon now.
func (b *bench) look(m *mounted, site *Site, l *load) (w SoakWindow, err error) {
	l.mu.Lock()
	times := l.times
	l.times = nil
	l.mu.Unlock()
	slices.Sort(times)
	if w.Operations = len(times); w.Operations > 0 {
		w.P50, w.P99, w.Max = times[len(times)/2], times[len(times)*99/100], times[len(times)-1]
	}
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", m.PID()))
	if err != nil {
		return w, err
	}
	w.Files, w.Memory = len(files), resident(m.PID())
	out, err := exec.Command(b.binary, "status", "--json", site.Mount).Output()
	var told struct {
		Limits struct {
			Goroutines int
			Memory     int64
		}
	}
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil {
		return w, fmt.Errorf("status: %w: %s", err, out)
	}
	w.Goroutines, w.Heap = told.Limits.Goroutines, told.Limits.Memory
	return w, nil
}

// resident is what a process has in memory now (proc_pid_statm(5)).
func resident(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if fields := strings.Fields(string(text)); len(fields) > 1 {
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		return n * int64(os.Getpagesize())
	}
	return 0
}

// level is what may differ between a soak's first and last third, beyond which
// something grows: noise of a machine that others use, and for counts the odd
// lane more.
const level = 1.3

// judge compares the last third of the windows with the first one, without the
// very first windows, in which caches fill.
func (s *Soak) judge() {
	for _, v := range s.verdicts() {
		if !v.OK {
			s.Failures = append(s.Failures, fmt.Sprintf("%s is not level: %.2f times what it was", v.Target, v.Got))
		}
	}
}

func (s *Soak) verdicts() (all []Verdict) {
	warm := s.Windows[min(len(s.Windows), 2):]
	if len(warm) < 6 {
		return nil // too short to tell
	}
	third := len(warm) / 3
	for _, row := range []struct {
		name  string
		slack float64 // what one more of it is worth nothing
		of    func(SoakWindow) float64
	}{
		{"memory", 16 << 20, func(w SoakWindow) float64 { return float64(w.Memory) }},
		{"goroutines", 10, func(w SoakWindow) float64 { return float64(w.Goroutines) }},
		{"files", 4, func(w SoakWindow) float64 { return float64(w.Files) }},
		{"latency", 2, func(w SoakWindow) float64 { return w.P50 }},
	} {
		first, last := middle(warm[:third], row.of), middle(warm[len(warm)-third:], row.of)
		all = append(all, Verdict{Work: "soak", Condition: s.RTT, Target: row.name,
			Got: last / first, OK: last <= first*level+row.slack})
	}
	return all
}

// middle is the median.
func middle(windows []SoakWindow, of func(SoakWindow) float64) float64 {
	var all []float64
	for _, w := range windows {
		all = append(all, of(w))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

func (s *Soak) print(w io.Writer) {
	fmt.Fprintf(w, "\nsoak: %.0f s at %s, %d cuts, %d operations, %d of which nobody could know, %d failures\n",
		s.Seconds, s.RTT, s.Cuts, s.Operations, s.Unclear, len(s.Failures))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "level\tlast third / first third\t\t\n")
	for _, v := range s.verdicts() {
		mark := "ok"
		if !v.OK {
			mark = "NOT LEVEL"
		}
		fmt.Fprintf(table, "%s\t%.2f\t%s\t\n", v.Target, v.Got, mark)
	}
	table.Flush()
	for _, f := range s.Failures[:min(len(s.Failures), 10)] {
		fmt.Fprintf(w, "FAILED: soak: %s\n", f)
	}
}
