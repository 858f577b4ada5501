package compare

import (
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// The bounds of every autoscaler.
const (
	minReplicas = 1
	maxReplicas = 16
)

// decide is an autoscaler: simulate.Scenario.Decide.
type decide func(policy.Spec, policy.State, policy.Observation, time.Time) (policy.Decision, policy.State)

// arm is one autoscaler with the settings that are tried.
type arm struct {
	name string
	// interval is the time between two of its decisions.
	interval time.Duration
	// averaged are the signals it reads that are means over the time since the reading before.
	averaged []policy.Signal
	// settings are tried in each cell; the first is the default.
	settings []setting
}

// setting is an autoscaler ready to be played.
type setting struct {
	name string
	// start makes it anew, remembering nothing. The Autoscaler of Kubernetes is the player's, and remembers by key.
	start func(a *hpa.Autoscaler, key string) decide
}

// arms returns ours first, then the rivals. None may be left out.
func arms() []arm {
	return []arm{ours(), sameSignals(), gpuUtilization(), keda(), knative()}
}

// ours is policy.Decide with the built-in class for vLLM, all defaults.
func ours() arm {
	return arm{
		name: "gpuscaler", interval: spec.Interval,
		averaged: []policy.Signal{policy.GPUUtilization, policy.RequestsPerSecond, policy.TokensPerSecond},
		settings: []setting{{
			name:  "class vllm",
			start: func(*hpa.Autoscaler, string) decide { return policy.Decide },
		}},
	}
}

// spec is what a user writes who takes all defaults: the class and the maximum.
var spec = func() policy.Spec {
	s, problems := policy.Parse(map[string]string{
		policy.Prefix + "enabled":      "true",
		policy.Prefix + "class":        "vllm",
		policy.Prefix + "max-replicas": fmt.Sprint(maxReplicas),
	}, policy.Settings{MaxSampleAge: 90 * time.Second, Interval: 5 * time.Second})
	if len(problems) > 0 {
		panic(problems) // a constant
	}
	return s
}()

// paced lets an autoscaler decide only at the interval of its arm, first after a while. What happens in between it sees at its
// next decision: pods that became ready, and means over the time since the decision before.
func (a *arm) paced(d decide, first time.Duration) decide {
	var (
		next    time.Time
		between = means{}
		started []time.Duration
	)
	return func(s policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
		if next.IsZero() {
			next = now.Add(first)
		}
		between.add(&seen, a.averaged)
		started = append(started, seen.Started...)
		if now.Before(next) {
			return hold(&seen, now), state
		}
		next = now.Add(a.interval)
		between.into(&seen)
		seen.Started = started
		decision, state := d(s, state, seen, now)
		started = nil
		clear(between)
		return decision, state
	}
}

// hold is the decision to change nothing.
func hold(seen *policy.Observation, now time.Time) policy.Decision {
	return to(seen, seen.Replicas, now)
}

// to is the decision for so many replicas.
func to(seen *policy.Observation, replicas int, now time.Time) policy.Decision {
	return policy.Decision{Time: now, Current: seen.Replicas, Desired: replicas}
}

// means adds up the readings of signals, by signal and pod.
type means map[policy.Signal]map[string]mean

// mean is a sum of readings, and how many.
type mean struct {
	sum   float64
	count int
}

// add adds the readings of a tick.
func (m means) add(seen *policy.Observation, signals []policy.Signal) {
	for _, signal := range signals {
		r := find(seen, signal)
		if r == nil {
			continue
		}
		pods := m[signal]
		if pods == nil {
			pods = map[string]mean{}
			m[signal] = pods
		}
		for k := range r.Samples {
			if s := &r.Samples[k]; s.OK {
				so := pods[seen.Pods[k].Name]
				pods[seen.Pods[k].Name] = mean{so.sum + s.Value, so.count + 1}
			}
		}
	}
}

// into overwrites the samples of now with the means. The slices are the simulator's, which writes over them in turn.
func (m means) into(seen *policy.Observation) {
	for signal, pods := range m {
		r := find(seen, signal)
		if r == nil {
			continue
		}
		for k := range r.Samples {
			if so := pods[seen.Pods[k].Name]; r.Samples[k].OK && so.count > 0 {
				r.Samples[k].Value = so.sum / float64(so.count)
			}
		}
	}
}
