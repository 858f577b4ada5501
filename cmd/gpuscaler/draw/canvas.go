package draw

import (
	"math"

	"github.com/go-analyze/charts"
)

// canvas draws in CSS pixels.
type canvas struct {
	painter *charts.Painter
	palette *palette
}

// xy is a place. A place that is not a number interrupts a line.
type xy struct{ x, y float64 }

// none interrupts a line.
var none = xy{math.NaN(), math.NaN()}

// units converts pixels.
func units(v float64) int { return int(math.Round(v * scale)) }

func (c *canvas) rect(x0, y0, x1, y1 float64, color charts.Color) {
	c.painter.FilledRect(units(x0), units(y0), units(x1), units(y1), color, charts.ColorTransparent, 0)
}

// text writes at a baseline, at most up to where the chart ends.
func (c *canvas) text(s string, x, y, size float64, color charts.Color) {
	c.painter.Text(s, units(x), units(y), 0, font(size, color))
}

// textEnd writes so that the text ends at x.
func (c *canvas) textEnd(s string, x, y, size float64, color charts.Color) {
	c.text(s, x-c.width(s, size), y, size, color)
}

// width is how wide a text is.
func (c *canvas) width(s string, size float64) float64 {
	return float64(c.painter.MeasureText(s, 0, font(size, c.palette.ink)).Width()) / scale
}

// font is the library's font, whose size is given in points.
func font(size float64, color charts.Color) charts.FontStyle {
	const pointsPerPixel = 72.0 / 96
	return charts.FontStyle{FontSize: size * scale * pointsPerPixel, FontColor: color}
}

// line draws a line, which is dashed if dash is not 0.
func (c *canvas) line(points []xy, color charts.Color, width, dash float64) {
	at := make([]charts.Point, 0, len(points))
	for _, p := range points {
		next := charts.Point{Y: math.MaxInt32} // the library's sign for a gap
		if !math.IsNaN(p.y) {
			next = charts.Point{X: units(p.x), Y: units(p.y)}
		}
		if n := len(at); n > 0 && at[n-1] == next {
			continue
		}
		at = append(at, next)
	}
	if len(at) == 0 {
		return
	}
	if dash > 0 {
		c.painter.DashedLineStroke(at, color, width*scale, []float64{dash * scale, dash * scale * 0.75})
		return
	}
	c.painter.LineStroke(at, color, width*scale)
}

// area fills what is between a line and a base.
func (c *canvas) area(points []xy, base float64, color charts.Color) {
	var part []charts.Point
	flush := func() {
		if len(part) > 1 {
			first, last := part[0].X, part[len(part)-1].X
			part = append(part, charts.Point{X: last, Y: units(base)}, charts.Point{X: first, Y: units(base)})
			c.painter.FillArea(part, color)
		}
		part = nil
	}
	for _, p := range points {
		if math.IsNaN(p.y) {
			flush()
			continue
		}
		part = append(part, charts.Point{X: units(p.x), Y: units(p.y)})
	}
	flush()
}
