package simulate

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// sharedSignal is a signal of the pods that depends on how many of them are ready.
type sharedSignal struct {
	start time.Time
	what  func(at time.Duration, ready int) policy.Sample
}

func (s *sharedSignal) read(r *policy.Reading, f *fleet, now time.Time) {
	ready := 0
	for i := range f.pods {
		if f.pods[i].ready {
			ready++
		}
	}
	r.Samples = r.Samples[:0]
	if ready == 0 {
		return
	}
	shared := inRange(r.Signal, stamped(s.what(now.Sub(s.start), ready), now))
	for i := range f.pods {
		sample := policy.Sample{}
		if f.pods[i].ready {
			sample = shared
		}
		r.Samples = append(r.Samples, sample)
	}
}

// workloadCall is a workload signal that is computed.
type workloadCall struct {
	start time.Time
	what  func(at time.Duration) policy.Sample
}

func (w *workloadCall) read(r *policy.Reading, _ *fleet, now time.Time) {
	r.PerWorkload, r.Workload = true, stamped(w.what(now.Sub(w.start)), now)
}

// stamped is a sample as taken now, if it is one.
func stamped(s policy.Sample, now time.Time) policy.Sample {
	if s.OK {
		s.Time = now
	}
	return s
}
