package main

import (
	"errors"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// drawSoak draws what has to stay level over the time, one above the other.
func drawSoak(s *Soak, path string) error {
	if s == nil || len(s.Windows) == 0 {
		return nil
	}
	rows := []struct {
		name string
		of   func(SoakWindow) float64
	}{
		{"memory, MB", func(w SoakWindow) float64 { return float64(w.Memory) / 1e6 }},
		{"goroutines", func(w SoakWindow) float64 { return float64(w.Goroutines) }},
		{"descriptors", func(w SoakWindow) float64 { return float64(w.Files) }},
		{"median, ms", func(w SoakWindow) float64 { return w.P50 }},
		{"99 %, ms", func(w SoakWindow) float64 { return w.P99 }},
	}
	plots := make([][]*plot.Plot, len(rows))
	for i, row := range rows {
		p := plot.New()
		p.Y.Label.Text, p.Y.Min = row.name, 0
		if i == len(rows)-1 {
			p.X.Label.Text = "seconds"
		}
		var points plotter.XYs
		for _, w := range s.Windows {
			points = append(points, plotter.XY{X: w.At, Y: row.of(w)})
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		line.Color, line.Width = color.RGBA{0x00, 0x72, 0xB2, 0xFF}, vg.Points(2)
		p.Add(plotter.NewGrid(), line)
		p.Y.Min = 0
		plots[i] = []*plot.Plot{p}
	}
	canvas := vgsvg.New(18*vg.Centimeter, vg.Length(4*len(rows))*vg.Centimeter)
	tiles := draw.Tiles{Rows: len(rows), Cols: 1, PadY: vg.Points(6)}
	for i, drawn := range plot.Align(plots, tiles, draw.New(canvas)) {
		plots[i][0].Draw(drawn[0])
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = canvas.WriteTo(f)
	return errors.Join(err, f.Close())
}
