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

// count goes over the pods once.
func (f *Fleet) count(spec *Spec, state *State, seen *Observation, reading *Reading, now time.Time) tally {
	t := tally{oldest: now, loading: f.Loading, overdue: f.Overdue}
	rate := reading.Signal.isRate() && len(state.Served) > 0
	for i := range seen.Pods {
		pod := &seen.Pods[i]
		if pod.Phase != Ready && f.worth(pod, spec.MaxSampleAge, now) != serving {
			continue
		}
		if state.stalled(pod.Name, now) {
			t.stalled++
			continue
		}
		var sample Sample
		if i < len(reading.Samples) {
			sample = reading.Samples[i]
		}
		m, ok, stale := sample.usable(spec.MaxSampleAge, now)
		switch {
		case sample.OK && sample.Idle:
			t.idle++
		case ok && m == 0 && rate && state.doubtful(spec, seen, i, now):
			t.miss(pod, false, spec, now)
		case ok:
			t.add(m, &sample, pod, spec, now)
		default:
			t.miss(pod, stale, spec, now)
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
