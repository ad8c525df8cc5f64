package main

import (
	"cmp"
	"errors"
	"image/color"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colors are a system's in every plot (Okabe and Ito's palette, which people
// with any kind of colour vision can tell apart).
var colors = map[string]color.Color{
	"sbxmount": color.RGBA{0x00, 0x72, 0xB2, 0xFF},
	"async":    color.RGBA{0x56, 0xB4, 0xE9, 0xFF},
	"sshfs":    color.RGBA{0xD5, 0x5E, 0x00, 0xFF},
	"ssh":      color.RGBA{0x99, 0x99, 0x99, 0xFF},
	"limit":    color.RGBA{0x00, 0x9E, 0x73, 0xFF},
}

// drawAll writes the plots that the results are enough for.
func drawAll(r *Report, dir string) error {
	return errors.Join(
		drawThroughput(r, "read", filepath.Join(dir, "read.svg")),
		drawThroughput(r, "write", filepath.Join(dir, "write.svg")),
		drawTimes(r, filepath.Join(dir, "works.svg")),
		drawCurve(r, "files", "Time of a walk", "seconds", seconds, filepath.Join(dir, "files.svg")),
		drawCurve(r, "files", "Resident memory after a walk", "MB", megabytes, filepath.Join(dir, "memory.svg")),
		drawCurve(r, "readers", "Readers at once", "MB/s", func(x Result) float64 { return x.MBPerSec }, filepath.Join(dir, "readers.svg")),
		drawSoak(r.Soak, filepath.Join(dir, "soak.svg")),
	)
}

func seconds(x Result) float64   { return x.Seconds }
func megabytes(x Result) float64 { return float64(x.MaxRSS) / 1e6 }

// in are the systems that results pass a filter for, in the order of the table.
func (r *Report) in(filter func(Result) bool) (names []string) {
	for _, x := range r.Results {
		if x.Error == "" && filter(x) && !slices.Contains(names, x.System) {
			names = append(names, x.System)
		}
	}
	return names
}

// drawThroughput draws MB/s against the round trip for works that move bulk
// data and whose name starts with verb.
func drawThroughput(r *Report, verb, path string) error {
	moves := func(x Result) bool {
		return x.MBPerSec > 0 && x.on.Rate == 0 && strings.HasPrefix(x.Work, verb+" ")
	}
	p := plot.New()
	p.Title.Text = "Large file, " + verb
	p.X.Label.Text = "round trip, ms"
	p.Y.Label.Text = "MB/s"
	p.Y.Min = 0
	return drawLines(r, p, moves, func(x Result) plotter.XY {
		return plotter.XY{X: float64(x.on.RTT) / float64(time.Millisecond), Y: x.MBPerSec}
	}, path)
}

// drawCurve draws what one curve's works took, both axes logarithmic.
func drawCurve(r *Report, curve, title, unit string, took func(Result) float64, path string) error {
	axis := ""
	in := func(x Result) bool {
		is := x.work != nil && x.work.Curve.Name == curve && took(x) > 0
		if is {
			axis = x.work.Curve.Axis
		}
		return is
	}
	r.in(in)
	p := plot.New()
	p.Title.Text = title + ", at a round trip of " + mid.RTT.String()
	p.X.Label.Text, p.Y.Label.Text = axis+" (logarithmic)", unit+" (logarithmic)"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	return drawLines(r, p, in, func(x Result) plotter.XY {
		return plotter.XY{X: float64(x.work.Curve.X), Y: took(x)}
	}, path)
}

// drawLines draws a line for each system through the points of the results that
// pass a filter; nothing where there are none.
func drawLines(r *Report, p *plot.Plot, filter func(Result) bool, point func(Result) plotter.XY, path string) error {
	names := r.in(filter)
	if len(names) == 0 {
		return nil
	}
	p.Legend.Top = true
	p.Add(plotter.NewGrid())
	for _, name := range names {
		var points plotter.XYs
		for _, x := range r.Results {
			if x.System == name && x.Error == "" && filter(x) {
				points = append(points, point(x))
			}
		}
		slices.SortFunc(points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		line, dots, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, line.Width = colors[name], vg.Points(2)
		dots.Color = colors[name]
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, path)
}

// drawTimes draws the seconds of each work over the common link, on a
// logarithmic scale, a bar for each system.
func drawTimes(r *Report, path string) error {
	common := func(x Result) bool { return x.on == mid && (x.work == nil || x.work.Curve.Name == "") }
	names := r.in(common)
	var works []string
	for _, x := range r.Results {
		if common(x) && x.Error == "" && !slices.Contains(works, x.Work) {
			works = append(works, x.Work)
		}
	}
	if len(works) == 0 {
		return nil
	}
	slices.Reverse(works) // the first row is drawn at the top
	p := plot.New()
	p.Title.Text = "Seconds at a round trip of " + mid.RTT.String()
	p.X.Label.Text = "seconds (logarithmic)"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.NominalY(works...)
	p.Legend.Top, p.Legend.Left = false, false
	width := vg.Points(16 / float64(len(names)))
	low := lowest(r, common) / 2
	for i, name := range names {
		for j, work := range works {
			x, ok := r.find(work, mid, name)
			if !ok {
				continue
			}
			p.Add(&bar{from: low, to: x.Seconds, row: float64(j), shift: width * vg.Length(float64(len(names)-1)/2-float64(i)), width: width, color: colors[name]})
		}
		p.Legend.Add(name, swatch{colors[name]})
	}
	p.X.Max *= 4 // room for the legend
	return p.Save(24*vg.Centimeter, vg.Length(len(works))*vg.Centimeter+3*vg.Centimeter, path)
}

// lowest is the shortest time drawn, at least a millisecond.
func lowest(r *Report, filter func(Result) bool) float64 {
	low := 1.0
	for _, x := range r.Results {
		if x.Error == "" && filter(x) {
			low = min(low, x.Seconds)
		}
	}
	return max(low, 1e-3)
}
