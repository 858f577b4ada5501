package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// The load of every pod, in percent of its GPU: the target at rest, twice that after the step.
const (
	restLoad = 50
	stepLoad = 100
)

// step is what was measured when the load of some Deployments doubled.
type step struct {
	percent, deployments int
	// reactions are the times from the step to the first PATCH of each Deployment that was answered, shortest first; of the others there
	// was none within maxReaction.
	reactions []time.Duration
	first     time.Duration // from the start of the process to its first decision
	missed    int           // ticks
	blind     int           // decisions without data
	peak      int64         // the most memory of the program, in bytes
}

const (
	// maxReaction is how long all are waited for.
	maxReaction = 2 * time.Minute
	// settleTicks go by before the step.
	settleTicks = 4
)

// measureSteps lets the load of a share of the Deployments step up, then of another, each with a program started anew.
func (o *options) measureSteps(ctx context.Context, s *stage) (steps []*step, err error) {
	interval, scrape := o.pace(s.cluster.deployments)
	p, err := startPrometheus(ctx, scrape, s.exporters.targets())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.waitSeries(ctx, s.cluster.deployments*podsEach); err != nil {
		return nil, err
	}
	for _, percent := range o.steps {
		if err := s.settle(ctx); err != nil {
			return nil, err
		}
		if err := sleep(ctx, 2*scrape); err != nil {
			return nil, err
		}
		one, err := o.measureStep(ctx, s, p, percent, interval)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil { // what was measured so far is not to be lost: the table says that nothing reacted
			o.log("a step of %d %% failed: %v", percent, err)
			one.reactions = nil
		}
		o.log("a step of %d %%: %d of %d Deployments were scaled, p50 %v, p99 %v", percent, len(one.reactions), one.deployments,
			quantile(one.reactions, 0.5).Round(time.Millisecond), quantile(one.reactions, 0.99).Round(time.Millisecond))
		steps = append(steps, one)
	}
	return steps, nil
}

// pace is how often ticks and scrapes are while the load steps up. Beyond a size Prometheus does not answer within a second.
func (o *options) pace(deployments int) (interval, scrape time.Duration) {
	if deployments > o.fast {
		return o.interval, o.interval
	}
	return o.stepInterval, o.stepScrape
}

// measureStep measures one step.
func (o *options) measureStep(ctx context.Context, s *stage, p *prometheus, percent int, interval time.Duration) (one *step, err error) {
	one = &step{percent: percent, deployments: max(1, s.cluster.deployments*percent/100)}
	program, err := s.startProgram(ctx, p.url, interval)
	if err != nil {
		return one, err
	}
	defer func() { err = errors.Join(err, program.stop()) }()
	if one.first, err = program.firstDecision(ctx, s.cluster.deployments-1); err != nil {
		return one, err
	}
	// At a moment that has nothing to do with the ticks.
	if err := sleep(ctx, settleTicks*interval+rand.N(interval)); err != nil {
		return one, err
	}
	before, err := program.ticks(ctx)
	if err != nil {
		return one, err
	}
	began := time.Now()
	s.exporters.set(0, one.deployments, stepLoad)
	for len(one.reactions) < one.deployments && time.Since(began) < maxReaction {
		if err := sleep(ctx, o.stepInterval); err != nil {
			return one, err
		}
		if one.reactions, err = s.reactions(began); err != nil {
			return one, err
		}
	}
	after, err := program.ticks(ctx)
	if err != nil {
		return one, err
	}
	one.missed = after.missed - before.missed
	one.blind = after.blind - before.blind
	one.peak, err = program.peak()
	return one, err
}

// reactions are the times from the step to the first PATCH of each Deployment that was answered with success, shortest first.
func (s *stage) reactions(step time.Time) ([]time.Duration, error) {
	events, err := s.bed.AuditMutations(controllerUser)
	if err != nil {
		return nil, err
	}
	first := map[string]time.Duration{}
	for _, e := range events {
		took := e.Time.Sub(step)
		if e.Resource != "deployments" || e.Subresource != "scale" || e.Code != 200 || took < 0 {
			continue
		}
		if known, found := first[e.Name]; !found || took < known {
			first[e.Name] = took
		}
	}
	list := make([]time.Duration, 0, len(first))
	for _, took := range first {
		list = append(list, took)
	}
	slices.Sort(list)
	return list, nil
}

// sleep waits unless the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
