package rivals

import (
	"math"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Sync is how often kube-controller-manager looks at each HorizontalPodAutoscaler, by default.
const Sync = 15 * time.Second

// HPA decides as the HorizontalPodAutoscaler of Kubernetes 1.37 does with the targets, bounds and behavior of the Spec (horizontal.go:
// reconcileAutoscaler). A signal of the pods is a Pods metric, one of the workload an External metric with an AverageValue. It
// has no steps, no schedule and none of our guards. Without the feature HPAScaleToZero the minimum is at least 1.
func HPA(spec policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
	return decide(&spec, state, &seen, now, func(target policy.Target) (int, bool) {
		reading := find(&seen, target.Signal)
		switch {
		case reading == nil:
			return 0, false
		case reading.PerWorkload:
			m, ok := usable(&reading.Workload, &spec, now)
			return perWorkload(&spec, m, milli(target.Value), seen.Replicas), ok
		}
		return perPod(&spec, count(reading, &seen, &spec, now), milli(target.Value), seen.Replicas)
	})
}

// decide is one pass over the metrics: each asks for a number of replicas, or could not be read.
func decide(spec *policy.Spec, state policy.State, seen *policy.Observation, now time.Time, ask func(policy.Target) (int, bool)) (policy.Decision, policy.State) {
	d := observed(spec, seen, now)
	if state.Newest.Time.IsZero() {
		state.Newest = policy.Recommendation{Replicas: seen.Replicas, Time: now}
	}
	lowest := max(spec.MinReplicas, 1)
	switch {
	case seen.Replicas == 0:
		return settle(d, policy.ScalingDisabled, seen.Replicas, seen.Replicas), state
	case seen.Replicas > spec.MaxReplicas:
		return settle(d, policy.TooManyReplicas, seen.Replicas, spec.MaxReplicas), state
	case seen.Replicas < lowest:
		return settle(d, policy.TooFewReplicas, seen.Replicas, lowest), state
	}
	recommended, ok := largest(spec, &d, seen.Replicas, ask)
	if !ok {
		return settle(d, policy.NoData, seen.Replicas, seen.Replicas), state
	}
	stabilized := stabilize(spec, &state, recommended, seen.Replicas, now)
	limited := limit(spec, &state, stabilized, seen.Replicas, now)
	bounded := min(max(limited, lowest), spec.MaxReplicas)
	if stabilized == seen.Replicas {
		bounded = stabilized
	}
	reason := policy.DesiredWithinRange
	switch {
	case bounded != limited:
		reason = policy.TooManyReplicas
		if bounded > limited {
			reason = policy.TooFewReplicas
		}
	case limited < stabilized:
		reason = policy.ScaleUpLimit
	case limited > stabilized:
		reason = policy.ScaleDownLimit
	case stabilized < recommended:
		reason = policy.ScaleUpStabilized
	case stabilized > recommended:
		reason = policy.ScaleDownStabilized
	}
	return settle(d, reason, recommended, bounded), state
}

// largest is computeReplicasForMetrics: the largest of what the metrics ask for. With one of them missing nothing is lowered.
func largest(spec *policy.Spec, d *policy.Decision, current int, ask func(policy.Target) (int, bool)) (replicas int, ok bool) {
	missing := 0
	for _, target := range spec.Targets {
		n, ok := ask(target)
		if !ok {
			missing++
			continue
		}
		replicas = max(replicas, n)
		for i := range d.Signals {
			if d.Signals[i].Signal == target.Signal {
				d.Signals[i].Recommended = n
			}
		}
	}
	if missing >= len(spec.Targets) || missing > 0 && replicas < current {
		return current, false
	}
	return replicas, true
}

// observed is a Decision with what was read, which is the same for all autoscalers.
func observed(spec *policy.Spec, seen *policy.Observation, now time.Time) policy.Decision {
	read, _ := policy.Decide(*spec, policy.State{}, *seen, now)
	return policy.Decision{Time: now, Current: seen.Replicas, Fleet: read.Fleet, Signals: slices.Clone(read.Signals)}
}

// settle fills in the outcome.
func settle(d policy.Decision, reason policy.Reason, recommended, desired int) policy.Decision {
	d.Recommended = policy.Stage{Replicas: recommended, Reason: reason}
	d.Guarded = d.Recommended
	stage := policy.Stage{Replicas: desired, Reason: reason}
	d.Stabilized, d.Limited, d.Bounded = stage, stage, stage
	d.Desired, d.Reason = desired, reason
	return d
}

// find returns the reading of a signal, nil if there is none that can be trusted.
func find(seen *policy.Observation, signal policy.Signal) *policy.Reading {
	for i := range seen.Readings {
		if r := &seen.Readings[i]; r.Signal == signal && r.Problem == "" {
			return r
		}
	}
	return nil
}

// usable returns a sample in thousandths, if it is young enough and can be.
func usable(s *policy.Sample, spec *policy.Spec, now time.Time) (m int64, ok bool) {
	if !s.OK || s.Idle || !(s.Value >= 0) || math.IsInf(s.Value, 0) || !s.Time.IsZero() && now.Sub(s.Time) > spec.MaxSampleAge {
		return 0, false
	}
	return milli(s.Value), true
}

// milli converts a value to whole thousandths, the resolution of a metric.
func milli(v float64) int64 { return int64(math.Round(v * 1000)) }
