package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// maxRefillSteps bounds how many points of the past are read: the window of a day does not need every tick.
const maxRefillSteps = 360

// Refill fills the windows of all targets of which nothing is remembered by deciding over the past before now, so that a first Tick at now decides nearly
// as a controller that has been running all along. Nearly: pods that are gone and replicas that were changed since are not
// known, and custom signals are left out. It is for passes made now and then, as by `plan`; call it after Sync and before
// the first Tick.
func (c *Controller) Refill(ctx context.Context, reader RangeReader, now time.Time) error {
	c.ticking.Lock()
	defer c.ticking.Unlock()
	targets := c.refresh()
	var window time.Duration
	for _, t := range targets {
		if t.spec != nil {
			window = max(window, longestWindow(t.spec))
		}
	}
	if window == 0 {
		return nil
	}
	interval := max(c.options.Settings.Interval, time.Second) // a finer step is refused
	step := time.Duration(max(1, int(window/interval)/maxRefillSteps)) * interval
	past := map[policy.Signal][]PastReadings{}
	for signal, namespaces := range namespacesBySignal(targets, builtIn) {
		list, err := reader.ReadRange(ctx, signal, namespaces, now.Add(-window), now.Add(-step), step)
		if err != nil {
			return fmt.Errorf("reading the past of %s: %w", signal, err)
		}
		past[signal] = list
	}
	var o observer
	for _, t := range targets {
		m := c.watches.of(t.seen.namespace)
		if m == nil || t.spec == nil || len(t.signals) == 0 || !t.state.Newest.Time.IsZero() {
			continue
		}
		o.gather(t, m)
		o.refill(t, past, now, step)
	}
	return nil
}

// longestWindow is how far back a decision looks.
func longestWindow(spec *policy.Spec) time.Duration {
	return max(spec.ScaleUp.StabilizationWindow, spec.ScaleDown.StabilizationWindow)
}

// refill decides about one target over its window.
func (o *observer) refill(t *target, past map[policy.Signal][]PastReadings, now time.Time, step time.Duration) {
	spec := *t.spec
	// Custom signals cannot be read in the past. Missing ones would look like a gap.
	spec.Targets = slices.DeleteFunc(slices.Clone(spec.Targets), func(target policy.Target) bool {
		return slices.Contains(t.custom, target.Signal)
	})
	spec.Steps = slices.DeleteFunc(slices.Clone(spec.Steps), func(steps policy.Steps) bool {
		return slices.Contains(t.custom, steps.Signal)
	})
	for at := now.Add(-longestWindow(&spec)); at.Before(now); at = at.Add(step) {
		_, state := policy.Decide(spec, *t.state, o.observePast(t, past, at, step), at)
		t.remembers(state)
	}
}

// errNoPast says that there was no reply at a time in the past.
var errNoPast = errors.New("no data of that time")

// observePast is what was seen of a target at a time: its present pods, as far as they were Ready then.
func (o *observer) observePast(t *target, past map[policy.Signal][]PastReadings, at time.Time, step time.Duration) policy.Observation {
	o.read = o.read[:0]
	for i, p := range o.found {
		o.pods[i] = p.before(at)
	}
	for i, signal := range t.signals {
		r := &reply{err: errNoPast}
		list := past[signal]
		nearest, found := slices.BinarySearchFunc(list, at, func(p PastReadings, at time.Time) int { return p.Time.Compare(at) })
		if !found && nearest > 0 && at.Sub(list[nearest-1].Time) < step {
			nearest, found = nearest-1, true
		}
		if found {
			r = &reply{Readings: list[nearest].Readings}
		}
		o.read = append(o.read, o.reading(i, t, signal, r))
	}
	return policy.Observation{Replicas: t.seen.replicas, Pods: o.pods, Stamp: time.Second, Readings: o.read, Started: o.started(t)}
}
