package backtest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// specOf parses annotations without their prefix.
func specOf(t *testing.T, pairs ...string) policy.Spec {
	t.Helper()
	annotations := map[string]string{policy.Prefix + "enabled": "true"}
	for i := 0; i < len(pairs); i += 2 {
		annotations[policy.Prefix+pairs[i]] = pairs[i+1]
	}
	spec, problems := policy.Parse(annotations, policy.Settings{Interval: 15 * time.Second, MaxSampleAge: 90 * time.Second})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return spec
}

// recorded makes a Recording out of a simulation: what the pods read and the replicas of each tick.
func recorded(t *testing.T, spec policy.Spec, startup time.Duration, demand []float64) (*Recording, simulate.Result) {
	t.Helper()
	r := &Recording{
		Format: Version, Namespace: "prod", Name: "llm", Start: time.Date(2026, 1, 5, 8, 0, 0, 0, time.UTC), StepSeconds: 15,
		Steps: len(demand), GPUs: 1,
	}
	s := simulate.Scenario{
		Spec: spec, Start: r.Start, Interval: r.Step(), Duration: time.Duration(len(demand)-1) * r.Step(), Replicas: 2, Startup: startup,
		Decide: func(spec policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
			step := int(now.Sub(r.Start) / r.Step())
			r.Replicas = append(r.Replicas, seen.Replicas)
			for i, sample := range seen.Readings[0].Samples {
				if sample.OK {
					part := r.part(seen.Readings[0].Signal)
					part.Add(seen.Pods[i].Name, step, ValueOf(sample.Value, false))
				}
			}
			return policy.Decide(spec, state, seen, now)
		},
		Signals: []simulate.PodSignal{{Signal: policy.RunningRequests, Read: func(at time.Duration, ready int) policy.Sample {
			return policy.Sample{Value: demand[int(at/r.Step())] / float64(ready), OK: true}
		}}},
	}
	result, err := simulate.Run(s)
	if err != nil {
		t.Fatal(err)
	}
	r.Gather(nil)
	if err := r.Validate(); err != nil {
		t.Fatal(err)
	}
	return r, result
}

// part returns the Signal of a name, which is there from now on.
func (r *Recording) part(name policy.Signal) *Signal {
	if len(r.Signals) == 0 {
		r.Signals = append(r.Signals, Signal{Signal: name})
	}
	return &r.Signals[0]
}

// day is a demand that rises, stays and falls.
func day() []float64 {
	var demand []float64
	for _, run := range []struct {
		steps int
		value float64
	}{{20, 20}, {30, 65}, {25, 90}, {80, 15}, {20, 40}} {
		for range run.steps {
			demand = append(demand, run.value)
		}
	}
	return demand
}

// What a simulation decided, its readings and replicas reproduce.
func TestReplayReproduces(t *testing.T) {
	for _, startup := range []time.Duration{0, time.Minute} {
		spec := specOf(t, "max-replicas", "12", "target.running-requests", "10", "scale-down.stabilization", "2m")
		r, live := recorded(t, spec, startup, day())
		same, changes := 0, 0
		for i, d := range Replay(r, spec) {
			if live.Ticks[i].Desired == d.Desired {
				same++
			}
			if live.Ticks[i].Desired != live.Ticks[i].Replicas {
				changes++
			}
		}
		if changes < 4 || 100*same < 98*r.Steps {
			t.Errorf("startup %v: %d of %d ticks are the same, with %d changes; want 98 of 100, and some", startup, same, r.Steps, changes)
		}
	}
}

// The same policy on the demand that was recorded under it, with the same startup, does what it did; its score is that of what happened.
func TestWhatIfOfTheSamePolicyIsWhatHappened(t *testing.T) {
	spec := specOf(t, "max-replicas", "12", "target.running-requests", "10", "scale-down.stabilization", "2m")
	r, live := recorded(t, spec, time.Minute, day())
	result, err := WhatIf(r, spec, nil, Model{Startup: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for i := range result.Ticks {
		if got, want := result.Ticks[i].Desired, live.Ticks[i].Desired; got != want {
			t.Fatalf("tick %d: %d replicas, want the %d of then", i, got, want)
		}
	}
	current := Current(r, spec)
	if current.Score != live.Score {
		t.Errorf("what happened scores %+v, want %+v", current.Score, live.Score)
	}
}

// A lower target takes more replicas for the same demand, and GPUs bound what is placed.
func TestWhatIfOfAnotherPolicy(t *testing.T) {
	spec := specOf(t, "max-replicas", "30", "target.running-requests", "10", "scale-down.stabilization", "2m")
	r, _ := recorded(t, spec, 0, day())
	peak := func(target string, model Model) (peak, ready int) {
		result, err := WhatIf(r, specOf(t, "max-replicas", "30", "target.running-requests", target), nil, model)
		if err != nil {
			t.Fatal(err)
		}
		for _, tick := range result.Ticks {
			peak, ready = max(peak, tick.Desired), max(ready, tick.Ready)
		}
		return peak, ready
	}
	if got, _ := peak("5", Model{}); got != 18 {
		t.Errorf("a demand of 90 at a target of 5 takes %d replicas at most, want 18", got)
	}
	six := 6
	if _, got := peak("5", Model{GPUs: &six}); got != 6 {
		t.Errorf("%d pods were ready at most, want the 6 that find a GPU", got)
	}
}

// Startup is learned from the raises that were recorded.
func TestStartupIsLearned(t *testing.T) {
	spec := specOf(t, "max-replicas", "12", "target.running-requests", "10")
	r, _ := recorded(t, spec, 90*time.Second, day())
	// The replicas of a raise show at the next tick.
	if took, ok := Startup(r); !ok || took != 75*time.Second {
		t.Errorf("the startup is %v (%v), want 75s", took, ok)
	}
	r.Replicas = make([]int, r.Steps)
	for i := range r.Replicas {
		r.Replicas[i] = 2
	}
	if took, ok := Startup(r); ok {
		t.Errorf("the startup is %v where no raise is recorded, want none", took)
	}
}

// What the data cannot tell is measured.
func TestBlindSpots(t *testing.T) {
	r := &Recording{Format: Version, Name: "llm", Start: time.Unix(0, 0), StepSeconds: 15, Steps: 10, GPUs: 1, Replicas: []int{1, 1, 1, 1, 1, 1, 1, 1, 2, 2}}
	s := Signal{Signal: policy.GPUUtilization}
	for i, v := range []float64{50, 99, 100, 98, 97, 10, 0, 0} {
		s.Add("a", i, Value(v))
	}
	s.Add("a", 9, 20)
	r.Signals = []Signal{s}
	r.Gather(nil)
	b := BlindSpots(r, []policy.Signal{policy.GPUUtilization, policy.QueueDepth})
	near := func(what string, got, want float64) {
		if got < want-1e-9 || got > want+1e-9 {
			t.Errorf("%s for %v of the time, want %v", what, got, want)
		}
	}
	near("saturated", b.Saturated[policy.GPUUtilization], 0.3)
	near("utilization missing", b.Missing[policy.GPUUtilization], 0.1)
	near("queue missing", b.Missing[policy.QueueDepth], 1)
	near("unaccounted", b.Unaccounted, 0.2)
}

// A GPU that is busy cannot read more than it can.
func TestShareIsCapped(t *testing.T) {
	d := demand{most: 100, shared: true, mean: []Value{80}, ready: []int{4}}
	for ready, want := range map[int]float64{8: 40, 4: 80, 2: 100, 1: 100} {
		if got := d.share(0, ready).Value; got != want {
			t.Errorf("%d pods read %v each, want %v", ready, got, want)
		}
	}
}

// A reading survives JSON, and what is none is refused.
func TestValueJSON(t *testing.T) {
	text, err := json.Marshal([]Value{1.5, 0, Missing(), ValueOf(0, true), ValueOf(-3, false)})
	if err != nil || string(text) != `[1.5,0,null,"idle",null]` {
		t.Errorf("%s, %v", text, err)
	}
	var read []Value
	if err := json.Unmarshal(text, &read); err != nil || !read[3].sample().Idle || read[2].sample().OK || read[0].sample().Value != 1.5 {
		t.Errorf("read back: %v, %v", read, err)
	}
	for _, bad := range []string{`[-1]`, `["busy"]`, `[1e999]`, `[{}]`} {
		if err := json.Unmarshal([]byte(bad), &read); err == nil {
			t.Errorf("%s is taken for readings", bad)
		}
	}
}

// TestCountPods: where no pod had a sample yet, or none any more, nothing says that there was none.
func TestCountPods(t *testing.T) {
	r := Recording{Steps: 8, Pods: []Pod{{Name: "a", From: 2, Until: 5}, {Name: "b", From: 3, Until: 5}, {Name: "c", From: 6, Until: 20}}}
	r.CountPods()
	if got, want := fmt.Sprint(r.Replicas), "[1 1 1 2 2 2 1 1]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	none := Recording{Steps: 2}
	if none.CountPods(); fmt.Sprint(none.Replicas) != "[0 0]" {
		t.Errorf("got %v", none.Replicas)
	}
}
