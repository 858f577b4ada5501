package backtest

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// Decider decides as policy.Decide does.
type Decider = func(policy.Spec, policy.State, policy.Observation, time.Time) (policy.Decision, policy.State)

// Model is what is taken to be true of the cluster.
type Model struct {
	// Startup is the time from a pod's placement to Ready.
	Startup time.Duration
	// GPUs is how many pods can be placed, nil for no limit.
	GPUs *int
}

// WhatIf lets the pods follow what a policy decides on the demand that was recorded. A nil Decider is policy.Decide.
func WhatIf(r *Recording, spec policy.Spec, decide Decider, model Model) (simulate.Result, error) {
	s := simulate.Scenario{
		Spec: spec, Decide: decide, Start: r.Start.UTC(), Interval: r.Step(), Duration: time.Duration(r.Steps-1) * r.Step(),
		Replicas: r.Replicas[0], Startup: model.Startup, GPUs: model.GPUs,
	}
	s.Spec.DryRun = false // what it would write is the question
	for i := range r.Signals {
		signal := &r.Signals[i]
		if signal.Workload != nil {
			s.Workload = append(s.Workload, simulate.WorkloadSignal{
				Signal: signal.Signal, Read: func(at time.Duration) policy.Sample { return signal.Workload.at(int(at / r.Step())) },
			})
			continue
		}
		d := demandOf(r, signal)
		s.Signals = append(s.Signals, simulate.PodSignal{
			Signal: signal.Signal, Read: func(at time.Duration, ready int) policy.Sample { return d.share(int(at/r.Step()), ready) },
		})
	}
	return simulate.Run(s)
}

// demand is what the pods read of a signal together.
type demand struct {
	most float64 // of one pod, 0 for no bound
	// shared says that more pods read less each.
	shared bool
	mean   []Value
	ready  []int
}

// demandOf adds up a signal.
func demandOf(r *Recording, s *Signal) *demand {
	info, builtin := s.Signal.Info()
	d := &demand{most: info.Max, shared: (!builtin || info.Targetable) && s.Signal != policy.GPUMemory}
	d.mean, d.ready = make([]Value, r.Steps), make([]int, r.Steps)
	for _, p := range r.Pods {
		for i := p.From; i < min(p.Until, r.Steps); i++ {
			d.ready[i]++
		}
	}
	sum, count, idles := make([]float64, r.Steps), make([]int, r.Steps), make([]int, r.Steps)
	for _, p := range r.Pods {
		row := s.Pods[p.Name]
		for i := p.From; i < min(p.Until, r.Steps); i++ {
			switch sample := row.at(i); {
			case sample.Idle:
				idles[i]++
			case sample.OK:
				sum[i] += sample.Value
				count[i]++
			}
		}
	}
	for i := range d.mean {
		switch {
		case count[i] > 0:
			d.mean[i] = Value(sum[i] / float64(count[i]))
		default:
			d.mean[i] = ValueOf(0, idles[i] > 0)
			if idles[i] == 0 {
				d.mean[i] = Missing()
			}
		}
	}
	return d
}

// share is what each of so many ready pods would have read.
func (d *demand) share(step, ready int) policy.Sample {
	sample := d.mean[step].sample()
	if !sample.OK || sample.Idle || !d.shared {
		return sample
	}
	sample.Value *= float64(d.ready[step]) / float64(ready)
	if d.most > 0 {
		sample.Value = min(sample.Value, d.most)
	}
	return sample
}
