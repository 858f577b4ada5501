package draw

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// timeAxis maps times to places.
type timeAxis struct {
	start, end  time.Time
	left, right float64
}

// newTimeAxis returns the axis of a chart. One time alone is drawn in the middle of a minute.
func newTimeAxis(c *chart.Chart, left, right float64) timeAxis {
	a := timeAxis{start: c.Start.UTC(), end: c.End.UTC(), left: left, right: right}
	if !a.end.After(a.start) {
		a.start, a.end = a.start.Add(-30*time.Second), a.start.Add(30*time.Second)
	}
	return a
}

func (a *timeAxis) x(t time.Time) float64 {
	share := float64(t.Sub(a.start)) / float64(a.end.Sub(a.start))
	return a.left + min(max(share, 0), 1)*(a.right-a.left)
}

const day = 24 * time.Hour

// steps are round distances of ticks.
var steps = []time.Duration{
	time.Second, 5 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, day, 2 * day, 7 * day,
	14 * day, 28 * day, 91 * day, 364 * day,
}

// timeTick is a round time and its label.
type timeTick struct {
	at    time.Time
	label string
}

// ticks returns round times in UTC, at least so many pixels apart.
func (a *timeAxis) ticks(apart float64) []timeTick {
	least := time.Duration(float64(a.end.Sub(a.start)) * apart / (a.right - a.left))
	step := steps[len(steps)-1]
	for _, s := range steps {
		if s >= least {
			step = s
			break
		}
	}
	var ticks []timeTick
	for at := a.start.Truncate(step); !at.After(a.end) && len(ticks) < 100; at = at.Add(step) {
		if !at.Before(a.start) {
			ticks = append(ticks, timeTick{at, label(at, step)})
		}
	}
	return ticks
}

// label is a time as precise as the step between two; a midnight is told by its day.
func label(at time.Time, step time.Duration) string {
	switch {
	case step >= 28*day:
		return at.Format("Jan 2006")
	case at.Truncate(day).Equal(at) && step >= time.Hour:
		return at.Format("Jan 2")
	case step >= time.Minute:
		return at.Format("15:04")
	}
	return at.Format(time.TimeOnly)
}

// valueAxis maps values to places, from 0 up.
type valueAxis struct {
	top, step   float64
	upper, base float64
}

// newValueAxis returns the axis of a panel, with about so many ticks.
func newValueAxis(p *chart.Panel, ticks int, upper, base float64) valueAxis {
	a := valueAxis{top: p.Max, upper: upper, base: base}
	if a.top == 0 {
		a.top = highest(p)
	}
	if a.top <= 0 {
		a.top = 1
	}
	a.step = niceStep(a.top / float64(max(ticks, 1)))
	if p.Whole {
		a.step = max(a.step, 1)
	}
	a.top = math.Ceil(a.top/a.step-1e-9) * a.step
	return a
}

// highest is the largest value to be seen. A maximum far above the others would press them flat, so it does not count.
func highest(p *chart.Panel) float64 {
	var top, bound float64
	for i := range p.Lines {
		for _, point := range p.Lines[i].Points {
			switch {
			case math.IsNaN(point.Value):
			case p.Lines[i].Role == chart.Maximum:
				bound = max(bound, point.Value)
			default:
				top = max(top, point.Value)
			}
		}
	}
	if bound <= 2*top {
		top = max(top, bound)
	}
	return top
}

// niceStep is the next of 1, 2 and 5 times a power of ten.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}

func (a *valueAxis) y(v float64) float64 {
	if math.IsNaN(v) {
		return v
	}
	return a.base - min(max(v/a.top, 0), 1)*(a.base-a.upper)
}

// number prints a value in few characters.
func number(v float64) string {
	suffix := ""
	switch {
	case v >= 1e9:
		v, suffix = v/1e9, "G"
	case v >= 1e6:
		v, suffix = v/1e6, "M"
	case v >= 1e4:
		v, suffix = v/1e3, "k"
	}
	text := strconv.FormatFloat(v, 'g', 4, 64)
	if !strings.Contains(text, "e") {
		text = strconv.FormatFloat(v, 'f', -1, 64)
		if _, decimals, ok := strings.Cut(text, "."); ok && len(decimals) > 4 {
			text = strconv.FormatFloat(v, 'g', 3, 64)
		}
	}
	return text + suffix
}
