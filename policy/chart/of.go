package chart

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// breaks is how many times the usual distance two rows may be apart before nothing is known between them.
const breaks = 4

// Of makes the chart of a workload from its rows, which are in the order of time: first the replicas, then each signal.
func Of(rows []Row) Chart {
	if len(rows) == 0 {
		return Chart{}
	}
	usual := usualDistance(rows)
	c := Chart{Start: rows[0].Time, End: rows[len(rows)-1].Time, Bands: bands(rows, usual)}
	c.Panels = append(c.Panels, replicas(rows, usual))
	for _, s := range signals(rows) {
		c.Panels = append(c.Panels, signalPanel(rows, s, usual))
	}
	return c
}

// usualDistance is the median of the time between two rows, 0 if there is but one.
func usualDistance(rows []Row) time.Duration {
	distances := make([]time.Duration, 0, len(rows))
	for i := 1; i < len(rows); i++ {
		distances = append(distances, rows[i].Time.Sub(rows[i-1].Time))
	}
	if len(distances) == 0 {
		return 0
	}
	slices.Sort(distances)
	return distances[len(distances)/2]
}

// interrupted reports whether so much time passed before row i that the one before says nothing about it.
func interrupted(rows []Row, i int, usual time.Duration) bool {
	return i > 0 && usual > 0 && rows[i].Time.Sub(rows[i-1].Time) > breaks*usual
}

// bands returns the stretches of reasons that hold. Each row's lasts until the next row, or for the usual time if that is late.
func bands(rows []Row, usual time.Duration) []Band {
	var all []Band
	for i := range rows {
		r := &rows[i]
		if !r.Reason.Holds() {
			continue
		}
		to := r.Time
		switch {
		case i+1 < len(rows) && interrupted(rows, i+1, usual):
			to = r.Time.Add(usual)
		case i+1 < len(rows):
			to = rows[i+1].Time
		}
		if last := len(all) - 1; last >= 0 && all[last].Reason == r.Reason && all[last].To.Equal(r.Time) {
			all[last].To = to
			continue
		}
		all = append(all, Band{From: r.Time, To: to, Reason: r.Reason})
	}
	return all
}

// replicas is the panel of what was decided and what came of it.
func replicas(rows []Row, usual time.Duration) Panel {
	p := Panel{Title: "replicas", Whole: true}
	add := func(name string, role Role, value func(*Row) float64) {
		p.Lines = append(p.Lines, line(rows, usual, Line{Name: name, Role: role, Step: true}, value))
	}
	if slices.ContainsFunc(rows, func(r Row) bool { return r.Loading+r.Unschedulable > 0 }) {
		add("loading or unschedulable", Pending, func(r *Row) float64 { return float64(r.Ready + r.Loading + r.Unschedulable) })
	}
	add("ready", Ready, func(r *Row) float64 { return float64(r.Ready) })
	if slices.ContainsFunc(rows, func(r Row) bool { return r.Max > 0 }) {
		add("minimum", Minimum, func(r *Row) float64 { return known(float64(r.Min), r.Max > 0) })
		add("maximum", Maximum, func(r *Row) float64 { return known(float64(r.Max), r.Max > 0) })
	}
	if !obeyed(rows) {
		add("spec.replicas", Replicas, func(r *Row) float64 { return float64(r.Replicas) })
	}
	add("desired", Desired, func(r *Row) float64 { return float64(r.Desired) })
	return p
}

// obeyed reports whether spec.replicas was always what had been decided, so that one line tells both.
func obeyed(rows []Row) bool {
	for i := 1; i < len(rows); i++ {
		if rows[i].Replicas != rows[i-1].Desired && rows[i].Replicas != rows[i].Desired {
			return false
		}
	}
	return true
}

// signals returns the signals of any row: the built-in ones in the order of the documentation, then the others by name.
func signals(rows []Row) []policy.Signal {
	found := map[policy.Signal]bool{}
	for i := range rows {
		for _, r := range rows[i].Signals {
			found[r.Signal] = true
		}
	}
	builtin := policy.Signals()
	rank := func(s policy.Signal) int {
		i := slices.IndexFunc(builtin, func(info policy.SignalInfo) bool { return info.Signal == s })
		if i < 0 {
			return len(builtin)
		}
		return i
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b policy.Signal) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b)) })
}

// signalPanel is the panel of a signal: what was read, and its target if it has one.
func signalPanel(rows []Row, s policy.Signal, usual time.Duration) Panel {
	info, _ := s.Info()
	p := Panel{Title: string(s), Unit: info.Unit, Max: info.Max}
	target := line(rows, usual, Line{Name: "target", Role: Target, Step: true}, func(r *Row) float64 {
		t := r.reading(s).Target
		return known(t, t > 0)
	})
	if slices.ContainsFunc(target.Points, func(p Point) bool { return !math.IsNaN(p.Value) }) {
		p.Lines = append(p.Lines, target)
	}
	p.Lines = append(p.Lines, line(rows, usual, Line{Name: string(s), Role: Value}, func(r *Row) float64 { return r.reading(s).Value }))
	return p
}

// reading returns what the row says of a signal.
func (r *Row) reading(s policy.Signal) Reading {
	for _, reading := range r.Signals {
		if reading.Signal == s {
			return reading
		}
	}
	return Reading{Signal: s, Value: math.NaN()}
}

// known is a value, or NaN if it is not known. What is infinite cannot be drawn.
func known(v float64, ok bool) float64 {
	if !ok || math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// line fills a line in from the rows. Of equal values in a row the first and the last are kept.
func line(rows []Row, usual time.Duration, l Line, value func(*Row) float64) Line {
	for i := range rows {
		if interrupted(rows, i, usual) {
			l.add(rows[i-1].Time.Add(usual), math.NaN())
		}
		l.add(rows[i].Time, known(value(&rows[i]), true))
	}
	return l
}

// add adds a point, in place of the last if that lies between two of the same value.
func (l *Line) add(at time.Time, v float64) {
	if n := len(l.Points); n > 1 && same(l.Points[n-2].Value, v) && same(l.Points[n-1].Value, v) {
		l.Points[n-1].Time = at
		return
	}
	l.Points = append(l.Points, Point{Time: at, Value: v})
}

// same reports whether two values are drawn alike.
func same(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
