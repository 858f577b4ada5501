package controller

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// observer builds Observations. Each worker has one, whose memory is used again for every target.
type observer struct {
	sets    []*replicaSet
	found   []*pod
	pods    []policy.Pod
	samples [][]policy.Sample
	read    []policy.Reading
	kept    []last
	lasts   map[string]last
}

// gather collects the living pods of a target by ownership: pod -> ReplicaSet -> Deployment, by UID.
func (o *observer) gather(t *target, m *members) {
	clear(o.sets)
	clear(o.found)
	o.sets = m.sets.ownedBy(t.seen.uid, o.sets[:0])
	o.found, o.pods = o.found[:0], o.pods[:0]
	for _, set := range o.sets {
		o.found = m.pods.ownedBy(set.uid, o.found)
	}
	t.ready, t.loading, t.unschedulable, t.gpus = 0, 0, 0, 0
	for _, p := range o.found {
		if p.phase == policy.Ready || p.scheduled != 0 {
			t.gpus += int(p.gpus)
		}
		switch p.phase {
		case policy.Ready:
			t.ready++
		case policy.Loading:
			t.loading++
		default:
			t.unschedulable++
		}
		o.pods = append(o.pods, p.seen())
	}
}

// unix converts seconds since the epoch, 0 to the zero time.
func unix(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}

// observe puts the pods and their samples side by side. The Observation is good until the next call.
func (o *observer) observe(t *target, p *pass) policy.Observation {
	o.read = o.read[:0]
	for i, signal := range t.signals {
		if t.direct != nil {
			o.read = append(o.read, o.directReading(i, t, signal, p))
			continue
		}
		o.read = append(o.read, o.reading(i, t, signal, p.readings[signal].got()))
	}
	for i, signal := range t.custom {
		o.read = append(o.read, o.reading(len(t.signals)+i, t, signal, t.replies[i]))
	}
	p.date(t, o)
	for i := range o.read {
		o.linger(t, i, p.now)
	}
	seen := policy.Observation{
		Replicas: t.seen.replicas, Pods: o.pods, Stamp: time.Second, Readings: o.read,
		Lacking: o.lacking(t.seen.refusal), Refused: t.seen.refusal != "",
		Started: o.started(t), Hand: t.hand,
		Frozen: t.frozen, RaiseOnly: t.raiseOnly,
	}
	seen.Rollout, seen.CrashLoop = o.rollout()
	return seen
}

// reading takes the target's samples out of a reply. i numbers the signals of the target, each with memory of its own.
func (o *observer) reading(i int, t *target, signal policy.Signal, r *reply) policy.Reading {
	reading := policy.Reading{Signal: signal, Source: r.Source}
	switch {
	case r.err != nil:
		reading.Problem, reading.Detail = policy.NoData, r.err.Error()
	case r.Partial != "":
		reading.Problem, reading.Detail = policy.PartialData, r.Partial
	case r.Workload != nil:
		reading.PerWorkload, reading.Workload = true, *r.Workload
	case r.Pod != nil:
		reading.Samples, reading.Source = o.podSamples(i, t.seen.namespace, r.Pod)
	}
	return reading
}

// podSamples looks up the samples of the gathered pods, in their order. The source is that of the first one.
func (o *observer) podSamples(i int, namespace string, pod func(namespace, name string) (policy.Sample, string)) ([]policy.Sample, string) {
	for len(o.samples) <= i {
		o.samples = append(o.samples, nil)
	}
	samples, source := o.samples[i][:0], ""
	for _, p := range o.found {
		sample, from := pod(namespace, p.name)
		if source == "" {
			source = from
		}
		samples = append(samples, sample)
	}
	o.samples[i] = samples
	return samples, source
}

// started returns how long the pods took that became Ready since the last decision. Of a target of which nothing is remembered it is
// how long those took that are Ready, as far as that can be told.
func (o *observer) started(t *target) []time.Duration {
	started := t.started
	t.started = nil
	if !t.state.Newest.Time.IsZero() {
		return started
	}
	started = nil
	for _, p := range o.found {
		if took := p.took(); p.restarts == 0 && took > 0 && took <= longestStartup {
			started = append(started, took)
		}
	}
	return started
}

// maxStarted bounds what is kept while no decision is made. Older startups tell no more.
const maxStarted = 32

// longestStartup is the longest time that is believed of a pod that was Ready when it was first seen: it may have been Ready before
// and not in between.
const longestStartup = time.Hour

// startup is how long a pod of the target is taken to need: what the last decision said, else the annotation.
func (t *target) startup() time.Duration {
	switch {
	case t.decision.Fleet.Startup > 0:
		return t.decision.Fleet.Startup
	case t.spec != nil && t.spec.Startup > 0:
		return t.spec.Startup
	}
	return policy.AssumedStartup
}

// account adds the GPU time since the last tick and the startups of pods that became Ready.
func (o *observer) account(t *target, now time.Time, elapsed time.Duration, took map[types.UID][]time.Duration, observe func(seconds float64)) {
	if len(took) > 0 {
		for _, set := range o.sets {
			for _, d := range took[set.uid] {
				observe(d.Seconds())
				t.started = append(t.started, d)
			}
		}
		t.started = t.started[max(0, len(t.started)-maxStarted):]
	}
	if elapsed <= 0 {
		return
	}
	fleet := policy.Fleet{Startup: t.startup()}
	for _, p := range o.found {
		seconds := float64(p.gpus) * elapsed.Seconds()
		switch {
		case p.phase == policy.Ready:
			t.gpuSeconds.Serving += seconds
		case p.scheduled == 0: // holds no GPU yet
		case fleet.IsOverdue(p.seen(), now):
			t.gpuSeconds.Overdue += seconds
		default:
			t.gpuSeconds.Loading += seconds
		}
	}
}
