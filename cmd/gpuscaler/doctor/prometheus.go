package doctor

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// atOnce is how many queries are asked at the same time; a server runs 20 for everybody.
const atOnce = 6

// meetPrometheus finds Prometheus and asks who it is. It returns nil if there is none that answers.
func meetPrometheus(ctx context.Context, o *Options, into *PrometheusFacts) *metrics.Prometheus {
	p, name, err := o.Open(ctx)
	into.Name = name
	if err != nil {
		into.Err = err
		return nil
	}
	if p == nil {
		into.None = true
		return nil
	}
	asked := time.Now()
	at, err := p.Clock(ctx)
	if err != nil {
		into.Err = err
		return nil
	}
	into.Skew, into.Slack = skewOf(at, asked, time.Now(), time.Millisecond)
	if info, err := p.BuildInfo(ctx); err == nil { // not everything that answers queries tells
		into.Version = info.Version
	}
	return p
}

// signalRead is what was read of a signal.
type signalRead struct {
	SignalFacts
	result metrics.Result
	ages   metrics.Ages
	agesOK bool
	past   []metrics.Result
}

// loadSignals tell how much work is done. Signals are compared with the first that a workload has.
var loadSignals = []policy.Signal{policy.RequestsPerSecond, policy.TokensPerSecond}

const (
	// lookback is how far back signals are looked at, in steps.
	lookback, lookbackStep = time.Hour, time.Minute
)

// readSignals reads every signal once for all workloads, and hands each its part.
func readSignals(ctx context.Context, o *Options, p *metrics.Prometheus, found *objects, facts *Facts) {
	reads, targeted := wantedSignals(facts.Workloads)
	namespaces := namespacesOf(facts.Workloads)
	var jobs []func()
	for _, info := range policy.Signals() {
		r := reads[info.Signal]
		if r == nil {
			continue
		}
		if !r.onlyLoad {
			jobs = append(jobs, r.now(ctx, p, namespaces)...)
		}
		if targeted[info.Signal] || r.onlyLoad {
			jobs = append(jobs, r.before(ctx, p, namespaces))
		}
	}
	var gpus metrics.GPUPods
	if len(namespaces) > 0 {
		jobs = append(jobs,
			func() { facts.Prometheus.Cadence, facts.Prometheus.CadenceErr = p.Cadence(ctx) },
			func() { gpus, facts.Prometheus.GPUPodsErr = p.GPUPods(ctx, namespaces) })
	}
	customs := customReads(ctx, o, p, facts.Workloads)
	jobs = append(jobs, customs...)
	few(len(jobs), atOnce, func(i int) { jobs[i]() })
	handOut(reads, found, facts, gpus)
}

// readOf is a signal while it is read.
type readOf struct {
	signalRead
	// onlyLoad says that no workload uses it: its past alone is read, to compare others with.
	onlyLoad bool
	mu       sync.Mutex
}

// wantedSignals are the built-in signals to read, and those that have a target.
func wantedSignals(workloads []WorkloadFacts) (reads map[policy.Signal]*readOf, targeted map[policy.Signal]bool) {
	reads, targeted = map[policy.Signal]*readOf{}, map[policy.Signal]bool{}
	for i := range workloads {
		w := &workloads[i]
		if w.Spec == nil || !w.OptedIn {
			continue
		}
		for _, s := range w.Spec.Signals() {
			if w.Spec.Queries[s] == "" {
				reads[s] = &readOf{signalRead: signalRead{SignalFacts: SignalFacts{Signal: s}}}
			}
		}
		for _, t := range w.Spec.Targets {
			targeted[t.Signal] = true
		}
	}
	if len(targeted) > 0 {
		for _, s := range loadSignals {
			if reads[s] == nil {
				reads[s] = &readOf{signalRead: signalRead{SignalFacts: SignalFacts{Signal: s}}, onlyLoad: true}
			}
		}
		for _, s := range loadSignals {
			targeted[s] = true
		}
	}
	return reads, targeted
}

// namespacesOf are those of the workloads.
func namespacesOf(workloads []WorkloadFacts) []string {
	set := map[string]bool{}
	for i := range workloads {
		set[workloads[i].Namespace] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// now reads a signal as it is: its values, when they were taken, and what series there are.
func (r *readOf) now(ctx context.Context, p *metrics.Prometheus, namespaces []string) []func() {
	return []func(){
		func() {
			result, err := p.Read(ctx, r.Signal, namespaces)
			r.set(err, func() { r.result, r.Dropped = result, result.Dropped })
		},
		func() {
			ages, err := p.Ages(ctx, r.Signal, namespaces)
			r.set(err, func() { r.ages, r.agesOK = ages, true })
		},
		func() {
			census, err := p.Census(ctx, r.Signal)
			r.set(err, func() { r.Census = census })
		},
	}
}

// before reads the last hour of a signal.
func (r *readOf) before(ctx context.Context, p *metrics.Prometheus, namespaces []string) func() {
	return func() {
		now := time.Now()
		past, err := p.ReadRange(ctx, r.Signal, namespaces, now.Add(-lookback), now, lookbackStep)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.past, r.HistoryErr = past, err
	}
}

// set takes over what was read, or why it was not.
func (r *readOf) set(err error, take func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.Err = err
		return
	}
	take()
}

// customReads read the custom signals, each for its Deployment: their queries are bound to it.
func customReads(ctx context.Context, o *Options, p *metrics.Prometheus, workloads []WorkloadFacts) []func() {
	var jobs []func()
	for i := range workloads {
		w := &workloads[i]
		if w.Spec == nil || !w.OptedIn {
			continue
		}
		for j := range w.Readings {
			if r := &w.Readings[j]; r.Custom != "" {
				jobs = append(jobs, func() { r.query(ctx, o, p, w) })
			}
		}
	}
	return jobs
}

// query reads a custom signal.
func (r *ReadingFacts) query(ctx context.Context, o *Options, p *metrics.Prometheus, w *WorkloadFacts) {
	result, err := p.ReadQuery(ctx, o.Queries[r.Custom], w.Namespace, w.Name)
	switch {
	case err != nil:
		r.Err = err
	case result.OK:
		r.Workload, r.Value = true, result.Value.Value
	case result.PerPod:
		r.perPod = &result.Samples
	}
}
