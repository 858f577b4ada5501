package explain

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

const (
	// mostTicks is how many ticks ahead are tried; with many pods they are fewer and further apart. podTicks bounds the product.
	mostTicks, podTicks = 720, 40_000
	// furthest is how far ahead is looked at most.
	furthest = 3 * time.Hour
)

// future asks policy.Decide what comes of an input that is held: the same pods and readings, of the same age, at each tick from now on.
type future struct {
	in    *policy.Input
	step  time.Duration
	ticks int
	// comes is what comes by itself, with nothing changed; ok if anything does. If the decision of now is a change, it is that.
	comes event
	ok    bool
	// scratch is the memory of one trial.
	scratch policy.Observation
}

// event is a tick at which another number is decided.
type event struct {
	tick    int
	desired int
	reason  policy.Reason
}

// newFuture looks ahead from a decision.
func newFuture(in *policy.Input, d *policy.Decision) *future {
	f := &future{in: in}
	f.pace(d)
	f.hold(&in.Seen, f.ticks, func(e event) bool {
		if e.desired != in.Seen.Replicas {
			f.comes, f.ok = e, true
		}
		return f.ok
	})
	return f
}

// pace sets how far ahead is looked, and in which steps: far enough for every window, period and wait to be over.
func (f *future) pace(d *policy.Decision) {
	spec := &f.in.Spec
	ahead := max(spec.ScaleUp.StabilizationWindow, spec.ScaleDown.StabilizationWindow, spec.MaxSampleAge, spec.IdleAfter)
	for _, rules := range []*policy.Rules{&spec.ScaleUp, &spec.ScaleDown} {
		for _, p := range rules.Policies {
			ahead = max(ahead, p.Period)
		}
	}
	if d.Fleet.Loading > 0 {
		ahead = max(ahead, 2*d.Fleet.Startup)
	}
	interval := max(spec.Interval, time.Millisecond)
	ahead = min(max(ahead, d.Until.Sub(f.in.Time))+2*interval, furthest)
	n := min(mostTicks, max(podTicks/(len(f.in.Seen.Pods)+20), 20))
	// A step beyond the age of a sample would be taken for a gap.
	f.step = min(interval*time.Duration(1+int(ahead/interval)/n), max(interval, spec.MaxSampleAge))
	f.ticks = min(int(ahead/f.step)+1, mostTicks)
}

// horizon is how far ahead is looked.
func (f *future) horizon() time.Duration { return f.step * time.Duration(f.ticks) }

// after is how long after the decision a tick is.
func (f *future) after(tick int) time.Duration { return f.step * time.Duration(tick) }

// hold decides about what is seen at this tick and at further ones, until stop says so.
func (f *future) hold(seen *policy.Observation, ticks int, stop func(event) bool) {
	seen.CloneInto(&f.scratch)
	o, state, now := &f.scratch, f.in.State, f.in.Time
	for tick := 0; tick <= ticks; tick++ {
		var d policy.Decision
		if d, state = policy.Decide(f.in.Spec, state, *o, now); stop(event{tick, d.Desired, d.Reason}) {
			return
		}
		now = now.Add(f.step)
		f.age(o)
	}
}

// age makes what was seen that of the next tick.
func (f *future) age(o *policy.Observation) {
	o.Started = o.Started[:0]
	for i := range o.Readings {
		r := &o.Readings[i]
		f.renew(&r.Workload)
		for j := range r.Samples {
			f.renew(&r.Samples[j])
		}
	}
}

// renew takes a sample anew.
func (f *future) renew(s *policy.Sample) {
	if !s.Time.IsZero() {
		s.Time = s.Time.Add(f.step)
	}
}

// usual is what is decided at a tick with nothing changed. After the first change nothing can be told: the replicas are others then.
func (f *future) usual(tick int) int {
	if f.ok && tick >= f.comes.tick {
		return f.comes.desired
	}
	return f.in.Seen.Replicas
}

// departs returns the first tick at which what is seen, if it is held, leads to another outcome than what was really seen.
func (f *future) departs(seen *policy.Observation) (first event, found bool) {
	last := f.ticks
	if f.ok {
		last = f.comes.tick
	}
	f.hold(seen, last, func(e event) bool {
		usual := f.usual(e.tick)
		if e.desired != usual {
			first, found = e, true
		}
		return found || e.desired != f.in.Seen.Replicas
	})
	return first, found
}

// moves returns the first tick at which what is seen, if it is held, raises (+1) or lowers (-1) the replicas there are.
func (f *future) moves(seen *policy.Observation, direction int) (first event, found bool) {
	f.hold(seen, f.ticks, func(e event) bool {
		first, found = e, (e.desired-f.in.Seen.Replicas)*direction > 0
		return e.desired != f.in.Seen.Replicas
	})
	return first, found
}
