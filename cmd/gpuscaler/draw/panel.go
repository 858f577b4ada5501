package draw

import (
	"math"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// panelBox is where a panel goes.
type panelBox struct {
	panel *chart.Panel
	top   float64
	axis  valueAxis
	title []placedText
	keys  []key
}

// placedText is a text at its place.
type placedText struct {
	text  string
	at    xy
	muted bool
}

// key is an entry of a legend.
type key struct {
	text   string
	at     xy
	role   chart.Role
	number int
}

// newPanelBox places a panel: title and legend on one line if they fit, else on several, and the plot below.
func newPanelBox(p *chart.Panel, top, height float64, t timeAxis, measure *canvas) panelBox {
	b := panelBox{panel: p, top: top}
	x, y := t.left, top+13
	b.title = append(b.title, placedText{text: p.Title, at: xy{x, y}})
	x += wider*measure.width(p.Title, titleSize) + 8
	if p.Unit != "" {
		b.title = append(b.title, placedText{text: p.Unit, at: xy{x, y}, muted: true})
		x += wider*measure.width(p.Unit, textSize) + 8
	}
	x += 8
	for _, k := range keys(p) {
		width := swatch + 6 + wider*measure.width(k.text, textSize)
		if x+width > t.right && x > t.left {
			x, y = t.left, y+lineHeight
		}
		k.at = xy{x, y}
		b.keys = append(b.keys, k)
		x += width + 14
	}
	upper := y + 10
	b.axis = newValueAxis(p, int(height/32), upper, upper+height)
	return b
}

// swatch is how wide the sign in a legend is.
const swatch = 16.0

// keys returns the legend of a panel, in the order in which one reads it. Both bounds look alike and need one entry.
func keys(p *chart.Panel) []key {
	var found []key
	bound := false
	for i := len(p.Lines) - 1; i >= 0; i-- {
		l := &p.Lines[i]
		k := key{text: l.Name, role: l.Role, number: i}
		switch l.Role {
		case chart.Minimum, chart.Maximum:
			if bound {
				continue
			}
			bound = true
			k.text = "minimum and maximum"
		case chart.Value:
			k.text = "value"
		case chart.Target:
			k.text = "target " + number(last(l.Points))
		}
		found = append(found, k)
	}
	return found
}

// last is the last value that is one.
func last(points []chart.Point) float64 {
	for i := len(points) - 1; i >= 0; i-- {
		if !math.IsNaN(points[i].Value) {
			return points[i].Value
		}
	}
	return 0
}

// draw draws a panel.
func (b *panelBox) draw(c *canvas, t *timeAxis, ticks []timeTick) {
	for _, text := range b.title {
		if text.muted {
			c.text(text.text, text.at.x, text.at.y, textSize, c.palette.muted, start)
			continue
		}
		c.text(text.text, text.at.x, text.at.y, titleSize, c.palette.ink, start)
	}
	for i := range b.keys {
		b.keys[i].draw(c)
	}
	for i := range b.panel.Lines {
		if l := &b.panel.Lines[i]; filled(l.Role) {
			c.area(b.places(l, t), b.axis.base, c.palette.line(l.Role, i))
		}
	}
	b.grid(c, t, ticks)
	for i := range b.panel.Lines {
		l := &b.panel.Lines[i]
		if filled(l.Role) || l.Role == chart.Maximum && last(l.Points) > b.axis.top {
			continue
		}
		width, dash := stroke(l.Role)
		c.line(b.places(l, t), c.palette.line(l.Role, i), width, dash)
	}
}

// filled reports whether the area below a line is filled.
func filled(r chart.Role) bool { return r == chart.Ready || r == chart.Pending }

// stroke is how wide a line is drawn, and how long its dashes are.
func stroke(r chart.Role) (width, dash float64) {
	switch r {
	case chart.Target:
		return 1.5, 6
	case chart.Minimum, chart.Maximum:
		return 1, 3
	case chart.Replicas:
		return 1.5, 0
	}
	return 2, 0
}

// grid draws lines at round values and times.
func (b *panelBox) grid(c *canvas, t *timeAxis, ticks []timeTick) {
	for _, tick := range ticks {
		c.line([]xy{{t.x(tick.at), b.axis.upper}, {t.x(tick.at), b.axis.base}}, c.palette.grid, 0.5, 0)
	}
	for i := 0; float64(i)*b.axis.step <= b.axis.top*(1+1e-9); i++ {
		v := float64(i) * b.axis.step
		y, color := b.axis.y(v), c.palette.grid
		if i == 0 {
			color = c.palette.axis
		}
		c.line([]xy{{t.left, y}, {t.right, y}}, color, 1, 0)
		c.text(number(v), t.left-8, y+4, textSize, c.palette.muted, end)
	}
}

// places are the points of a line in the panel; a step line turns at right angles.
func (b *panelBox) places(l *chart.Line, t *timeAxis) []xy {
	var places []xy
	before := none
	for _, p := range l.Points {
		at := xy{t.x(p.Time), b.axis.y(p.Value)}
		if l.Step && !math.IsNaN(before.y) {
			places = append(places, xy{at.x, before.y})
		}
		if math.IsNaN(at.y) {
			at = none
		}
		places = append(places, at)
		before = at
	}
	return places
}

// draw draws the sign and the text of an entry.
func (k *key) draw(c *canvas) {
	color := c.palette.line(k.role, k.number)
	if filled(k.role) {
		c.rect(k.at.x+2, k.at.y-9, k.at.x+swatch-2, k.at.y+1, color)
	} else {
		width, dash := stroke(k.role)
		c.line([]xy{{k.at.x, k.at.y - 4}, {k.at.x + swatch, k.at.y - 4}}, color, width, min(dash, 4))
	}
	c.text(k.text, k.at.x+swatch+6, k.at.y, textSize, c.palette.muted, start)
}
