package doctor

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// handOut gives each workload its part of what was read.
func handOut(reads map[policy.Signal]*readOf, found *objects, facts *Facts, gpus metrics.GPUPods) {
	living := map[metrics.PodKey]bool{}
	for _, p := range found.pods {
		living[metrics.PodKey{Namespace: p.Namespace, Pod: p.Name}] = true
	}
	for _, info := range policy.Signals() {
		r := reads[info.Signal]
		if r == nil || r.onlyLoad {
			continue
		}
		if found.podsKnown {
			r.Strangers = strangers(r.result.Samples, living)
		}
		facts.Signals = append(facts.Signals, r.SignalFacts)
	}
	for i := range facts.Workloads {
		w := &facts.Workloads[i]
		pods := found.readyPods(w.NamespacedName)
		for j := range w.Readings {
			w.Readings[j].fill(reads, pods, facts)
		}
		for _, pod := range pods {
			if n := gpus.Shared[pod]; n > 1 {
				w.Shared++
				w.Sharers = max(w.Sharers, n)
			}
			if gpus.MIG[pod] {
				w.MIGPods++
			}
		}
	}
}

// readyPods are the ready pods of a Deployment.
func (f *objects) readyPods(of types.NamespacedName) []metrics.PodKey {
	var ready []metrics.PodKey
	for _, p := range f.living[of] {
		if p.ready {
			ready = append(ready, metrics.PodKey{Namespace: p.Namespace, Pod: p.Name})
		}
	}
	return ready
}

// strangers counts pods that have samples and are not there, by namespace.
func strangers(samples metrics.Samples, living map[metrics.PodKey]bool) map[string]int {
	counts := map[string]int{}
	for key := range samples.All() {
		if !living[key] {
			counts[key.Namespace]++
		}
	}
	return counts
}

// fill takes what a signal says of some pods.
func (r *ReadingFacts) fill(reads map[policy.Signal]*readOf, pods []metrics.PodKey, facts *Facts) {
	if r.Custom != "" {
		if r.perPod != nil {
			r.average(*r.perPod, pods)
		}
		return
	}
	read := reads[r.Signal]
	if read == nil {
		return
	}
	if r.Err = read.Err; r.Err != nil {
		return
	}
	r.average(read.result.Samples, pods)
	if read.agesOK {
		r.date(read.ages, pods, facts)
	}
	r.compare(reads, pods)
}

// average takes the mean, and from where it is.
func (r *ReadingFacts) average(samples metrics.Samples, pods []metrics.PodKey) {
	sources := map[string]bool{}
	sum := 0.0
	for _, pod := range pods {
		if reading, ok := samples.Get(pod.Namespace, pod.Pod); ok {
			r.Sampled++
			sum += reading.Value
			sources[reading.Source] = true
		}
	}
	delete(sources, "")
	r.Sources = slices.Sorted(maps.Keys(sources))
	if r.Sampled > 0 {
		r.Value = sum / float64(r.Sampled)
	}
}

// date finds out how old the samples are.
func (r *ReadingFacts) date(ages metrics.Ages, pods []metrics.PodKey, facts *Facts) {
	for _, pod := range pods {
		taken, ok := ages.Samples[pod]
		if !ok {
			continue
		}
		age := ages.ServerTime.Sub(taken)
		r.Dated = true
		r.Oldest = max(r.Oldest, age)
		if age > facts.MaxSampleAge {
			r.Late++
		}
	}
}

// compare sets the past of the signal beside that of the load.
func (r *ReadingFacts) compare(reads map[policy.Signal]*readOf, pods []metrics.PodKey) {
	for _, result := range reads[r.Signal].past {
		if v, ok := meanOf(result.Samples, pods); ok {
			r.Past = append(r.Past, Point{Time: result.ServerTime, Value: v})
		}
	}
	if slices.Contains(loadSignals, r.Signal) {
		return
	}
	for _, signal := range loadSignals {
		if r.against(reads[signal], pods) >= minPoints {
			r.Load = signal
			return
		}
	}
}

// against fills in the load and returns at how many moments it is known.
func (r *ReadingFacts) against(load *readOf, pods []metrics.PodKey) (n int) {
	if load == nil {
		return 0
	}
	at := map[int64]float64{}
	for _, result := range load.past {
		if v, ok := meanOf(result.Samples, pods); ok {
			at[result.ServerTime.Unix()/60] = v
		}
	}
	for i := range r.Past {
		p := &r.Past[i]
		if p.Load, p.HasLoad = at[p.Time.Unix()/60]; p.HasLoad {
			n++
		}
	}
	return n
}

// meanOf is the mean over those of some pods that have a sample.
func meanOf(samples metrics.Samples, pods []metrics.PodKey) (mean float64, ok bool) {
	n := 0
	for _, pod := range pods {
		if reading, ok := samples.Get(pod.Namespace, pod.Pod); ok {
			mean += reading.Value
			n++
		}
	}
	return mean / float64(max(n, 1)), n > 0
}
