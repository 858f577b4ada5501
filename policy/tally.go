package policy

import "time"

// tally is what one per-pod signal shows.
type tally struct {
	sum                            int64   // of the samples, in thousandths
	exact                          float64 // the same in millionths, for the bands of steps
	sampled, missing, young, stale int     // ready pods; young and stale are among the missing
	idle                           int     // ready pods that had nothing to measure: neither sampled nor missing
	loading, overdue               int     // pods on their way, and pods that should be Ready by now
	stalled                        int     // ready pods that hang: neither sampled nor missing
	most                           int64   // the largest sample, in thousandths
	// oldest is when the oldest sample of a Ready pod was taken, at the earliest if that is not known exactly.
	oldest time.Time
}

// Standing is what a pod's sample of a signal counts for.
type Standing uint8

// The standings.
const (
	// Aside: the pod is not one that is asked, such as one that loads.
	Aside Standing = iota
	// Sampled: the sample counts.
	Sampled
	// Missing: there is none that can be used. Stale: there is one, and it is too old.
	Missing
	Stale
	// Unasked: the pod is known to have had nothing to measure.
	Unasked
	// Hanging: requests wait on the pod and no token comes, so it does not count.
	Hanging
)

// Standings returns what the samples of a reading counted for in a decision, in the order of the pods. State is that after the decision.
func (d *Decision) Standings(spec *Spec, state *State, seen *Observation, reading *Reading) []Standing {
	list := make([]Standing, len(seen.Pods))
	for i := range list {
		list[i], _ = d.Fleet.standing(spec, state, seen, reading, i, d.Time)
	}
	return list
}

// standing returns what the sample of one pod counts for, and its value in thousandths.
func (f *Fleet) standing(spec *Spec, state *State, seen *Observation, reading *Reading, i int, now time.Time) (Standing, int64) {
	pod := &seen.Pods[i]
	if pod.Phase != Ready && f.worth(pod, spec.MaxSampleAge, now) != serving {
		return Aside, 0
	}
	if state.stalled(pod.Name, now) {
		return Hanging, 0
	}
	if i >= len(reading.Samples) {
		return Missing, 0
	}
	sample := &reading.Samples[i]
	m, ok, stale := sample.usable(spec.MaxSampleAge, now)
	switch {
	case sample.OK && sample.Idle:
		return Unasked, 0
	case ok && m == 0 && reading.Signal.isRate() && len(state.Served) > 0 && state.doubtful(spec, seen, i, now):
		return Missing, 0
	case ok:
		return Sampled, m
	case stale:
		return Stale, 0
	}
	return Missing, 0
}

// count goes over the pods once.
func (f *Fleet) count(spec *Spec, state *State, seen *Observation, reading *Reading, now time.Time) tally {
	t := tally{oldest: now, loading: f.Loading, overdue: f.Overdue}
	for i := range seen.Pods {
		pod := &seen.Pods[i]
		switch standing, m := f.standing(spec, state, seen, reading, i, now); standing {
		case Hanging:
			t.stalled++
		case Unasked:
			t.idle++
		case Sampled:
			t.add(m, &reading.Samples[i], pod, spec, now)
		case Missing, Stale:
			t.miss(pod, standing == Stale, spec, now)
		}
	}
	return t
}

// miss counts a pod without a sample that can be used.
func (t *tally) miss(pod *Pod, stale bool, spec *Spec, now time.Time) {
	t.missing++
	switch {
	case stale:
		t.stale++
	case pod.Phase == Ready && now.Sub(pod.Since) < spec.MaxSampleAge:
		t.young++
	}
}

// add counts one sample.
func (t *tally) add(m int64, sample *Sample, pod *Pod, spec *Spec, now time.Time) {
	t.sampled++
	t.sum += m
	if len(spec.Steps) > 0 {
		t.exact += millionths(sample.Value)
	}
	t.most = max(t.most, m)
	taken := sample.Time
	if taken.IsZero() {
		taken = now.Add(-spec.MaxSampleAge)
	}
	if pod.Phase == Ready && taken.Before(t.oldest) {
		t.oldest = taken
	}
}
