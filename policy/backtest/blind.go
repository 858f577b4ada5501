package backtest

import (
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// saturated is the share of a signal's range from which more demand does not show.
const saturated = 0.98

// Blind is what a Recording cannot tell, as shares of its time from 0 to 1.
type Blind struct {
	// Saturated is, by signal with a range, how long the mean was at the end of it: demand beyond is unseen.
	Saturated map[policy.Signal]float64 `json:"saturated,omitempty"`
	// Queued is how long requests waited while pods were Ready.
	Queued float64 `json:"queued"`
	// Missing is, by signal, how long no Ready pod had a reading.
	Missing map[policy.Signal]float64 `json:"missing,omitempty"`
	// Unaccounted is how long there were fewer Ready pods than replicas.
	Unaccounted float64 `json:"unaccounted"`
}

// BlindSpots measures what a Recording cannot tell about some signals.
func BlindSpots(r *Recording, signals []policy.Signal) Blind {
	b := Blind{Saturated: map[policy.Signal]float64{}, Missing: map[policy.Signal]float64{}}
	one := 1 / float64(r.Steps)
	for i := range r.Signals {
		b.see(r, &r.Signals[i], one)
	}
	for _, signal := range signals {
		if !slices.ContainsFunc(r.Signals, func(s Signal) bool { return s.Signal == signal }) {
			b.Missing[signal] = 1
		}
	}
	v := newView(r)
	for step := range r.Steps {
		if v.ready(step) < r.Replicas[step] {
			b.Unaccounted += one
		}
	}
	return b
}

// see measures one signal; one is the share of a step.
func (b *Blind) see(r *Recording, s *Signal, one float64) {
	d := demandOf(r, s)
	info, _ := s.Signal.Info()
	for step := range r.Steps {
		sample := d.mean[step].sample()
		if s.Workload != nil {
			sample = s.Workload.at(step)
		}
		switch {
		case !sample.OK && (s.Workload != nil || d.ready[step] > 0):
			b.Missing[s.Signal] += one
		case info.Max > 0 && s.Signal != policy.GPUMemory && sample.Value >= saturated*info.Max:
			b.Saturated[s.Signal] += one
		case s.Signal == policy.QueueDepth && sample.Value > 0:
			b.Queued += one
		}
	}
}

// Startup is how long pods took from a raise of the replicas to their first reading, as the 90th percentile of those that were seen to;
// ok is false if none was.
func Startup(r *Recording) (took time.Duration, ok bool) {
	v := newView(r)
	var all []time.Duration
	for step := range r.Steps {
		seen := v.observe(step, r.Replicas[step])
		all = append(all, seen.Started...)
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	return all[(len(all)*9+9)/10-1], true
}
