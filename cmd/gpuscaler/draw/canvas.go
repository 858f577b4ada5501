package draw

import (
	"math"

	"github.com/go-analyze/charts"
)

// canvas draws in CSS pixels.
type canvas struct {
	painter *charts.Painter
	palette *palette
	// texts are where the texts are anchored, in the order in which they were drawn.
	texts []anchored
}

// anchor is the part of a text that lies at its place. Whoever looks at an SVG may have other fonts, whose texts are wider.
type anchor string

const (
	start  anchor = "start"
	middle anchor = "middle"
	end    anchor = "end"
)

// anchored is where a text lies, in the library's units.
type anchored struct {
	x  int
	at anchor
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

// text writes one line; y is that of its baseline.
func (c *canvas) text(s string, x, y, size float64, color charts.Color, at anchor) {
	if s == "" {
		return // nor does the library draw it
	}
	left := x
	switch at {
	case middle:
		left -= c.width(s, size) / 2
	case end:
		left -= c.width(s, size)
	}
	c.painter.Text(s, units(left), units(y), 0, font(size, color))
	c.texts = append(c.texts, anchored{units(x), at})
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
	// The library takes time in the square of a line's points to paint a picture, so a long line is painted piece by piece.
	for len(at) > piece {
		c.painter.LineStroke(at[:piece], color, width*scale)
		at = at[piece-1:]
	}
	c.painter.LineStroke(at, color, width*scale)
}

// piece is how many points are painted at once.
const piece = 100

// area fills what is between a line and a base.
func (c *canvas) area(points []xy, base float64, color charts.Color) {
	var part []charts.Point
	flush := func() {
		if len(part) > 1 {
			first, last := part[0], part[len(part)-1]
			// The library closes no area by itself when it paints a picture.
			part = append(part, charts.Point{X: last.X, Y: units(base)}, charts.Point{X: first.X, Y: units(base)}, first)
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
