package policy

import (
	"math"
	"time"
)

// limit keeps the change within the budgets of the scaling policies: HPA's convertDesiredReplicasWithBehaviorRate.
func (d *Decision) limit(spec *Spec, state *State, now time.Time) {
	d.Limited = Stage{Replicas: d.Stabilized.Replicas, Reason: DesiredWithinRange}
	switch {
	case d.Stabilized.Replicas > d.Current:
		if most := max(state.limit(&spec.ScaleUp, +1, d.Current, now), d.Current); d.Stabilized.Replicas > most {
			d.Limited = Stage{Replicas: most, Reason: ScaleUpLimit, Until: state.easesAt(&spec.ScaleUp, now)}
		}
	case d.Stabilized.Replicas < d.Current:
		d.Limited = d.lowered(d.Limited, spec, state, now)
	}
}

// lowered returns the stage, or where it lowers by more than the scale-down policies allow now, what they allow.
func (d *Decision) lowered(to Stage, spec *Spec, state *State, now time.Time) Stage {
	if to.Replicas >= d.Current {
		return to
	}
	if least := min(state.limit(&spec.ScaleDown, -1, d.Current, now), d.Current); to.Replicas < least {
		return Stage{Replicas: least, Reason: ScaleDownLimit, Until: state.easesAt(&spec.ScaleDown, now)}
	}
	return to
}

// limit returns the farthest number of replicas that the rules of a direction (+1 up, -1 down) allow now. The fold starts from
// the first policy, so that min and max mean the smallest and the largest change in both directions.
func (s *State) limit(rules *Rules, direction, current int, now time.Time) int {
	if rules.SelectPolicy == Disabled || len(rules.Policies) == 0 {
		return current
	}
	farthest := 0
	for i, p := range rules.Policies {
		start := current - s.changeWithin(p.Period, now)
		proposed := p.from(start, direction)
		farther := (proposed-farthest)*direction > 0
		if i == 0 || farther == (rules.SelectPolicy == MaxChange) {
			farthest = proposed
		}
	}
	return farthest
}

// from returns the number of replicas that the policy allows, from the number at the start of its period.
func (p *ScalingPolicy) from(start, direction int) int {
	switch {
	case p.Type == Pods:
		return start + direction*p.Value
	case direction > 0:
		// Rounded up, as a change that rounds to nothing would never scale up.
		return int(clampInt32(math.Ceil(float64(start) * (1 + float64(p.Value)/100))))
	default:
		return int(clampInt32(float64(start) * (1 - float64(p.Value)/100)))
	}
}

// clampInt32 keeps a float within what an int32 can hold, which is what the Kubernetes API takes.
func clampInt32(v float64) float64 {
	return min(max(v, math.MinInt32), math.MaxInt32)
}

// easesAt returns when the first scale event leaves the period of a policy of these rules, zero if none will.
func (s *State) easesAt(rules *Rules, now time.Time) time.Time {
	var first time.Time
	if rules.SelectPolicy == Disabled {
		return first
	}
	for _, p := range rules.Policies {
		cutoff := now.Add(-p.Period)
		for i := range s.Events {
			e := &s.Events[i]
			if !e.Time.After(cutoff) {
				continue
			}
			if end := e.Time.Add(p.Period); first.IsZero() || end.Before(first) {
				first = end
			}
		}
	}
	return first
}
