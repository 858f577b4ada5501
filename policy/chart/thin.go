package chart

import (
	"math"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Thin returns the chart with at most about four points a line and one band for each of so many slices of its time. Each slice
// keeps its first, smallest, largest and last value, so that no peak is lost.
func (c Chart) Thin(slots int) Chart {
	slots = max(slots, 1)
	axis := axis{start: c.Start, slot: c.End.Sub(c.Start)/time.Duration(slots) + 1}
	c.Panels = slices.Clone(c.Panels)
	for i := range c.Panels {
		lines := slices.Clone(c.Panels[i].Lines)
		for j := range lines {
			if len(lines[j].Points) > 4*slots {
				lines[j].Points = axis.thin(lines[j].Points)
			}
		}
		c.Panels[i].Lines = lines
	}
	if len(c.Bands) > slots {
		c.Bands = axis.merge(c.Bands)
	}
	return c
}

// axis divides time into slots.
type axis struct {
	start time.Time
	slot  time.Duration
}

// of returns the number of the slot that a time falls into.
func (a axis) of(at time.Time) int { return int(at.Sub(a.start) / a.slot) }

// thin keeps what can be seen of the points of each slot.
func (a axis) thin(points []Point) []Point {
	var kept []Point
	for from := 0; from < len(points); {
		to := from + 1
		for to < len(points) && a.of(points[to].Time) == a.of(points[from].Time) {
			to++
		}
		kept = append(kept, seen(points[from:to])...)
		from = to
	}
	return kept
}

// seen returns the first, smallest, largest and last of some points, in their order. A gap in between is told by the first NaN.
func seen(points []Point) []Point {
	if len(points) <= 4 {
		return points
	}
	last := len(points) - 1
	lowest, highest, gap := -1, -1, -1
	for i, p := range points {
		switch {
		case math.IsNaN(p.Value):
			if gap < 0 {
				gap = i
			}
			continue
		case lowest < 0:
			lowest, highest = i, i
		}
		if p.Value < points[lowest].Value {
			lowest = i
		}
		if p.Value > points[highest].Value {
			highest = i
		}
	}
	keep := []int{0, lowest, highest, last}
	if lowest < 0 {
		keep = []int{0, last}
	} else if gap >= 0 {
		keep = append(keep, gap)
	}
	slices.Sort(keep)
	var kept []Point
	for _, i := range slices.Compact(keep) {
		kept = append(kept, points[i])
	}
	return kept
}

// merge makes one band of those in a slot: the reason that held for longest in it.
func (a axis) merge(bands []Band) []Band {
	var merged []Band
	for from := 0; from < len(bands); {
		to := from + 1
		for to < len(bands) && a.of(bands[to].From) == a.of(bands[from].From) {
			to++
		}
		band := Band{From: bands[from].From, To: bands[to-1].To, Reason: longest(bands[from:to])}
		if last := len(merged) - 1; last >= 0 && merged[last].Reason == band.Reason && a.of(band.From)-a.of(merged[last].To) < 1 {
			merged[last].To = band.To
		} else {
			merged = append(merged, band)
		}
		from = to
	}
	return merged
}

// longest returns the reason that holds for the longest time in all.
func longest(bands []Band) policy.Reason {
	total := map[policy.Reason]time.Duration{}
	best := bands[0].Reason
	for _, b := range bands {
		total[b.Reason] += b.To.Sub(b.From)
		if total[b.Reason] > total[best] {
			best = b.Reason
		}
	}
	return best
}
