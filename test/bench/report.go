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
			theirs, ok := r.find(w.Name, t.On, t.Against)
			if t.Against == "link" {
				theirs.Seconds, ok = float64(w.Bytes)*8/float64(t.On.Rate), true
			}
			if ok {
				r.Targets = append(r.Targets, t.judge(w.Name, ours.Seconds, theirs.Seconds))
			}
		}
	}
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
