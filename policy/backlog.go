package policy

import (
	"slices"
	"time"
)

// A backlog is not a rate (rule 12): an empty queue does not say that fewer replicas would keep it empty. The queue lowers
// only to what the signals beside it show that fewer replicas can carry.

// companion is a signal that tells how much a replica of an engine carries, and its target where none was given: those of the classes.
type companion struct {
	signal Signal
	target float64
}

var (
	// engineCompanions are the engine's own.
	engineCompanions = []companion{{RunningRequests, 14}, {KVCache, 80}}
	// gpuCompanions count only where the engine tells nothing: a GPU under an LLM is busy at any load.
	gpuCompanions = []companion{{GPUUtilization, 75}}
)

// Companions returns the signals that are read beside those of Signals if they can be: what tells how far an empty queue may lower, what
// tells a hang or a pause from idleness, and what tells that a signal did not respond although no more load came.
func (s *Spec) Companions() []Signal {
	var list []Signal
	add := func(signals ...Signal) {
		for _, signal := range signals {
			if !slices.Contains(list, signal) && !slices.Contains(s.Signals(), signal) {
				list = append(list, signal)
			}
		}
	}
	if s.tracks(QueueDepth) {
		for _, c := range slices.Concat(engineCompanions, gpuCompanions) {
			add(c.signal)
		}
		add(TokensPerSecond)
	}
	if s.looksAtRates() {
		add(QueueDepth, RunningRequests)
	}
	if s.StopNotResponding || s.tracks(GPUMemory) {
		add(RequestsPerSecond)
	}
	return list
}

// tracks reports whether the signal has a target.
func (s *Spec) tracks(signal Signal) bool { return s.targetOf(signal) > 0 }

// targetOf returns the target of a signal, 0 if it has none.
func (s *Spec) targetOf(signal Signal) float64 {
	for i := range s.Targets {
		if s.Targets[i].Signal == signal {
			return s.Targets[i].Value
		}
	}
	return 0
}

// backlog corrects what the queue asks for.
func (s *SignalDecision) backlog(d *Decision, spec *Spec, state *State, seen *Observation, t tally, now time.Time) {
	switch current := seen.Replicas; {
	case s.Recommended > current && t.loading > 0:
		// The requests that wait for the loading pods would be counted again at each tick.
		ready := t.sampled + t.missing
		if most := max(ready+t.loading, 2*ready, current); s.Recommended > most {
			s.Recommended, s.Reason = most, LoadingPods
		}
	case s.Recommended < current:
		needed, by := d.carried(spec, state, seen, engineCompanions, now)
		if by == "" {
			needed, by = d.carried(spec, state, seen, gpuCompanions, now)
		}
		if by == "" {
			needed, by = current, s.Signal
			// Where the window itself holds the next one, asking for it now lets it go when the window is over.
			window := spec.ScaleDown.StabilizationWindow
			if state.recommendedWithin(current, window, now) || !state.loweredWithin(window, now) {
				needed--
			}
		}
		if by != s.Signal {
			needed += t.stalled
		}
		if needed = min(needed, current); needed > s.Recommended {
			s.Recommended, s.carrier = needed, by
		}
	}
}

// carried returns the replicas that carry the load at or below the targets of the companions, and which of them asks for most;
// none if none has samples.
func (d *Decision) carried(spec *Spec, state *State, seen *Observation, companions []companion, now time.Time) (replicas int, by Signal) {
	for _, c := range companions {
		reading := seen.reading(c.signal)
		if reading == nil || reading.Problem != "" || reading.PerWorkload {
			continue
		}
		t := d.Fleet.count(spec, state, seen, reading, now)
		if t.sampled == 0 {
			continue
		}
		target := spec.targetOf(c.signal)
		if target == 0 {
			target = c.target
		}
		// Pods without a sample count as at target.
		sum := float64(t.sum) + float64(t.missing)*float64(targetMilli(target))
		if n := ceil(sum / float64(targetMilli(target))); by == "" || n > replicas {
			replicas, by = n, c.signal
		}
	}
	return replicas, by
}

// recommendedWithin reports whether a recommendation of the window asks for at least so many replicas.
func (s *State) recommendedWithin(replicas int, window time.Duration, now time.Time) bool {
	cutoff := now.Add(-window)
	holds := func(r Recommendation) bool { return r.Replicas >= replicas && r.Time.After(cutoff) }
	return holds(s.Newest) || slices.ContainsFunc(s.Past, holds)
}

// loweredWithin reports whether replicas were removed within the window.
func (s *State) loweredWithin(window time.Duration, now time.Time) bool {
	cutoff := now.Add(-window)
	for i := range s.Events {
		if s.Events[i].Change < 0 && s.Events[i].Time.After(cutoff) {
			return true
		}
	}
	return false
}
