package controller

import (
	"context"
	"slices"

	"github.com/gpuscaler/gpuscaler/policy"
)

// settling finds the targets for which it matters now when samples were taken: pods of theirs have just become Ready, and the next
// raise or step waits for samples that show what they brought. At other times nobody asks for that.
func (p *pass) settling() {
	if p.c.options.Times == nil {
		return
	}
	var o observer
	for _, t := range p.targets {
		t.settling = false
		if len(t.timed) == 0 || len(t.state.Events)+len(t.state.Fired) == 0 {
			continue
		}
		if m := p.c.watches.of(t.seen.namespace); m != nil {
			o.gather(t, m)
			t.settling = t.state.Settling(t.spec, o.pods, p.now)
		}
	}
}

// timedSignals are those whose samples must be known to be young enough: gpu-utilization, on which a raise waits for the pods of the last
// one to show, and those with steps.
func timedSignals(spec *policy.Spec) []policy.Signal {
	var list []policy.Signal
	for _, t := range spec.Targets {
		if t.Signal == policy.GPUUtilization {
			list = append(list, t.Signal)
		}
	}
	for _, s := range spec.Steps {
		if _, custom := spec.Queries[s.Signal]; !custom && !slices.Contains(list, s.Signal) {
			list = append(list, s.Signal)
		}
	}
	return list
}

// timesFor are the signals of a target whose times are read in this tick.
func timesFor(t *target) []policy.Signal {
	if t.settling {
		return t.timed
	}
	return nil
}

// waitsFor is equal for targets that wait for the same replies in this tick.
func (t *target) waitsFor() string {
	key := t.group
	for _, s := range timesFor(t) {
		key += "when " + string(s) + " "
	}
	return key
}

// readTimes starts one query of times per signal, for the namespaces of the targets that wait for it.
func (p *pass) readTimes(ctx context.Context) {
	for signal, namespaces := range namespacesBySignal(p.targets, timesFor) {
		p.times[signal] = p.c.ask(ctx, func(ctx context.Context) (Readings, error) {
			return p.c.options.Times.ReadTimes(ctx, signal, namespaces)
		})
	}
}

// date gives the samples of a target their times, where these could be read.
func (p *pass) date(t *target, o *observer) {
	for _, signal := range timesFor(t) {
		times := p.times[signal].got()
		if times.err != nil || times.Pod == nil {
			continue
		}
		for i := range o.read {
			if o.read[i].Signal == signal {
				p.dateReading(t, &o.read[i], times, o)
			}
		}
	}
}

// dateReading does so for one reading. A time after the tick began may be that of a sample which came between the two queries, and one
// too long ago that of a part of the pod which was left out: it is not known then which sample was read.
func (p *pass) dateReading(t *target, reading *policy.Reading, times *reply, o *observer) {
	for j := range reading.Samples {
		sample := &reading.Samples[j]
		if !sample.OK || !sample.Time.IsZero() {
			continue
		}
		taken, _ := times.Pod(t.seen.namespace, o.found[j].name)
		if taken.OK && !taken.Time.After(p.now) && p.now.Sub(taken.Time) <= t.spec.MaxSampleAge {
			sample.Time = taken.Time
		}
	}
}
