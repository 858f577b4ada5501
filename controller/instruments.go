package controller

import (
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gpuscaler/gpuscaler/policy"
)

// instruments are the metrics that are counted as things happen. Those of the workloads are in workloadCollector.
type instruments struct {
	decisions, writes, dropped  *prometheus.CounterVec
	scrapes                     *prometheus.CounterVec
	queryDuration, tickDuration prometheus.Histogram
	missed, panics              prometheus.Counter
	startup                     prometheus.Summary
	leader, stale               prometheus.GaugeFunc
	workloads                   workloadCollector
}

// newInstruments makes the metrics of a Controller.
func newInstruments(c *Controller) *instruments {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &instruments{
		decisions: counters("gpuscaler_decisions_total", "Decisions by reason, one per workload and tick.", "reason"),
		writes:    counters("gpuscaler_scale_writes_total", "Writes of the scale subresource by what became of them.", "result"),
		dropped:   counters("gpuscaler_samples_dropped_total", "Samples that were refused, by signal and why.", "signal", "why"),
		scrapes:   counters("gpuscaler_scrapes_total", "Pods and NVML agents that were to be read, for each workload and tick, by whether they answered when last asked.", "source", "result"),
		queryDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gpuscaler_query_duration_seconds", Help: "Time until a query for a signal was answered or given up.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
		tickDuration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "gpuscaler_tick_duration_seconds", Help: "Time that a tick took, queries included and writes not.",
			Buckets: prometheus.ExponentialBuckets(0.005, 2, 12),
		}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gpuscaler_ticks_missed_total", Help: "Ticks that were left out because the one before took too long.",
		}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gpuscaler_panics_total", Help: "Panics that were caught; a workload that causes one is left alone for a while.",
		}),
		startup: prometheus.NewSummary(prometheus.SummaryOpts{
			Name: "gpuscaler_startup_seconds", Help: "Time that a pod took from its node to Ready.",
			Objectives: map[float64]float64{0.5: 0.05, 0.9: 0.01, 0.99: 0.001}, MaxAge: startupMemory,
		}),
		leader: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gpuscaler_leader", Help: "1 if this process decides, 0 if it stands by.",
		}, func() float64 { return gauge(c.Leading()) }),
		stale: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "gpuscaler_stale_workloads", Help: "Workloads of which the API server has not shown the last write yet, or whose Deployments are not watched.",
		}, func() float64 { return float64(c.Snapshot().Stale) }),
		workloads: workloadCollector{c.Snapshot},
	}
	for _, r := range results {
		m.writes.WithLabelValues(string(r))
	}
	return m
}

// scraped counts requests to pods or agents.
func (m *instruments) scraped(source string, a Asked) {
	for result, n := range map[string]int{"success": a.Asked - a.Failed, "failure": a.Failed} {
		if n > 0 {
			m.scrapes.WithLabelValues(source, result).Add(float64(n))
		}
	}
}

// startupMemory is how far back the quantiles of startups look: they are rare.
const startupMemory = 6 * time.Hour

// register makes the metrics known.
func (m *instruments) register(r prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{
		m.decisions, m.writes, m.dropped, m.scrapes, m.queryDuration, m.tickDuration, m.missed, m.panics, m.startup, m.leader, m.stale, m.workloads,
	} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// gauge is 1 for true.
func gauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// workloadCollector makes the metrics of the workloads from the last Snapshot, so that those of a workload that is gone
// go with it.
type workloadCollector struct{ snapshot func() *Snapshot }

// describe makes the description of a metric with the labels of a workload and more.
func describe(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc("gpuscaler_"+name, help, append([]string{"namespace", "workload_kind", "workload"}, more...), nil)
}

// The metrics of workloads.
var (
	currentDesc = describe("current_replicas", "spec.replicas at the last tick.")
	desiredDesc = describe("desired_replicas", "Replicas that the last decision wants.")
	minDesc     = describe("spec_min_replicas", "The minimum by annotation.")
	maxDesc     = describe("spec_max_replicas", "The maximum by annotation.")
	valueDesc   = describe("signal_value", "Average of a signal over the ready pods that were sampled, in the signal's unit; absent without a sample.", "signal")
	targetDesc  = describe("signal_target", "Target of a signal, in the signal's unit.", "signal")
	sourceDesc  = describe("signal_samples", "Pods that a signal was read of at the last tick, by where their samples came from.", "signal", "source")
	heldDesc    = describe("held", "1 while the reason holds the workload back, 0 if it did before.", "reason")
	condDesc    = describe("condition", "1 while the reason, of which an Event tells, is to be known of the workload, whether or not it holds it back; 0 if it was before.", "reason")
	gpuDesc     = describe("gpu_seconds_total", "GPUs times seconds that the workload's pods have held them.", "state")
)

// Describe implements prometheus.Collector.
func (w workloadCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{currentDesc, desiredDesc, minDesc, maxDesc, valueDesc, targetDesc, sourceDesc, heldDesc, condDesc, gpuDesc} {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (w workloadCollector) Collect(metrics chan<- prometheus.Metric) {
	s := w.snapshot()
	for i := range s.Workloads {
		s.Workloads[i].collect(metrics)
	}
}

// collect sends the metrics of one workload.
func (w *Workload) collect(metrics chan<- prometheus.Metric) {
	send := func(desc *prometheus.Desc, kind prometheus.ValueType, value float64, more ...string) {
		labels := append([]string{w.Namespace, "Deployment", w.Name}, more...)
		metrics <- prometheus.MustNewConstMetric(desc, kind, value, labels...)
	}
	d := w.Decision
	send(currentDesc, prometheus.GaugeValue, float64(d.Current))
	send(desiredDesc, prometheus.GaugeValue, float64(d.Desired))
	if w.Spec != nil {
		send(minDesc, prometheus.GaugeValue, float64(w.Spec.MinReplicas))
		send(maxDesc, prometheus.GaugeValue, float64(w.Spec.MaxReplicas))
	}
	for i := range d.Signals {
		signal := &d.Signals[i]
		// One with a target and with steps is there twice.
		again := slices.ContainsFunc(d.Signals[:i], func(s policy.SignalDecision) bool { return s.Signal == signal.Signal })
		if signal.Sampled > 0 && !again {
			send(valueDesc, prometheus.GaugeValue, signal.Value, string(signal.Signal))
			if w.origins == nil {
				send(sourceDesc, prometheus.GaugeValue, float64(signal.Sampled), string(signal.Signal), fromPrometheus)
			}
		}
		if signal.Target > 0 {
			send(targetDesc, prometheus.GaugeValue, signal.Target, string(signal.Signal))
		}
	}
	for i := range w.origins {
		w.origins[i].each(func(source string, n int) {
			send(sourceDesc, prometheus.GaugeValue, float64(n), string(w.origins[i].signal), source)
		})
	}
	for i, r := range reasons {
		if w.heldBefore.has(i) {
			held := d.Reason == r || r == policy.InvalidAnnotations && len(w.Problems) > 0
			send(heldDesc, prometheus.GaugeValue, gauge(held), string(r))
		}
		if w.conditionsEver.has(i) {
			send(condDesc, prometheus.GaugeValue, gauge(w.conditions.has(i)), string(r))
		}
	}
	send(gpuDesc, prometheus.CounterValue, w.GPUSeconds.Serving, "serving")
	send(gpuDesc, prometheus.CounterValue, w.GPUSeconds.Loading, "loading")
	send(gpuDesc, prometheus.CounterValue, w.GPUSeconds.Overdue, "overdue")
}
