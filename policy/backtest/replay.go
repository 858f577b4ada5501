package backtest

import (
	"cmp"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// writeLag is how long after a decision its write may show in what is recorded: replicas are scraped too.
const writeLag = 30 * time.Second

// longestStartup is the longest time that a pod is believed to have been on its way: a replica may have no pod at all.
const longestStartup = time.Hour

// Replay decides at each time of the Recording as the controller did. The replicas are those that really were.
func Replay(r *Recording, spec policy.Spec) []policy.Decision {
	v := newView(r)
	decisions := make([]policy.Decision, r.Steps)
	var state policy.State
	written, until := 0, 0 // what was written shows only from a step on
	for i := range r.Steps {
		replicas := r.Replicas[i]
		if i < until {
			replicas = written
		}
		seen, now := v.observe(i, replicas), r.Time(i)
		d, next := policy.Decide(spec, state, seen, now)
		state = next
		if shows, ok := r.reaches(i, replicas, d.Desired); ok {
			state = state.Wrote(d, now)
			written, until = d.Desired, shows
		}
		decisions[i] = d
	}
	return decisions
}

// reaches finds when a decision to change replicas shows in what was recorded; ok is false if nothing came of it.
func (r *Recording) reaches(step, from, to int) (shows int, ok bool) {
	if from == to {
		return 0, false
	}
	last := step + max(2, int(writeLag/r.Step()))
	for i := step + 1; i <= min(last, r.Steps-1); i++ {
		if r.Replicas[i] == to {
			return i, true
		}
	}
	return 0, false
}

// Current is what really happened: the recorded replicas, scored as a policy would be.
func Current(r *Recording, spec policy.Spec) simulate.Result {
	result := simulate.Result{Ticks: make([]simulate.Tick, r.Steps)}
	decisions := Replay(r, spec)
	var scorer simulate.Scorer
	v := newView(r)
	for i := range decisions {
		d := actual(&decisions[i], r.Replicas[i], r.Replicas[min(i+1, r.Steps-1)])
		lasts := r.Step()
		if i == r.Steps-1 {
			lasts = 0
		}
		scorer.Tick(&d, d.Desired, lasts)
		if d.Desired != d.Current {
			scorer.Wrote(&d)
		}
		ready := min(v.ready(i), d.Current)
		result.Ticks[i] = simulate.Tick{
			Time: r.Time(i), Replicas: d.Current, Ready: ready, Loading: d.Current - ready, Summary: d.Summary(),
		}
	}
	result.Score = scorer.Score()
	return result
}

// actual is a decision with the signals that were read, and what really became of the replicas.
func actual(read *policy.Decision, before, after int) policy.Decision {
	stage := policy.Stage{Replicas: after, Reason: policy.DesiredWithinRange}
	if before != after {
		stage.Reason = policy.SuccessfulRescale
	}
	return policy.Decision{
		Time: read.Time, Current: before, Recommended: stage, Guarded: stage, Stabilized: stage, Limited: stage, Bounded: stage,
		Desired: after, Reason: stage.Reason, Fleet: read.Fleet, Signals: read.Signals,
	}
}

// view is a Recording as it is looked at step by step.
type view struct {
	r *Recording
	// loading is since which step a pod has been on its way.
	loading map[string]int
	pods    []policy.Pod
	living  []Pod
}

func newView(r *Recording) *view { return &view{r: r, loading: map[string]int{}} }

// ready counts the pods that were Ready at a step.
func (v *view) ready(step int) int {
	n := 0
	for _, p := range v.r.Pods {
		if p.From <= step && step < p.Until {
			n++
		}
	}
	return n
}

// observe is what was seen at a step, called for one step after the other. Of more Ready pods than replicas those are left out
// that end first: they are being deleted.
func (v *view) observe(step, replicas int) policy.Observation {
	seen := policy.Observation{Replicas: replicas}
	v.living, v.pods = v.living[:0], v.pods[:0]
	for _, p := range v.r.Pods {
		if p.From <= step && step < p.Until {
			v.living = append(v.living, p)
		}
	}
	if surplus := len(v.living) - replicas; surplus > 0 {
		slices.SortStableFunc(v.living, func(a, b Pod) int { return cmp.Compare(b.Until, a.Until) })
		v.living = v.living[:replicas]
	}
	for _, p := range v.living {
		pod := policy.Pod{Name: p.Name, Phase: policy.Ready, Served: true}
		if p.From > 0 {
			pod.Since = v.r.Time(p.From)
		}
		if since, known := v.loading[p.Name]; known && p.From == step {
			seen.Started = append(seen.Started, v.r.Time(p.From).Sub(v.r.Time(since)))
		}
		v.pods = append(v.pods, pod)
	}
	v.await(step, replicas-len(v.living))
	seen.Pods = v.pods
	seen.Readings = v.readings(step)
	return seen
}

// await adds the pods that are on their way: the next that will be Ready, for replicas that have no Ready pod.
func (v *view) await(step, missing int) {
	for _, p := range v.r.Pods {
		if missing <= 0 {
			return
		}
		if p.From <= step || v.r.Time(p.From).Sub(v.r.Time(step)) > longestStartup {
			continue
		}
		since, known := v.loading[p.Name]
		if !known {
			since = step
			v.loading[p.Name] = step
		}
		at := v.r.Time(since)
		v.pods = append(v.pods, policy.Pod{Name: p.Name, Phase: policy.Loading, Since: at, Scheduled: at})
		missing--
	}
}

// readings are what was read of the pods at a step. Their exact times are not recorded.
func (v *view) readings(step int) []policy.Reading {
	readings := make([]policy.Reading, len(v.r.Signals))
	for i := range v.r.Signals {
		s := &v.r.Signals[i]
		reading := &readings[i]
		reading.Signal = s.Signal
		if s.Workload != nil {
			reading.PerWorkload, reading.Workload = true, stamped(s.Workload.at(step), v.r.Time(step))
			continue
		}
		for j := range v.pods {
			row := s.Pods[v.pods[j].Name]
			reading.Samples = append(reading.Samples, stamped(row.at(step), v.r.Time(step)))
		}
	}
	return readings
}

// stamped is a sample as taken at a time, if it is one.
func stamped(s policy.Sample, at time.Time) policy.Sample {
	if s.OK {
		s.Time = at
	}
	return s
}
