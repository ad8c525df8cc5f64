package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sbxmount/sbxmount/test/link"
	"github.com/sbxmount/sbxmount/test/openssh"
	"golang.org/x/sys/unix"
)

// settings are the command line's.
type settings struct {
	run     *regexp.Regexp
	rtts    []time.Duration // nil: each work's own
	n       int
	systems []string // nil: all
	quick   bool
	bridge  openssh.Bridge
	binary  string
	out     string
	dir     string
	soak    time.Duration
}

func main() {
	if err := dispatch(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// dispatch runs the benchmark, or one of the commands that it starts itself as.
func dispatch(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "wsproxy":
		return wsproxy(args[1])
	case len(args) == 3 && args[0] == "soak":
		return serveSoak(args[1], args[2])
	case len(args) > 0 && args[0] == "io":
		return serveIO(args[1:])
	case len(args) > 0 && args[0] == "limit":
		return serveLimit(args[1:])
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return measureAll(ctx, s)
}

func parse(args []string) (s settings, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	run := f.String("run", "", "measure works whose name matches this `regexp`")
	rtts := f.String("rtt", "", "round trips in `ms`, separated by commas, instead of each work's own; without a rate")
	names := f.String("systems", "", "`names` of systems to compare, separated by commas (default all)")
	bridge := f.String("bridge", "own", "WebSocket bridge: own, websockify or websocat")
	f.IntVar(&s.n, "n", 3, "samples for each; the median counts")
	f.DurationVar(&s.soak, "for", 30*time.Minute, "how long the soak takes, which runs only where -run names it")
	f.BoolVar(&s.quick, "quick", false, "one sample each, files of 32 MiB, directories of 10,000")
	f.StringVar(&s.binary, "binary", "bin/sbxmount", "the sbxmount to measure")
	f.StringVar(&s.out, "out", "bench", "`directory` for results.json and the plots")
	f.StringVar(&s.dir, "dir", roomy(), "`directory` for the server's files; fsync should cost nothing there")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if s.run, err = regexp.Compile(*run); err != nil {
		return s, err
	}
	if s.bridge, err = openssh.ParseBridge(*bridge); err != nil {
		return s, err
	}
	for word := range strings.FieldsFuncSeq(*rtts, comma) {
		ms, err := strconv.ParseFloat(word, 64)
		if err != nil || ms < 0 {
			return s, fmt.Errorf("-rtt %s: not a number of milliseconds", word)
		}
		s.rtts = append(s.rtts, time.Duration(ms*float64(time.Millisecond)))
	}
	s.systems = strings.FieldsFunc(*names, comma)
	if s.quick {
		s.n = 1
	}
	if s.n < 1 || s.bridge == openssh.None || f.NArg() > 0 {
		return s, errors.New("-n is 1 at least, there must be a bridge, and no arguments are taken")
	}
	return s, nil
}

// roomy is a directory in memory if there is one with enough room, as a disk's
// fsync would hide what the link costs.
func roomy() string {
	const memory, need = "/dev/shm", 4 << 30
	var stat unix.Statfs_t
	if unix.Statfs(memory, &stat) == nil && int64(stat.Bavail)*int64(stat.Bsize) >= need {
		return memory
	}
	return os.TempDir()
}

func comma(r rune) bool { return r == ',' }

// selects says which works, and under which conditions.
func (s settings) selects(all []Work) (chosen []Work) {
	for _, w := range all {
		if !s.run.MatchString(w.Name) {
			continue
		}
		if s.rtts != nil {
			w.On = nil
			for _, rtt := range s.rtts {
				w.On = append(w.On, Condition{RTT: rtt})
			}
		}
		chosen = append(chosen, w)
	}
	return chosen
}

// measureAll sets the lab up, measures, and reports.
func measureAll(ctx context.Context, s settings) error {
	scale := full
	if s.quick {
		scale = quick
	}
	chosen := s.selects(works(scale))
	soaks := s.run.String() != "" && s.run.MatchString("soak")
	if len(chosen) == 0 && !soaks {
		return errors.New("no work matches")
	}
	b, closeLab, err := openLab(s)
	if err != nil {
		return err
	}
	defer closeLab()
	compared, err := b.compared(s)
	if err != nil {
		return err
	}
	report := newReport(s.bridge.String(), s.n)
	for _, w := range chosen {
		if err := b.measureWork(ctx, &w, compared, report); err != nil {
			return err
		}
	}
	if soaks && ctx.Err() == nil {
		if report.Soak, err = b.soak(ctx, s.soak); err != nil {
			return err
		}
	}
	report.judge(chosen)
	report.print(os.Stdout)
	if err := os.MkdirAll(s.out, 0o755); err != nil {
		return err
	}
	return errors.Join(report.save(s.out), drawAll(report, s.out), ctx.Err(), report.failure())
}

// openLab starts server, bridge and link.
func openLab(s settings) (b *bench, closeLab func(), err error) {
	temp, err := os.MkdirTemp(s.dir, "bench")
	if err != nil {
		return nil, nil, err
	}
	ends := []func(){func() { os.RemoveAll(temp) }}
	closeLab = func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
	defer func() {
		if err != nil {
			closeLab()
		}
	}()
	server, err := openssh.New(openssh.Options{Bridge: s.bridge, Dir: temp})
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { server.Close() })
	relay, err := link.New(link.Options{Target: server.Addr})
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { relay.Close() })
	l := &lab{server: server, url: server.Via(relay.Addr()), temp: temp}
	if l.self, err = os.Executable(); err != nil {
		return nil, nil, err
	}
	if l.binary, err = filepath.Abs(s.binary); err != nil {
		return nil, nil, err
	}
	return &bench{lab: l, link: relay, n: s.n}, closeLab, l.writeScript()
}

// compared are the systems asked for, by name, or all that can run here.
func (b *bench) compared(s settings) (chosen []System, err error) {
	all := systems(b.lab)
	for _, name := range s.systems {
		if !slices.ContainsFunc(all, func(x System) bool { return x.Name() == name }) {
			return nil, fmt.Errorf("no system %q", name)
		}
	}
	for _, x := range all {
		switch missing := x.Missing(); {
		case !slices.Contains(s.systems, x.Name()) && len(s.systems) > 0:
		case missing == nil:
			chosen = append(chosen, x)
		case len(s.systems) > 0:
			return nil, fmt.Errorf("%s: %w", x.Name(), missing)
		default:
			fmt.Fprintf(os.Stderr, "without %s: %v\n", x.Name(), missing)
		}
	}
	return chosen, nil
}

// measureWork measures one work under each of its conditions by each system.
func (b *bench) measureWork(ctx context.Context, w *Work, compared []System, report *Report) error {
	site, err := b.site(w)
	if err != nil {
		return err
	}
	for _, c := range w.On {
		for _, s := range compared {
			if !s.Does(w) || ctx.Err() != nil {
				continue
			}
			r := b.measure(ctx, w, c, s, site)
			report.Results = append(report.Results, r)
			fmt.Fprintf(os.Stderr, "%-50s %-18v %-9s %8.3f s %s\n", w.Name, c, s.Name(), r.Seconds, r.Error)
		}
	}
	if isMounted(site.Mount) { // removing it would remove what is on the server
		return exec.Command("fusermount3", "-uz", site.Mount).Run()
	}
	return os.RemoveAll(filepath.Dir(site.Dir))
}

// failure is an error if something that was measured went wrong.
func (r *Report) failure() error {
	failed := 0
	for _, x := range r.Results {
		if x.Error != "" {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d cells failed", failed, len(r.Results))
	}
	if r.Soak != nil && len(r.Soak.Failures) > 0 {
		return errors.New("the soak failed: " + r.Soak.Failures[0])
	}
	return nil
}
