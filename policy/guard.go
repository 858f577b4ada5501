package policy

import (
	"fmt"
	"math"
	"time"
)

// guards are the floor and the ceiling that the safety rules put on a decision. Where they contradict each other the floor wins.
type guards struct {
	floor, ceiling Stage
	// scheduled is a maximum that the schedule has lowered: it is approached by the scale-down policies.
	scheduled Stage
}

// guards collects what the rules forbid.
func (d *Decision) guards(spec *Spec, s *State, b bounds, seen *Observation, t trust, now time.Time) guards {
	none := Stage{Replicas: math.MaxInt}
	g := guards{ceiling: none, scheduled: none}
	if !b.scheduledMax.IsZero() {
		g.scheduled = b.upper()
	}
	if !t.lower {
		g.raiseFloor(Stage{Replicas: seen.Replicas, Reason: t.reason})
	}
	if end := s.gapOver(spec); now.Before(end) {
		g.raiseFloor(Stage{Replicas: seen.Replicas, Reason: Gap, Until: end})
	}
	if restored := s.restored(b, now); restored > 0 && restored < seen.Replicas {
		g.lowerCeiling(Stage{Replicas: restored, Reason: ReplicasReset})
	}
	if o := s.overridden(now); o != nil {
		stage := Stage{Replicas: min(o.Replicas, b.maximum), Reason: Override, Until: o.Until}
		if o.Raised {
			g.raiseFloor(stage)
		} else {
			g.lowerCeiling(stage)
		}
	}
	if seen.CrashLoop != "" {
		g.lowerCeiling(Stage{Replicas: seen.Replicas, Reason: CrashLoop})
	}
	if ceiling, ok := s.pending(spec, seen, d, now); ok {
		g.lowerCeiling(ceiling)
	}
	return g
}

// raiseFloor keeps the highest floor, and of equal ones the first: its rule has precedence.
func (g *guards) raiseFloor(floor Stage) {
	if floor.Replicas > g.floor.Replicas {
		g.floor = floor
	}
}

// lowerCeiling keeps the lowest ceiling, and of equal ones the first.
func (g *guards) lowerCeiling(ceiling Stage) {
	if ceiling.Replicas < g.ceiling.Replicas {
		g.ceiling = ceiling
	}
}

// lowest is the lower of the two ceilings.
func (g *guards) lowest() Stage {
	if g.scheduled.Replicas < g.ceiling.Replicas {
		return g.scheduled
	}
	return g.ceiling
}

// clip applies floor and ceiling to a stage.
func (g *guards) clip(replicas int, otherwise Stage) Stage {
	ceiling := g.lowest()
	switch {
	case replicas < g.floor.Replicas:
		return g.floor
	case replicas > ceiling.Replicas && g.floor.Replicas > ceiling.Replicas:
		return g.floor
	case replicas > ceiling.Replicas:
		return ceiling
	}
	otherwise.Replicas = replicas
	return otherwise
}

// noteClash names both where a floor forbids what a ceiling asks for.
func (d *Decision) noteClash(g guards) {
	if ceiling := g.lowest(); g.floor.Replicas > ceiling.Replicas && d.Recommended.Replicas > ceiling.Replicas && ceiling.Reason != g.floor.Reason {
		d.note(ceiling.Reason, fmt.Sprintf("%s allows at most %d, but %s keeps at least %d", ceiling.Reason, ceiling.Replicas, g.floor.Reason, g.floor.Replicas))
	}
}

// holds reports whether rule 1 held this tick: then its recommendation is not recorded.
func (t *trust) holds(recommended, current int) bool {
	return !t.raise || !t.lower && recommended < current
}

// guard is the stage after the recommendation.
func (d *Decision) guard(g guards) {
	d.Guarded = g.clip(d.Recommended.Replicas, Stage{Reason: DesiredWithinRange})
}

// guardAgain is the same after the limits: a window or a budget must not undo a guard. A maximum that the schedule has lowered is
// approached by the scale-down policies; what nobody can use goes at once.
func (d *Decision) guardAgain(g guards, spec *Spec, state *State, now time.Time) {
	if d.Limited.Replicas > max(g.scheduled.Replicas, g.floor.Replicas) {
		d.Limited = d.lowered(g.scheduled, spec, state, now)
	}
	g.scheduled.Replicas = math.MaxInt
	d.Limited = g.clip(d.Limited.Replicas, d.Limited)
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
	if !s.BadSince.IsZero() && now.Sub(s.BadSince) > spec.longestLapse() {
		s.GapEnd = now
	}
	s.BadSince = time.Time{}
}

// longestLapse is how long there may be no good data without a gap.
func (s *Spec) longestLapse() time.Duration { return max(s.MaxSampleAge, 2*s.Interval) }

// gapOver returns when lowering is allowed again after the last gap: when a full scale-down window of good data, and at least
// the age that a sample may have, has been seen. Zero if there was no gap.
func (s *State) gapOver(spec *Spec) time.Time {
	if s.GapEnd.IsZero() {
		return time.Time{}
	}
	return s.GapEnd.Add(max(spec.ScaleDown.StabilizationWindow, spec.MaxSampleAge))
}
