package explain

import (
	"fmt"
	"math"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// The kinds of a Change.
const (
	// ByTime: nothing but time has to pass.
	ByTime = "time"
	// BySignal: the readings of a signal move, spread over the pods that have samples.
	BySignal = "signal"
	// BySamples: the pods without samples get some.
	BySamples = "samples"
	// ByPlaces: more pods can be placed.
	ByPlaces = "places"
)

// Change is a smallest change of one thing that changes the outcome, if all else stays as it is.
type Change struct {
	Kind   string        `json:"kind"`
	Signal policy.Signal `json:"signal,omitempty"`
	// From and To are the means of the samples. By is what is added to them in all, for signals that count something.
	From *float64 `json:"from,omitempty"`
	To   *float64 `json:"to,omitempty"`
	By   *float64 `json:"by,omitempty"`
	// Places is how many more pods can be placed.
	Places int `json:"places,omitempty"`
	// After is how long, in seconds, it must last; 0 if the decision of now would be another. At is when that is.
	After float64   `json:"afterSeconds"`
	At    time.Time `json:"at"`
	// Replicas and Reason are then decided.
	Replicas int           `json:"replicas"`
	Reason   policy.Reason `json:"reason"`
	// Text tells all that in words.
	Text string `json:"text"`
}

// changes finds the smallest changes, each of one thing.
func (f *future) changes(s *Story) []Change {
	list := []Change{}
	if f.ok && f.comes.tick > 0 {
		list = append(list, f.told(Change{Kind: ByTime}, f.comes, "no change of the readings"))
	}
	for i := range f.in.Seen.Readings {
		signal := f.in.Seen.Readings[i].Signal
		if m := newMove(f.in, &f.in.Seen, i); m != nil {
			list = append(list, f.bothWays(m)...)
			list = append(list, f.filled(m, signal)...)
		}
	}
	for i := range s.Signals {
		if s.Signals[i].Value == nil {
			list = append(list, f.returned(&s.Signals[i])...)
		}
	}
	return append(list, f.placed()...)
}

// bothWays moves a reading up and down. Where the replicas would change by themselves, the least move may do no more than to change that:
// then the one that raises or lowers them is looked for too.
func (f *future) bothWays(m *move) []Change {
	var list []Change
	for _, direction := range []int{+1, -1} {
		sum, e, found := f.smallest(m, direction, f.departs)
		if !found {
			continue
		}
		list = append(list, f.told(m.change(sum), e, m.text(sum)))
		if current := f.in.Seen.Replicas; !f.ok || f.comes.tick == 0 || (e.desired-current)*direction > 0 || (f.comes.desired-current)*direction > 0 {
			continue
		}
		sum, e, found = f.smallest(m, direction, func(seen *policy.Observation) (event, bool) { return f.moves(seen, direction) })
		if found {
			list = append(list, f.told(m.change(sum), e, m.text(sum)))
		}
	}
	return list
}

// change is a Change of a signal.
func (m *move) change(sum float64) Change {
	from, to := m.shown(m.sum), m.shown(sum)
	c := Change{Kind: BySignal, Signal: m.seen.Readings[m.reading].Signal, From: &from, To: &to}
	if m.additive {
		by := rounded(sum - m.sum)
		c.By = &by
	}
	return c
}

// rounded takes away what floats add to a difference.
func rounded(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// text tells a move in words.
func (m *move) text(sum float64) string {
	r := &m.seen.Readings[m.reading]
	info, _ := r.Signal.Info()
	from, to := number(m.shown(m.sum)), number(m.shown(sum))
	switch {
	case m.additive && len(m.counts) > 1:
		return fmt.Sprintf("%+g %s in all (%s from %s to %s per replica)", rounded(sum-m.sum), info.Unit, r.Signal, from, to)
	case m.additive:
		return fmt.Sprintf("%+g %s (%s from %s to %s)", rounded(sum-m.sum), info.Unit, r.Signal, from, to)
	case info.Unit != "":
		return fmt.Sprintf("%s at %s instead of %s %s", r.Signal, to, from, info.Unit)
	}
	return fmt.Sprintf("%s at %s instead of %s", r.Signal, to, from)
}

// told completes a Change by what comes of it.
func (f *future) told(c Change, e event, what string) Change {
	after := f.after(e.tick)
	c.After, c.At, c.Replicas, c.Reason = after.Seconds(), f.in.Time.Add(after).UTC(), e.desired, e.reason
	outcome := replicas(e.desired)
	if e.desired == f.in.Seen.Replicas {
		outcome = "still " + outcome
	}
	switch {
	case c.Kind == ByTime:
		c.Text = fmt.Sprintf("%s, in %s -> %s at %s", what, span(after), outcome, clock(c.At))
		return c
	case e.tick == 0:
		c.Text = fmt.Sprintf("%s -> %s at once", what, outcome)
	default:
		c.Text = fmt.Sprintf("%s for %s -> %s", what, span(after), outcome)
	}
	if f.ok && e.tick == f.comes.tick {
		c.Text += fmt.Sprintf(", instead of %d", f.comes.desired)
	}
	return c
}
