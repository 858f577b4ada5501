package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
	"github.com/gpuscaler/gpuscaler/policy/rivals"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// backtested is the outcome of a backtest, as it is printed.
type backtested struct {
	Namespace string    `json:"namespace"`
	Name      string    `json:"name"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Interval  string    `json:"interval"`
	// Startup is how long pods take to serve, and StartupFrom why.
	Startup     string `json:"startup"`
	StartupFrom string `json:"startupFrom"`
	// GPUs is how many pods can be placed, absent for any number; GPUsPerReplica how many each of them holds.
	GPUs           *int         `json:"gpus,omitempty"`
	GPUsPerReplica int          `json:"gpusPerReplica"`
	Policies       []backPolicy `json:"policies"`
	// Unknown is what the data cannot tell.
	Unknown backtest.Blind `json:"unknown"`
	// Sources tell where the data is from.
	Sources []string `json:"sources"`

	// targets are those of the first policy, by which all are measured.
	targets []policy.Target
}

// backPolicy is what came of one policy.
type backPolicy struct {
	Name  string         `json:"name"`
	Score simulate.Score `json:"score"`
	// Peak is the largest number of replicas.
	Peak    int          `json:"peak"`
	Changes []backChange `json:"changes"`

	// spec is what the policy was asked, ticks are all of its decisions: for a report.
	spec  policy.Spec
	ticks []simulate.Tick
	rival bool
}

// backChange is one change of replicas.
type backChange struct {
	Time    time.Time     `json:"time"`
	From    int           `json:"from"`
	To      int           `json:"to"`
	Reason  policy.Reason `json:"reason"`
	Message string        `json:"message"`
}

// replay plays all policies.
func (o *backtestOptions) replay(r *backtest.Recording, candidates []candidate) (*backtested, error) {
	b := &backtested{
		Namespace: r.Namespace, Name: r.Name, From: r.Time(0), To: r.Time(r.Steps - 1), Interval: r.Step().String(),
		GPUsPerReplica: r.GPUs, Sources: r.Sources,
	}
	spec := candidates[0].spec
	b.targets = spec.Targets
	b.Unknown = backtest.BlindSpots(r, spec.Signals())
	model := backtest.Model{}
	model.Startup, b.StartupFrom = o.startupOf(r, &spec)
	b.Startup = model.Startup.String()
	if o.gpus > 0 {
		model.GPUs, b.GPUs = &o.gpus, &o.gpus
	}
	if slices.Contains(o.against, "current") {
		b.add("current", true, spec, backtest.Current(r, spec))
	}
	for _, c := range candidates {
		result, err := backtest.WhatIf(r, c.spec, nil, model)
		if err != nil {
			return nil, fmt.Errorf("replaying the policy %q: %w", c.name, err)
		}
		b.add(c.name, false, c.spec, result)
	}
	return b, o.contrast(b, r, candidates, model)
}

// contrast plays the others with the targets, bounds and behavior of the first policy.
func (o *backtestOptions) contrast(b *backtested, r *backtest.Recording, candidates []candidate, model backtest.Model) error {
	spec := candidates[0].spec
	for _, name := range o.against {
		decide := rivalDecider(name)
		if decide == nil {
			continue // current: no policy
		}
		if len(spec.Targets) == 0 {
			return usagef("--against %s needs a target: the policy %q has steps only, which others do not know", name, candidates[0].name)
		}
		result, err := backtest.WhatIf(r, spec, decide, model)
		if err != nil {
			return fmt.Errorf("replaying %s: %w", name, err)
		}
		b.add(name, true, spec, result)
	}
	return nil
}

// rivalDecider makes what --against names, nil for what really happened.
func rivalDecider(name string) backtest.Decider {
	switch name {
	case "hpa":
		return rivals.Every(rivals.Sync, rivals.HPA)
	case "keda":
		return rivals.Every(rivals.Sync, rivals.KEDA())
	}
	return nil
}

// startupOf is how long pods take to serve, and why.
func (o *backtestOptions) startupOf(r *backtest.Recording, spec *policy.Spec) (took time.Duration, why string) {
	if o.given("startup") {
		return o.startup, "--startup"
	}
	if spec.Startup > 0 {
		return spec.Startup, "the annotation startup"
	}
	if took, ok := backtest.Startup(r); ok {
		return took, "from raises of the replicas to the new pods' first samples, 90th percentile"
	}
	return policy.AssumedStartup, "assumed, because no pod was seen to start"
}

// minutesOver is how long a signal was above its target of the first policy: all are measured by the same, so that one with a lower target
// does not look worse for it. A tick lasts until the next.
func (b *backtested) minutesOver(ticks []simulate.Tick) float64 {
	var over time.Duration
	for i := 1; i < len(ticks); i++ {
		if slices.ContainsFunc(b.targets, func(t policy.Target) bool {
			read := ticks[i-1].Signals[t.Signal]
			return read.Value != nil && *read.Value > t.Value
		}) {
			over += ticks[i].Time.Sub(ticks[i-1].Time)
		}
	}
	return over.Minutes()
}

// add adds the outcome of a policy.
func (b *backtested) add(name string, rival bool, spec policy.Spec, result simulate.Result) {
	p := backPolicy{Name: name, Score: result.Score, Changes: []backChange{}, spec: spec, ticks: result.Ticks, rival: rival}
	p.Score.GPUHours *= float64(b.GPUsPerReplica)
	p.Score.MinutesOverTarget = b.minutesOver(result.Ticks)
	for i := range result.Ticks {
		t := &result.Ticks[i]
		p.Peak = max(p.Peak, t.Replicas, t.Desired)
		if t.Desired != t.Replicas {
			p.Changes = append(p.Changes, backChange{t.Time, t.Replicas, t.Desired, t.Reason, t.Message})
		}
	}
	b.Policies = append(b.Policies, p)
}
