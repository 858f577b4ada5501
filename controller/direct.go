package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// direct is what the pods and agents of a target say in one tick.
type direct struct {
	DirectReadings
	// complete says that every pod that was given has a sample of every signal, taken in this tick: nobody can have a younger one.
	complete bool
}

// suffices reports whether Prometheus need not be waited for.
func (d *direct) suffices() bool { return d != nil && d.complete }

// gpuSignals are those that agents tell.
var gpuSignals = []policy.Signal{policy.GPUUtilization, policy.GPUMemory}

// readsDirectly reports whether there is anything to be read of a target past Prometheus.
func (p *pass) readsDirectly(t *target) bool {
	if p.c.options.Direct == nil || t.spec == nil || len(t.signals) == 0 {
		return false
	}
	return t.spec.Scrape.Port != 0 ||
		len(p.agents) > 0 && slices.ContainsFunc(gpuSignals, func(s policy.Signal) bool { return slices.Contains(t.signals, s) })
}

// readDirect starts to read a target's pods and agents. What is sent, once, is nil if there is nothing to be read, or nothing came in time.
func (p *pass) readDirect(ctx context.Context, t *target) <-chan *direct {
	result := make(chan *direct, 1)
	from := p.directTarget(t)
	if len(from.Pods) == 0 {
		result <- nil
		return result
	}
	go func() {
		result <- await(ctx, p.c, func() *direct {
			d := &direct{DirectReadings: p.c.options.Direct.ReadDirect(ctx, p.now, from)}
			since := p.now.Add(-p.c.options.Settings.Interval)
			d.complete = len(d.Signals) == len(from.Signals) && !slices.ContainsFunc(d.Signals, func(r Readings) bool { return !r.covers(from, since) })
			return d
		}, func(err error) *direct {
			if errors.Is(err, context.DeadlineExceeded) {
				err = errors.New("no answer within the tick")
			}
			return &direct{DirectReadings: DirectReadings{Problem: fmt.Sprintf("pods and agents: %v", err)}}
		})
	}()
	return result
}

// covers reports whether each pod has a sample, none of them taken before a time.
func (r *Readings) covers(from DirectTarget, since time.Time) bool {
	return r.Pod != nil && !slices.ContainsFunc(from.Pods, func(pod DirectPod) bool {
		sample, _ := r.Pod(from.Namespace, pod.Name)
		return !sample.OK || sample.Time.Before(since)
	})
}

// directTarget lists what is to be read of a target; it has no pods if nothing is.
func (p *pass) directTarget(t *target) DirectTarget {
	if !p.readsDirectly(t) {
		return DirectTarget{}
	}
	m := p.c.watches.of(t.seen.namespace)
	if m == nil {
		return DirectTarget{}
	}
	from := DirectTarget{Namespace: t.seen.namespace, Name: t.seen.name, Scrape: t.spec.Scrape, Signals: t.signals}
	for _, set := range m.sets.ownedBy(t.seen.uid, nil) {
		for _, pod := range m.pods.ownedBy(set.uid, nil) {
			if pod.phase == policy.Ready && pod.ip.IsValid() {
				from.Pods = append(from.Pods, DirectPod{Name: pod.name, IP: pod.ip, Agent: p.agents[pod.node]})
			}
		}
	}
	return from
}

// directReading joins what Prometheus and the pods and agents themselves say of one signal: for each pod the sample that was taken last. One
// from Prometheus whose time is not known is older than one that is.
func (o *observer) directReading(i int, t *target, signal policy.Signal, p *pass) policy.Reading {
	reading := policy.Reading{Signal: signal}
	if !t.direct.suffices() {
		reading = o.reading(i, t, signal, p.readings[signal].got())
	}
	if reading.Samples == nil {
		reading.Samples, _ = o.podSamples(i, t.seen.namespace, noSample)
	}
	from := o.overlay(i, t, reading.Samples)
	t.origins = append(t.origins, from)
	unread := o.unread(reading.Samples)
	problem := t.direct.problem(i)
	switch {
	case from.pods+from.agents+from.prometheus > 0:
		reading.Problem, reading.Source = "", from.source(t.direct, reading.Source)
		if reading.Detail = problem; unread == 0 {
			reading.Detail = ""
		}
	case reading.Problem == "":
		reading.Detail = problem
	default:
		reading.Samples = nil
		if q := p.readings[signal]; q == unasked && problem != "" {
			reading.Detail = problem
		} else if problem != "" {
			reading.Detail = problem + "; " + reading.Detail
		}
	}
	return reading
}

// problem says why the i-th signal has no sample of some pods.
func (d *direct) problem(i int) string {
	if d.Problem != "" || i >= len(d.Signals) {
		return d.Problem
	}
	text := "pods and agents answer, and tell nothing of it"
	for _, dropped := range d.Signals[i].Dropped {
		text += fmt.Sprintf("; %d samples are refused: %s", dropped.Count, dropped.Why)
	}
	return text
}

// noSample is a reply without any.
func noSample(string, string) (policy.Sample, string) { return policy.Sample{}, "" }

// origins counts where the samples of one signal came from.
type origins struct {
	signal                   policy.Signal
	pods, agents, prometheus int
	// metric names the first one's.
	metric string
}

// Sources of samples, as labels of metrics.
const (
	fromPods       = "pods"
	fromAgents     = "nvml-agents"
	fromPrometheus = "prometheus"
)

// each calls f for each source with what came from it.
func (f *origins) each(do func(source string, n int)) {
	do(fromPods, f.pods)
	do(fromAgents, f.agents)
	do(fromPrometheus, f.prometheus)
}

// overlay puts the samples of pods and agents over those of Prometheus, where they are younger.
func (o *observer) overlay(i int, t *target, samples []policy.Sample) origins {
	from := origins{signal: t.signals[i]}
	for j, pod := range o.found {
		sample, metric := policy.Sample{}, ""
		if i < len(t.direct.Signals) && t.direct.Signals[i].Pod != nil {
			sample, metric = t.direct.Signals[i].Pod(t.seen.namespace, pod.name)
		}
		switch {
		case !sample.OK || samples[j].OK && samples[j].Time.After(sample.Time):
			if samples[j].OK {
				from.prometheus++
			}
			continue
		case t.direct.FromAgent != nil && t.direct.FromAgent(i, t.seen.namespace, pod.name):
			from.agents++
		default:
			from.pods++
		}
		samples[j] = sample
		from.metric = cmp.Or(from.metric, metric)
	}
	return from
}

// unread counts the Ready pods without a sample.
func (o *observer) unread(samples []policy.Sample) int {
	n := 0
	for j, pod := range o.found {
		if pod.phase == policy.Ready && !samples[j].OK {
			n++
		}
	}
	return n
}

// source names the origins for people: the metric, and who told it.
func (f *origins) source(d *direct, prometheus string) string {
	var parts []string
	for _, origin := range []struct {
		n    int
		name string
	}{{f.pods, "pods"}, {f.agents, "NVML agents"}, {f.prometheus, "Prometheus"}} {
		if origin.n > 0 {
			parts = append(parts, origin.name)
		}
	}
	text := strings.Join(parts, " and ")
	if asked := d.Pods; f.pods > 0 && asked.Asked < asked.All {
		text += fmt.Sprintf(", %d of %d pods in a tick", asked.Asked, asked.All)
	}
	return cmp.Or(f.metric, prometheus) + " (" + text + ")"
}

// reportDirect counts what was read past Prometheus.
func (p *pass) reportDirect(t *target) {
	if t.direct == nil {
		return
	}
	p.c.metrics.scraped(fromPods, t.direct.Pods)
	p.c.metrics.scraped(fromAgents, t.direct.Agents)
	for i, r := range t.direct.Signals {
		for _, d := range r.Dropped {
			p.c.metrics.dropped.WithLabelValues(string(t.signals[i]), d.Why).Add(float64(d.Count))
		}
	}
	t.direct = nil
}
