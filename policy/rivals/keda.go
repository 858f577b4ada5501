package rivals

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Poll is how often KEDA asks for its metrics, by default (pollingInterval).
const Poll = 30 * time.Second

// Decider decides as policy.Decide does.
type Decider = func(policy.Spec, policy.State, policy.Observation, time.Time) (policy.Decision, policy.State)

// KEDA returns a Decider that decides as KEDA does with a Prometheus trigger for each target: the sum over the pods, with the target for a
// threshold, is the External metric of the HorizontalPodAutoscaler that KEDA makes. Values are kept until the next poll
// (useCachedMetrics), and an empty result is 0 (ignoreNullValues, on by default). What brings a ScaledObject to zero replicas is
// not in it. Make a new one for each run: it remembers the last poll.
func KEDA() Decider {
	k := &keda{values: map[policy.Signal]polled{}}
	return k.decide
}

// keda is KEDA with the values of its last poll.
type keda struct {
	next   time.Time
	values map[policy.Signal]polled
}

// polled is one value; ok is false if the query failed.
type polled struct {
	milli int64
	ok    bool
}

func (k *keda) decide(spec policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
	if !now.Before(k.next) {
		k.next = now.Add(Poll)
		for _, target := range spec.Targets {
			k.values[target.Signal] = poll(&spec, &seen, target.Signal, now)
		}
	}
	return decide(&spec, state, &seen, now, func(target policy.Target) (int, bool) {
		v := k.values[target.Signal]
		return perWorkload(&spec, v.milli, milli(target.Value), seen.Replicas), v.ok
	})
}

// poll asks for the sum of a signal.
func poll(spec *policy.Spec, seen *policy.Observation, signal policy.Signal, now time.Time) polled {
	reading := find(seen, signal)
	if reading == nil {
		return polled{}
	}
	if reading.PerWorkload {
		m, _ := usable(&reading.Workload, spec, now)
		return polled{m, true}
	}
	sum := int64(0)
	for i := range reading.Samples {
		m, _ := usable(&reading.Samples[i], spec, now)
		sum += m
	}
	return polled{sum, true}
}

// Every returns a Decider that lets another one decide only so often, and leaves the replicas alone in between.
func Every(period time.Duration, decide Decider) Decider {
	var next time.Time
	return func(spec policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
		if now.Before(next) {
			return settle(observed(&spec, &seen, now), policy.DesiredWithinRange, seen.Replicas, seen.Replicas), state
		}
		next = now.Add(period)
		return decide(spec, state, seen, now)
	}
}
