package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// bar is a horizontal bar on a logarithmic scale: plotter's own bars start at
// zero, which has no place there.
type bar struct {
	from, to float64   // along X
	row      float64   // along Y
	shift    vg.Length // beside the row's middle
	width    vg.Length
	color    color.Color
}

// Plot implements plot.Plotter.
func (b *bar) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	middle := y(b.row) + b.shift
	left, right := x(b.from), x(b.to)
	c.FillPolygon(b.color, []vg.Point{
		{X: left, Y: middle - b.width/2}, {X: right, Y: middle - b.width/2},
		{X: right, Y: middle + b.width/2}, {X: left, Y: middle + b.width/2},
	})
}

// DataRange implements plot.DataRanger.
func (b *bar) DataRange() (xmin, xmax, ymin, ymax float64) {
	return b.from, b.to, b.row - 0.5, b.row + 0.5
}

// swatch is a filled field of the legend.
type swatch struct{ color color.Color }

// Thumbnail implements plot.Thumbnailer.
func (s swatch) Thumbnail(c *draw.Canvas) {
	c.FillPolygon(s.color, []vg.Point{
		{X: c.Min.X, Y: c.Min.Y}, {X: c.Min.X, Y: c.Max.Y}, {X: c.Max.X, Y: c.Max.Y}, {X: c.Max.X, Y: c.Min.Y},
	})
}
