package explain

import (
	"fmt"

	"github.com/gpuscaler/gpuscaler/policy"
)

// filled gives the pods without a sample what the others read on average.
func (f *future) filled(m *move, signal policy.Signal) []Change {
	var trial policy.Observation
	f.in.Seen.CloneInto(&trial)
	r := &trial.Readings[m.reading]
	if r.PerWorkload {
		return nil
	}
	n := f.fill(&trial, r, m.mean())
	if n == 0 {
		return nil
	}
	e, found := f.departs(&trial)
	if !found {
		return nil
	}
	what := fmt.Sprintf("samples of %s from the %s without, reading as the others do (%s)", signal, counted(n, "pod"), number(m.mean()))
	return []Change{f.told(Change{Kind: BySamples, Signal: signal}, e, what)}
}

// fill gives the Ready pods without a sample that counts one, and returns how many these were.
func (f *future) fill(seen *policy.Observation, r *policy.Reading, value float64) int {
	d, next := f.in.Decide()
	n := 0
	for len(r.Samples) < len(seen.Pods) {
		r.Samples = append(r.Samples, policy.Sample{})
	}
	for i, standing := range d.Standings(&f.in.Spec, &next, &f.in.Seen, r) {
		if seen.Pods[i].Phase == policy.Ready && (standing == policy.Missing || standing == policy.Stale) {
			r.Samples[i] = policy.Sample{Value: value, Time: f.in.Time, OK: true}
			n++
		}
	}
	return n
}

// returned reads a signal of which nothing counts now on all pods again: at its target, and from there up and down.
func (f *future) returned(s *Signal) []Change {
	if s.Target == 0 || s.PerWorkload {
		return nil
	}
	var trial policy.Observation
	f.in.Seen.CloneInto(&trial)
	r := find(&trial, s.Signal)
	if r == nil {
		trial.Readings = append(trial.Readings, policy.Reading{Signal: s.Signal})
		r = &trial.Readings[len(trial.Readings)-1]
	}
	if r.PerWorkload {
		return nil
	}
	r.Problem, r.Samples = "", r.Samples[:0]
	if f.fill(&trial, r, s.Target) == 0 {
		return nil
	}
	what := fmt.Sprintf("samples of %s from all ready pods again, ", s.Signal)
	if e, found := f.departs(&trial); found {
		return []Change{f.told(Change{Kind: BySamples, Signal: s.Signal}, e, what+"reading its target of "+number(s.Target))}
	}
	for i := range trial.Readings {
		if trial.Readings[i].Signal != s.Signal {
			continue
		}
		if m := newMove(f.in, &trial, i); m != nil {
			return f.returnedAt(m, what)
		}
	}
	return nil
}

// returnedAt finds at which readings a signal that is read again changes the outcome.
func (f *future) returnedAt(m *move, what string) []Change {
	var list []Change
	for _, direction := range []int{+1, -1} {
		if sum, e, found := f.smallest(m, direction, f.departs); found {
			to := m.shown(sum)
			c := Change{Kind: BySamples, Signal: m.seen.Readings[m.reading].Signal, To: &to}
			list = append(list, f.told(c, e, what+"reading "+number(to)))
		}
	}
	return list
}

// placed finds how many more pods must find a place. Those that wait take theirs first.
func (f *future) placed() []Change {
	if !f.in.Seen.FreeKnown {
		return nil
	}
	var trial policy.Observation
	n, e, found := search(func(n int) (event, bool, bool) {
		if n > f.in.Spec.MaxReplicas {
			return event{}, false, false
		}
		f.in.Seen.CloneInto(&trial)
		left := n
		for i := range trial.Pods {
			if p := &trial.Pods[i]; p.Phase == policy.Unschedulable && left > 0 {
				p.Phase, p.Since, p.Scheduled = policy.Loading, f.in.Time, f.in.Time
				left--
			}
		}
		trial.Free += left
		e, so := f.departs(&trial)
		return e, so, true
	})
	if !found {
		return nil
	}
	return []Change{f.told(Change{Kind: ByPlaces, Places: n}, e, "GPUs for "+counted(n, "more pod"))}
}
