package policy

import (
	"math"
	"time"
)

// guards are the floor and the ceiling that the safety rules put on a decision. Where they contradict each other the floor wins.
type guards struct {
	floor, ceiling Stage
}

// guards collects what the rules forbid.
func (s *State) guards(spec *Spec, b bounds, seen *Observation, t trust, now time.Time) guards {
	g := guards{ceiling: Stage{Replicas: math.MaxInt}}
	if !b.scheduledMax.IsZero() {
		g.ceiling = b.upper()
	}
	if !t.lower {
		g.raiseFloor(Stage{Replicas: seen.Replicas, Reason: t.reason})
	}
	if end := s.gapOver(spec); now.Before(end) {
		g.raiseFloor(Stage{Replicas: seen.Replicas, Reason: Gap, Until: end})
	}
	return g
}

// raiseFloor keeps the highest floor, and of equal ones the first: its rule has precedence.
func (g *guards) raiseFloor(floor Stage) {
	if floor.Replicas > g.floor.Replicas {
		g.floor = floor
	}
}

// clip applies floor and ceiling to a stage.
func (g *guards) clip(replicas int, otherwise Stage) Stage {
	switch {
	case replicas < g.floor.Replicas:
		return g.floor
	case replicas > max(g.ceiling.Replicas, g.floor.Replicas):
		return g.ceiling
	}
	otherwise.Replicas = replicas
	return otherwise
}

// holds reports whether rule 1 held this tick: then its recommendation is not recorded.
func (g *guards) holds(t trust, recommended int) bool {
	return !t.raise || !t.lower && recommended < g.floor.Replicas
}

// guard is the stage after the recommendation.
func (d *Decision) guard(g guards) {
	d.Guarded = g.clip(d.Recommended.Replicas, Stage{Reason: DesiredWithinRange})
}

// guardAgain is the same after the limits: a window or a budget must not undo a guard. A ceiling below the current replicas is
// approached by the scale-down policies.
func (d *Decision) guardAgain(g guards, spec *Spec, state *State, now time.Time) {
	d.Limited = d.lowered(g.clip(d.Limited.Replicas, d.Limited), spec, state, now)
}

// watch keeps account of stretches without trustworthy data (rule 2). A stretch that lasted longer than a sample may be old, and
// longer than two ticks, was a gap.
func (s *State) watch(spec *Spec, t trust, now time.Time) {
	if !t.lower {
		if s.BadSince.IsZero() {
			s.BadSince = now
		}
		return
	}
	if !s.BadSince.IsZero() && now.Sub(s.BadSince) > max(spec.MaxSampleAge, 2*spec.Interval) {
		s.GapEnd = now
	}
	s.BadSince = time.Time{}
}

// gapOver returns when lowering is allowed again after the last gap: when a full scale-down window of good data, and at least
// the age that a sample may have, has been seen. Zero if there was no gap.
func (s *State) gapOver(spec *Spec) time.Time {
	if s.GapEnd.IsZero() {
		return time.Time{}
	}
	return s.GapEnd.Add(max(spec.ScaleDown.StabilizationWindow, spec.MaxSampleAge))
}
