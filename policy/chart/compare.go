package chart

import (
	"slices"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Compare makes one chart of several runs over the same time: what each decided, and what each read of the signals. A run is the
// line of the same number in all panels, so that it has the same colour.
func Compare(names []string, runs [][]Row) Chart {
	var c Chart
	var all []policy.Signal
	for _, rows := range runs {
		if len(rows) == 0 {
			continue
		}
		first, last := rows[0].Time, rows[len(rows)-1].Time
		if c.Start.IsZero() || first.Before(c.Start) {
			c.Start = first
		}
		if last.After(c.End) {
			c.End = last
		}
		for _, s := range signals(rows) {
			if !slices.Contains(all, s) {
				all = append(all, s)
			}
		}
	}
	if c.Start.IsZero() {
		return c
	}
	desired := Panel{Title: "desired replicas", Whole: true}
	for i, rows := range runs {
		run := Line{Name: names[i], Role: Run, Step: true}
		desired.Lines = append(desired.Lines, line(rows, usualDistance(rows), run, func(r *Row) float64 { return float64(r.Desired) }))
	}
	c.Panels = append(c.Panels, desired)
	for _, s := range all {
		c.Panels = append(c.Panels, compared(names, runs, s))
	}
	return c
}

// compared is the panel of what each run read of a signal.
func compared(names []string, runs [][]Row, s policy.Signal) Panel {
	info, _ := s.Info()
	p := Panel{Title: string(s), Unit: info.Unit, Max: info.Max}
	for i, rows := range runs {
		run := Line{Name: names[i], Role: Run}
		p.Lines = append(p.Lines, line(rows, usualDistance(rows), run, func(r *Row) float64 { return r.reading(s).Value }))
	}
	return p
}
