package draw

import (
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// Sizes in pixels.
const (
	leftMargin, rightMargin  = 64.0, 22.0
	topMargin                = 6.0
	firstHeight, panelHeight = 150.0, 104.0
	panelGap                 = 14.0
	lineHeight               = 18.0
	bandHeight, bandGap      = 16.0, 3.0
	axisHeight               = 40.0
	titleSize, textSize      = 13.5, 12.0
	bandSize                 = 11.0
	// wider is how much wider a text may be in another font than ours.
	wider = 1.15
)

// layout is where everything goes.
type layout struct {
	chart  chart.Chart
	head   heading
	width  float64
	height float64
	time   timeAxis
	panels []panelBox
	strip  []stripRow
}

// stripRow is the bands of one family.
type stripRow struct {
	family chart.Family
	top    float64
	bands  []chart.Band
}

// newLayout places a chart of a width. The height is what it takes.
func newLayout(c chart.Chart, width float64, measure *canvas) *layout {
	l := &layout{width: width, time: newTimeAxis(&c, leftMargin, width-rightMargin)}
	l.chart = c.Thin(max(int(l.time.right-l.time.left)/2, 1))
	l.head = newHeading(c.Title, c.Caption, width, measure)
	y := topMargin + l.head.height()
	for i := range l.chart.Panels {
		height := panelHeight
		if i == 0 {
			height = firstHeight
		}
		box := newPanelBox(&l.chart.Panels[i], y, height, l.time, measure)
		l.panels = append(l.panels, box)
		y = box.axis.base + panelGap
		if i == 0 {
			y = l.placeStrip(y - panelGap/2)
		}
	}
	if len(l.panels) == 0 {
		y += 2 * lineHeight
	}
	l.height = y - panelGap + axisHeight
	return l
}

// placeStrip places the bands, a row for each family, and returns where the next panel may begin.
func (l *layout) placeStrip(y float64) float64 {
	for _, family := range chart.Families() {
		row := stripRow{family: family, top: y}
		for _, b := range l.chart.Bands {
			if chart.FamilyOf(b.Reason) == family {
				row.bands = append(row.bands, b)
			}
		}
		if len(row.bands) > 0 {
			l.strip = append(l.strip, row)
			y += bandHeight + bandGap
		}
	}
	return y + panelGap/2
}

// draw draws everything, what lies below first.
func (l *layout) draw(c *canvas) {
	c.rect(0, 0, l.width, l.height, c.palette.ground)
	l.head.draw(c)
	if len(l.panels) == 0 {
		c.text("Nothing was decided in this time.", leftMargin/4, topMargin+l.head.height()+lineHeight, titleSize, c.palette.muted, start)
		return
	}
	ticks := l.time.ticks(70)
	for i := range l.panels {
		l.tints(c, &l.panels[i])
		l.panels[i].draw(c, &l.time, ticks)
	}
	l.drawStrip(c)
	l.drawTimes(c, ticks)
}

// tints lays the colours of the bands under a panel, so that one sees what the lines did meanwhile. Windows and limits hold most of
// the time and are left out.
func (l *layout) tints(c *canvas, p *panelBox) {
	for _, row := range l.strip {
		_, tint, ok := c.palette.family(row.family)
		if !ok {
			continue
		}
		for _, b := range row.bands {
			c.rect(l.time.x(b.From), p.axis.upper, l.time.x(b.To), p.axis.base, tint)
		}
	}
}

// drawStrip draws the bands, with their reasons where there is room.
func (l *layout) drawStrip(c *canvas) {
	for _, row := range l.strip {
		color, _, _ := c.palette.family(row.family)
		c.text(string(row.family), leftMargin-8, row.top+12, textSize, c.palette.muted, end)
		for _, b := range row.bands {
			from, to := l.time.x(b.From), l.time.x(b.To)
			if to-from < 2 {
				from = min(from, l.time.right-2)
				to = from + 2
			}
			c.rect(from, row.top, max(to-1, from+2), row.top+bandHeight, color) // a gap tells two neighbours apart
			if width := c.width(string(b.Reason), bandSize); wider*width+8 < to-from {
				c.text(string(b.Reason), from+4, row.top+12, bandSize, c.palette.onBand, start)
			}
		}
	}
}

// drawTimes draws the labels of the time axis, and below from when to when it goes.
func (l *layout) drawTimes(c *canvas, ticks []timeTick) {
	base := l.panels[len(l.panels)-1].axis.base
	for _, t := range ticks {
		x := l.time.x(t.at)
		c.line([]xy{{x, base}, {x, base + 4}}, c.palette.axis, 1, 0)
		at := middle
		if x+wider*c.width(t.label, textSize)/2 > l.width {
			x, at = l.width-1, end
		}
		c.text(t.label, x, base+16, textSize, c.palette.muted, at)
	}
	text := l.chart.Start.UTC().Format("2006-01-02 15:04:05") + " to " + l.chart.End.UTC().Format("2006-01-02 15:04:05") + " UTC"
	c.text(text, l.time.right, base+32, bandSize, c.palette.muted, end)
}
