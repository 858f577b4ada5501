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
	d := Decision{Time: now, Current: seen.Replicas, lacking: seen.Lacking, rival: seen.Rival}
	state.attribute(&spec, &seen, &d, now)
	state.resume(&spec, now)
	state.forget(&spec, now)
	state.Startups = state.Startups.learn(seen.Started)
	d.Fleet = state.census(&spec, &seen, now)

	b := spec.bounds(now)
	if fixed, ok := d.withoutMetrics(&spec, &state, b, &seen, now); ok {
		d.fix(fixed)
	} else {
		state.read(&spec, &seen, now)
		trust := d.recommend(&spec, &state, &seen, now)
		state.watch(&spec, trust, now)
		state.rest(&spec, &seen, &d, now)
		g := d.guards(&spec, &state, b, &seen, trust, now)
		d.guard(g)
		d.stabilize(&spec, &state, now)
		if !trust.holds(d.Recommended.Replicas, d.Current) {
			state.record(d.Recommended.Replicas, now)
		}
		d.limit(&spec, &state, now)
		d.guardAgain(g, &spec, &state, now)
		d.bound(&spec, &state, b, g, now)
		d.noteClash(g)
	}
	d.settle()
	d.freeze(&spec, &state, &seen, now)
	d.noteFleet(&spec, &state, &seen, now)
	if d.Desired > d.Current {
		d.load, d.loaded = seen.load(&spec, now)
	}
	return d, state
}

// withoutMetrics decides what needs no signal: what to do at zero, what a reset took away, and replicas outside the bounds, which jump
// to the bound. Like the HPA it leaves the windows alone. A maximum lowered by the schedule is no jump: see bound.
func (d *Decision) withoutMetrics(spec *Spec, state *State, b bounds, seen *Observation, now time.Time) (Stage, bool) {
	switch restored := state.restored(b, now); {
	case seen.Replicas == 0:
		return d.atZero(spec, state, b, seen, now), true
	case restored > seen.Replicas:
		return Stage{Replicas: restored, Reason: ReplicasReset}, true
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
// brought there by the scale-down policies. The last replica goes when no work has been seen for long enough.
func (d *Decision) bound(spec *Spec, state *State, b bounds, g guards, now time.Time) {
	d.Bounded = Stage{Replicas: d.Limited.Replicas, Reason: DesiredWithinRange}
	if d.Limited.Replicas <= 1 && g.floor.Replicas == 0 && state.mayRest(spec, b, now) {
		d.Bounded = d.lowered(Stage{Reason: Idle}, spec, state, now)
		return
	}
	if lower := b.lower(); d.Limited.Replicas < lower.Replicas {
		d.Bounded = lower
	}
	if d.Limited.Replicas > b.maximum {
		d.Bounded = d.lowered(b.upper(), spec, state, now)
	}
}

// freeze lets what outranks even the bounds have the last word: a frozen Deployment and a paused direction.
func (d *Decision) freeze(spec *Spec, state *State, seen *Observation, now time.Time) {
	var reason Reason
	var until time.Time
	switch change := d.Desired - d.Current; {
	case change == 0:
		return
	case seen.Frozen != "":
		reason = seen.Frozen
	case state.fought(now):
		reason, until = Conflict, state.Hands.StoppedUntil
		d.rival = state.Hands.name()
	case change < 0 && seen.RaiseOnly != "":
		reason = seen.RaiseOnly
	case change > 0 && spec.Paused&Up != 0, change < 0 && spec.Paused&Down != 0:
		reason = Paused
	default:
		return
	}
	d.Bounded = Stage{Replicas: d.Current, Reason: reason, Until: until}
	d.Desired, d.Reason, d.Until = d.Current, reason, until
}
