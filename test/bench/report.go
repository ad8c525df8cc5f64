package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"text/tabwriter"
	"time"
)

// Report is what results.json holds.
type Report struct {
	When    time.Time `json:"when"`
	CPUs    int       `json:"cpus"`
	Bridge  string    `json:"bridge"`
	N       int       `json:"samples_each"`
	Results []Result  `json:"results"`
	Targets []Verdict `json:"targets"`
	Soak    *Soak     `json:"soak,omitempty"`
}

// Verdict says whether a target was reached.
type Verdict struct {
	Work      string  `json:"work"`
	Condition string  `json:"condition"`
	Target    string  `json:"target"`
	Got       float64 `json:"got"` // in the target's own unit
	OK        bool    `json:"ok"`
}

// find is a system's result, if it is there and without an error.
func (r *Report) find(work string, on Condition, system string) (Result, bool) {
	for _, result := range r.Results {
		if result.Work == work && result.on == on && result.System == system && result.Error == "" {
			return result, true
		}
	}
	return Result{}, false
}

// judge compares results with the targets of their works, as far as both
// systems were measured.
func (r *Report) judge(works []Work) {
	for _, w := range works {
		r.judgeTrips(&w)
		for _, t := range w.Targets {
			ours, ok := r.find(w.Name, t.On, t.System)
			if !ok {
				continue
			}
			if t.Probes > 0 {
				trips := ours.Probe99 / t.On.RTT.Seconds()
				r.Targets = append(r.Targets, Verdict{Work: w.Name, Condition: t.On.String(), Target: t.String(), Got: trips, OK: trips <= t.Probes})
				continue
			}
			theirs, ok := r.find(w.Name, t.On, t.Against)
			if t.Against == "link" {
				theirs.Seconds, ok = float64(w.Bytes)*8/float64(t.On.Rate), true
			}
			if ok {
				r.Targets = append(r.Targets, t.judge(w.Name, ours.Seconds, theirs.Seconds))
			}
		}
	}
	r.judgeProcessor(works)
	r.judgeMemory()
	r.judgeFiles()
}

// Bounds of what sbxmount may take, in each row.
const (
	// mostMemory is its cache's default and 100 MiB.
	mostMemory = (256 + 100) << 20
	// mostPerFile is what each further file of a tree may add.
	mostPerFile = 1 << 10
)

// judgeProcessor compares what reading takes of the processors with sshfs and
// its ssh and proxy, which do the same over the same link.
func (r *Report) judgeProcessor(works []Work) {
	for _, w := range works {
		if w.Limit != ReadBig {
			continue
		}
		for _, c := range w.On {
			ours, ok1 := r.find(w.Name, c, "sbxmount")
			theirs, ok2 := r.find(w.Name, c, "sshfs")
			if !ok1 || !ok2 {
				continue
			}
			gib := float64(w.Bytes) / (1 << 30)
			r.Targets = append(r.Targets, Verdict{
				Work: w.Name, Condition: c.String(), OK: ours.CPUSeconds <= theirs.CPUSeconds, Got: ours.CPUSeconds / gib,
				Target: fmt.Sprintf("sbxmount's CPU seconds a GiB: %.2f at most, as sshfs", theirs.CPUSeconds/gib),
			})
		}
	}
}

// judgeMemory judges the row that took most: then all others hold, too.
func (r *Report) judgeMemory() {
	most := Result{}
	for _, x := range r.Results {
		if x.Error == "" && x.System == "sbxmount" && x.MaxRSS > most.MaxRSS {
			most = x
		}
	}
	if most.MaxRSS > 0 {
		r.Targets = append(r.Targets, Verdict{
			Work: "every row; most in " + most.Work, Condition: most.Condition, OK: most.MaxRSS <= mostMemory,
			Target: fmt.Sprintf("sbxmount's resident MiB: %d at most", mostMemory>>20), Got: float64(most.MaxRSS) / (1 << 20),
		})
	}
}

// judgeFiles judges what the files of the largest tree take beyond those of the
// smallest.
func (r *Report) judgeFiles() {
	var least, most Result
	for _, x := range r.Results {
		if x.Error != "" || x.System != "sbxmount" || x.work == nil || x.work.Files == 0 {
			continue
		}
		if least.work == nil || x.work.Files < least.work.Files {
			least = x
		}
		if most.work == nil || x.work.Files > most.work.Files {
			most = x
		}
	}
	if most.work == nil || most.work.Files == least.work.Files {
		return
	}
	each := float64(most.MaxRSS-least.MaxRSS) / float64(most.work.Files-least.work.Files)
	r.Targets = append(r.Targets, Verdict{
		Work: most.Work, Condition: most.Condition, OK: each <= mostPerFile,
		Target: fmt.Sprintf("sbxmount's resident bytes a file: %d at most", mostPerFile), Got: each,
	})
}

// judgeTrips compares round trips with what a work may need.
func (r *Report) judgeTrips(w *Work) {
	for _, on := range w.On {
		if ours, ok := r.find(w.Name, on, "sbxmount"); ok && w.MaxTrips > 0 {
			r.Targets = append(r.Targets, Verdict{
				Work: w.Name, Condition: on.String(), Target: fmt.Sprintf("sbxmount within %d round trips", w.MaxTrips),
				Got: float64(ours.RoundTrips), OK: ours.RoundTrips <= w.MaxTrips,
			})
		}
	}
}

func (t Target) judge(work string, ours, theirs float64) Verdict {
	v := Verdict{Work: work, Condition: t.On.String(), Target: t.String()}
	if t.Within > 0 {
		v.Got = (ours - theirs) / t.On.RTT.Seconds()
		v.OK = v.Got <= t.Within
	} else {
		v.Got = theirs / ours
		v.OK = v.Got >= t.Times
	}
	return v
}

// print writes the tables for a person.
func (r *Report) print(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) // a table ends where a line has no cells
	fmt.Fprintf(table, "\nwork\tlink\tsystem\tseconds\tMB/s\tround trips\tMB up\tMB down\tCPU s\tmax MB\t\n")
	for i, x := range r.Results {
		work, condition := x.Work, x.Condition
		if i > 0 && r.Results[i-1].Work == work {
			work = ""
			if r.Results[i-1].Condition == condition {
				condition = ""
			}
		}
		if x.Error != "" {
			fmt.Fprintf(table, "%s\t%s\t%s\tFAILED\t\t\t\t\t\t\t\n", work, condition, x.System)
			continue
		}
		speed := ""
		if x.MBPerSec > 0 {
			speed = fmt.Sprintf("%.0f", x.MBPerSec)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.3f\t%s\t%d\t%.2f\t%.2f\t%.2f\t%.0f\t\n", work, condition, x.System,
			x.Seconds, speed, x.RoundTrips, float64(x.Up)/1e6, float64(x.Down)/1e6, x.CPUSeconds, float64(x.MaxRSS)/1e6)
	}
	if len(r.Targets) > 0 {
		fmt.Fprintf(table, "\nwork\tlink\ttarget\tgot\t\t\n")
	}
	for _, v := range r.Targets {
		mark := "ok"
		if !v.OK {
			mark = "MISSED"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%.2f\t%s\t\n", v.Work, v.Condition, v.Target, v.Got, mark)
	}
	table.Flush()
	if r.Soak != nil {
		r.Soak.print(w)
	}
	for _, x := range r.Results {
		if x.Error != "" {
			fmt.Fprintf(w, "FAILED: %s, %s, %s: %s\n", x.Work, x.Condition, x.System, x.Error)
		}
	}
}

// save writes results.json.
func (r *Report) save(dir string) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "results.json"), append(data, '\n'), 0o644)
}

func newReport(bridge string, n int) *Report {
	return &Report{When: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Bridge: bridge, N: n}
}
