package policy

import "time"

// stabilize is HPA's stabilizeRecommendationWithBehaviors: the current replicas are moved only as far as every recommendation
// of the direction's window, and the guarded number of now, agree.
func (d *Decision) stabilize(spec *Spec, state *State, now time.Time) {
	up := d.Guarded.Replicas // lowest of the scale-up window
	down := up               // highest of the scale-down window
	upCutoff := now.Add(-spec.ScaleUp.StabilizationWindow)
	downCutoff := now.Add(-spec.ScaleDown.StabilizationWindow)
	var upLast, downLast time.Time // the youngest entries that say so
	for i := range len(state.Past) + 1 {
		r := state.Newest
		if i < len(state.Past) {
			r = state.Past[i]
		}
		// An entry counts while strictly younger than the window, as in the HPA.
		if r.Replicas <= up && r.Time.After(upCutoff) {
			up, upLast = r.Replicas, r.Time
		}
		if r.Replicas >= down && r.Time.After(downCutoff) {
			down, downLast = r.Replicas, r.Time
		}
	}
	d.Stabilized = Stage{Replicas: min(max(d.Current, up), down), Reason: ReadyForNewScale}
	switch stabilized := d.Stabilized.Replicas; {
	case stabilized < d.Guarded.Replicas:
		d.Stabilized.Reason, d.Stabilized.Until = ScaleUpStabilized, upLast.Add(spec.ScaleUp.StabilizationWindow)
	case stabilized > d.Guarded.Replicas:
		d.Stabilized.Reason, d.Stabilized.Until = ScaleDownStabilized, downLast.Add(spec.ScaleDown.StabilizationWindow)
	}
}
