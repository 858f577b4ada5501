package policy

import "time"

// Decide is the whole policy: a pure function from what is asked (Spec), what is remembered (State) and what is seen
// (Observation, dated) to what to do and what to remember next.
//
// With all pods ready and sampled the replicas follow those of the HorizontalPodAutoscaler of Kubernetes 1.37 tick by
// tick (pkg/controller/podautoscaler/horizontal.go: reconcileAutoscaler). The one exception is that no scale event
// inside a period is ever forgotten; the HPA recycles some when the longest periods of the two directions differ.
//
// The State given is not changed and may be used again. A change of replicas becomes part of it by State.Wrote, after
// the write has succeeded.
func Decide(spec Spec, state State, seen Observation, now time.Time) (Decision, State) {
	state.seed(seen.Replicas, now)
	state.forget(&spec, now)
	d := Decision{Time: now, Current: seen.Replicas}

	b := spec.bounds(now)
	if fixed, ok := withoutMetrics(&spec, b, &seen); ok {
		d.fix(fixed)
	} else {
		trust := d.recommend(&spec, &state, &seen, now)
		state.watch(&spec, trust, now)
		g := state.guards(&spec, b, &seen, trust, now)
		d.guard(g)
		d.stabilize(&spec, &state, now)
		if !g.holds(trust, d.Recommended.Replicas) {
			state.record(d.Recommended.Replicas, now)
		}
		d.limit(&spec, &state, now)
		d.guardAgain(g, &spec, &state, now)
		d.bound(&spec, &state, b, now)
	}
	d.settle()
	d.freeze(&spec, &seen)
	return d, state
}

// withoutMetrics decides what needs no signal: a Deployment at zero is left there, and replicas outside the bounds jump
// to the bound. Like the HPA it leaves the windows alone. A maximum lowered by the schedule is no jump: see bound.
func withoutMetrics(spec *Spec, b bounds, seen *Observation) (Stage, bool) {
	switch {
	case seen.Replicas == 0:
		return Stage{Reason: ScalingDisabled}, true
	case seen.Replicas > b.highest && b.maximum > spec.MaxReplicas:
		return b.upper(), true
	case seen.Replicas > b.highest:
		return Stage{Replicas: spec.MaxReplicas, Reason: TooManyReplicas}, true
	case seen.Replicas < b.minimum:
		return b.lower(), true
	}
	return Stage{}, false
}

// fix sets all stages up to the bounds to the current replicas and the last to the one given.
func (d *Decision) fix(bounded Stage) {
	current := Stage{Replicas: d.Current, Reason: DesiredWithinRange}
	d.Recommended, d.Guarded, d.Stabilized, d.Limited = current, current, current, current
	d.Recommended.Reason = bounded.Reason
	d.Bounded = bounded
}

// bound keeps the number within minimum and maximum, with or without metrics. More than a maximum that the schedule has lowered is
// brought there by the scale-down policies.
func (d *Decision) bound(spec *Spec, state *State, b bounds, now time.Time) {
	d.Bounded = Stage{Replicas: d.Limited.Replicas, Reason: DesiredWithinRange}
	if lower := b.lower(); d.Limited.Replicas < lower.Replicas {
		d.Bounded = lower
	}
	if d.Limited.Replicas > b.maximum {
		d.Bounded = d.lowered(b.upper(), spec, state, now)
	}
}

// freeze lets what outranks even the bounds have the last word: a frozen Deployment and a paused direction.
func (d *Decision) freeze(spec *Spec, seen *Observation) {
	var reason Reason
	switch change := d.Desired - d.Current; {
	case change == 0:
		return
	case seen.Frozen != "":
		reason = seen.Frozen
	case change < 0 && seen.RaiseOnly != "":
		reason = seen.RaiseOnly
	case change > 0 && spec.Paused&Up != 0, change < 0 && spec.Paused&Down != 0:
		reason = Paused
	default:
		return
	}
	d.Bounded = Stage{Replicas: d.Current, Reason: reason}
	d.Desired, d.Reason, d.Until = d.Current, reason, time.Time{}
}
