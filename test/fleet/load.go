package fleet

import (
	"cmp"
	"math"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Absent as a value means that the series is not exposed at all, as dcgm-exporter does with a value that DCGM does not
// know.
const Absent = -math.MaxFloat64

// Blank is 0xFFFFFFFF, which drivers have been seen to report as a utilization that they do not know.
const Blank = 4294967295

// Model says what the pods of one workload read. Its methods are called concurrently.
type Model interface {
	// Advance brings the model to a time, with the pods that are ready then, oldest first. Times only grow.
	Advance(now time.Time, ready []string)
	// Pod returns the reading of a pod at the time last advanced to. It is asked for pods that have loaded, whether
	// they are ready or not.
	Pod(name string) PodLoad
}

// PodLoad is what the exporters of one pod show. The zero value is an idle pod.
type PodLoad struct {
	GPU    GPULoad
	Engine EngineLoad
}

// GPULoad is the use of each GPU of a pod.
type GPULoad struct {
	// Utilization is in percent, 0 to 100, and exposed as a whole number, as DCGM does. NaN, Blank and Absent are
	// passed on.
	Utilization float64
	// MemoryUsed is framebuffer in use, in MiB.
	MemoryUsed float64
	// Each, if not nil, is the utilization of the pod's GPUs one by one, in place of Utilization; the last value goes
	// for all further GPUs.
	Each []float64
}

// utilization returns that of the pod's k-th GPU.
func (l GPULoad) utilization(k int) float64 {
	if len(l.Each) == 0 {
		return l.Utilization
	}
	return l.Each[min(k, len(l.Each)-1)]
}

// EngineLoad is what a vLLM server counts. NaN and Absent are passed on for the gauges.
type EngineLoad struct {
	// Running and Waiting are requests, KVCache is the share of the cache in use, 0 to 1.
	Running, Waiting, KVCache float64
	// PromptTokens, GenerationTokens, Finished (requests) and Preemptions are counters.
	PromptTokens, GenerationTokens, Finished, Preemptions float64
	// TTFT, InterToken, QueueTime, Prefill, Decode and E2E are latencies in seconds; RequestPromptTokens and
	// RequestGenerationTokens are sizes of finished requests. A nil histogram is exposed as empty.
	TTFT, InterToken, QueueTime, Prefill, Decode, E2E *Histogram
	RequestPromptTokens, RequestGenerationTokens      *Histogram
}

// Drive lets a model say what the pods of a workload read; nil leaves them idle. A workload is named like the Deployment
// of its pods, or like the pod if it has none.
func (f *Fleet) Drive(namespace, workload string, m Model) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := types.NamespacedName{Namespace: namespace, Name: workload}
	if m == nil {
		delete(f.models, key)
		return
	}
	f.models[key] = m
}

// tick advances all models until the fleet stops.
func (f *Fleet) tick() {
	ticker := time.NewTicker(f.opts.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-f.ctx.Done():
			return
		case now := <-ticker.C:
			f.advance(now)
		}
	}
}

func (f *Fleet) advance(now time.Time) {
	f.mu.Lock()
	models := make(map[types.NamespacedName]Model, len(f.models))
	ready := map[types.NamespacedName][]*podRun{}
	for key, m := range f.models {
		models[key] = m
	}
	for _, run := range f.pods {
		if run.isReady() {
			ready[run.workload] = append(ready[run.workload], run)
		}
	}
	f.mu.Unlock()
	for key, m := range models {
		m.Advance(now, namesByAge(ready[key]))
	}
}

func namesByAge(runs []*podRun) []string {
	slices.SortFunc(runs, func(a, b *podRun) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.name.Name, b.name.Name))
	})
	names := make([]string, len(runs))
	for i, run := range runs {
		names[i] = run.name.Name
	}
	return names
}

// load returns the reading of a pod: idle until it has loaded.
func (f *Fleet) load(run *podRun) PodLoad {
	f.mu.Lock()
	m := f.models[run.workload]
	f.mu.Unlock()
	if m == nil || !run.hasLoaded() {
		return PodLoad{}
	}
	return m.Pod(run.name.Name)
}
