package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Condition is a link's.
type Condition struct {
	RTT  time.Duration
	Rate int64 // bits a second each way; 0: no limit
}

func (c Condition) String() string {
	if c.Rate > 0 {
		return fmt.Sprintf("%v, %d Mbit/s", c.RTT, c.Rate/1e6)
	}
	return c.RTT.String()
}

// Conditions that works are measured under.
var (
	near = Condition{}
	mid  = Condition{RTT: 20 * time.Millisecond}
	far  = Condition{RTT: 100 * time.Millisecond}
	edge = Condition{RTT: 150 * time.Millisecond} // the end of the curves: no target
	slow = Condition{RTT: 40 * time.Millisecond, Rate: 200e6}
)

// Work is something that a user waits for.
type Work struct {
	Name    string
	Packets string      // what it does to the packets
	On      []Condition // links it is measured over

	// Prepare makes, once, what all samples share in Site.Dir and
	// Site.Fixtures; Reset brings Dir back to that before each sample.
	Prepare func(*Site) error
	Reset   func(*Site) error

	Cut      bool // the link's connections are reset as the time begins; what has no reconnect has no such work
	Warm     bool // done once before, on the same mount, and longer ago than caches last
	Mounting bool // the time includes the mount's own
	Writes   bool // the time includes the delivery to the server

	Do    Step   // on a mount: Site.Mount is Site.Dir
	SSH   string // the same by ssh: a shell command; "": there is no such thing
	Limit Stream // the same by conn alone; 0: likewise
	Check Step   // right, on the server or in Local? Its time does not count

	Probes  bool  // it leaves in Local how long each of many small requests took
	Bytes   int64 // of content moved, for the throughput
	Files   int   // that it comes to know, for the memory that each takes
	Targets []Target
	Curve   Curve // that it is a point of, if any

	// MaxTrips, if not 0, is a target by itself: the most round trips that
	// sbxmount may need over the link, whatever others do.
	MaxTrips int64
}

// Step is a part of a work.
type Step func(context.Context, *Site) error

// Stream is a direction of bulk data.
type Stream int

// What the limit system does.
const (
	NoStream Stream = iota
	ReadBig
	WriteBig
)

// Site is where a sample works. Paths are absolute.
type Site struct {
	Mount    string   // the mount point; Dir for systems that mount nothing
	Dir      string   // the same directory on the server
	Fixtures string   // on the local disk, kept for all samples of the work
	Local    string   // on the local disk, empty at first
	Self     string   // this program
	Env      []string // for commands
}

// Target is what a system has to reach against another one under a condition.
type Target struct {
	On      Condition
	System  string
	Against string  // a system, or "link" for its rate
	Times   float64 // its speed at least, as a multiple of the other's

	// Within, if not 0, is what counts instead of Times: the most round trips
	// that it may take longer.
	Within float64

	// Probes, if not 0, is what counts instead of Times: the most round trips
	// that 99 of 100 Probes of the work may take. Against is not looked at.
	Probes float64
}

func (t Target) String() string {
	if t.Probes > 0 {
		return fmt.Sprintf("%s's 99th percentile: %g round trips", t.System, t.Probes)
	}
	if t.Within > 0 {
		return fmt.Sprintf("%s within %g round trips of %s", t.System, t.Within, t.Against)
	}
	return fmt.Sprintf("%s %.3gx %s", t.System, t.Times, t.Against)
}

// faster are the targets of sbxmount against sshfs, by condition.
func faster(times map[Condition]float64) (targets []Target) {
	for c, x := range times {
		targets = append(targets, Target{On: c, System: "sbxmount", Against: "sshfs", Times: x})
	}
	return targets
}

// Scale is how large the works are.
type Scale struct {
	Big     int64 // bytes of the large file
	Huge    int   // names in the large directory
	Files   []int // in the walked trees
	Readers []int // at once
}

var (
	full  = Scale{Big: 256 << 20, Huge: 100_000, Files: []int{1000, 10_000, 100_000}, Readers: []int{1, 2, 4, 8, 16, 32, 64}}
	quick = Scale{Big: 32 << 20, Huge: 10_000, Files: []int{1000, 10_000}, Readers: []int{1, 8, 64}}
)

func works(s Scale) []Work {
	return slices.Concat(bulk(s), reading(s), writing(s), recovering(), scaling(s))
}

// mib names a size.
func mib(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }
