package rivals

import (
	"math"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// stabilize is stabilizeRecommendationWithBehaviors: the current replicas are moved only as far as all recommendations of a
// direction's window agree. It records the new one.
func stabilize(spec *policy.Spec, state *policy.State, recommended, current int, now time.Time) int {
	upCutoff, downCutoff := now.Add(-spec.ScaleUp.StabilizationWindow), now.Add(-spec.ScaleDown.StabilizationWindow)
	up, down := recommended, recommended
	past := append(slices.Clip(state.Past), state.Newest)
	for _, r := range past {
		if r.Time.After(upCutoff) {
			up = min(up, r.Replicas)
		}
		if r.Time.After(downCutoff) {
			down = max(down, r.Replicas)
		}
	}
	for len(past) > 0 && !past[0].Time.After(upCutoff) && !past[0].Time.After(downCutoff) {
		past = past[1:]
	}
	state.Past, state.Newest = past, policy.Recommendation{Replicas: recommended, Time: now}
	return min(max(current, up), down)
}

// limit is convertDesiredReplicasWithBehaviorRate without the bounds.
func limit(spec *policy.Spec, state *policy.State, desired, current int, now time.Time) int {
	switch {
	case desired > current:
		return min(desired, max(farthest(&spec.ScaleUp, state.Events, +1, current, now), current))
	case desired < current:
		return max(desired, min(farthest(&spec.ScaleDown, state.Events, -1, current, now), current))
	}
	return desired
}

// farthest is the number of replicas that the rules of a direction allow now: calculateScaleUpLimitWithScalingRules and its
// counterpart.
func farthest(rules *policy.Rules, events []policy.ScaleEvent, direction, current int, now time.Time) int {
	if rules.SelectPolicy == policy.Disabled {
		return current
	}
	var limits []int
	for _, p := range rules.Policies {
		start := current
		for _, e := range events {
			if e.Time.After(now.Add(-p.Period)) {
				start -= e.Change
			}
		}
		limits = append(limits, allowed(p, start, direction))
	}
	if len(limits) == 0 {
		return current
	}
	// The largest change is the largest number when raising and the smallest when lowering.
	if (rules.SelectPolicy == policy.MaxChange) == (direction > 0) {
		return slices.Max(limits)
	}
	return slices.Min(limits)
}

// allowed is how far one policy lets go from the replicas at the start of its period.
func allowed(p policy.ScalingPolicy, start, direction int) int {
	switch {
	case p.Type == policy.Pods:
		return start + direction*p.Value
	case direction > 0:
		return int(int32Range(math.Ceil(float64(start) * (1 + float64(p.Value)/100))))
	}
	return int(int32Range(float64(start) * (1 - float64(p.Value)/100)))
}

// int32Range keeps a number within what the Kubernetes API takes.
func int32Range(v float64) float64 { return min(max(v, math.MinInt32), math.MaxInt32) }
