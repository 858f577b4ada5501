package conformance

import (
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// world holds the pods of a scenario and shows them, with their readings, to both autoscalers.
type world struct {
	s           *scenario
	pods        []pod // oldest first
	terminating []pod
	created     int
	outage      int // ticks that the present outage still lasts
}

// pod is a pod of the world. While it lives, end is zero.
type pod struct {
	name       string
	ready, end time.Time
}

// sight is the same world as both autoscalers see it, and what of it the exceptions depend on.
type sight struct {
	ours   policy.Observation
	theirs hpa.Sight
	// untrusted: by rule 1 nothing may be lowered. starved: because a signal has less than half of the ready pods.
	untrusted, starved bool
}

// settle makes as many pods as there are replicas. Those that load go first, then the youngest.
func (w *world) settle(replicas int, now time.Time, first bool) {
	for len(w.pods) < replicas {
		p := pod{name: fmt.Sprintf("workload-%d", w.created), ready: now}
		w.created++
		switch {
		case first:
			p.ready = time.Time{}
		case w.s.maxDelay > 0:
			p.ready = now.Add(time.Duration(w.s.rng.Int64N(int64(w.s.maxDelay))))
		}
		w.pods = append(w.pods, p)
	}
	for len(w.pods) > replicas {
		victim := len(w.pods) - 1
		for i, p := range w.pods {
			if p.ready.After(now) {
				victim = i
			}
		}
		gone := w.pods[victim]
		gone.end = now.Add(time.Duration(w.s.rng.IntN(60)) * time.Second)
		w.terminating = append(w.terminating, gone)
		w.pods = append(w.pods[:victim], w.pods[victim+1:]...)
	}
	for len(w.terminating) > 0 && !w.terminating[0].end.After(now) {
		w.terminating = w.terminating[1:]
	}
}

// observe shows the world. Signals fail only if they may.
func (w *world) observe(replicas int, now time.Time, mayFail bool) sight {
	seen := sight{
		ours: policy.Observation{Replicas: replicas},
		theirs: hpa.Sight{
			Replicas:    int32(replicas),
			PodMetrics:  map[string]metricsclient.PodMetricsInfo{},
			External:    map[string]int64{},
			RefuseWrite: w.s.chance(w.s.hazards.refused),
		},
	}
	for _, p := range w.pods {
		if p.ready.After(now) {
			seen.ours.Pods = append(seen.ours.Pods, policy.Pod{Name: p.name, Since: now.Add(-time.Minute)})
			seen.theirs.Pods = append(seen.theirs.Pods, hpa.Pod{Name: p.name, Phase: corev1.PodPending})
			continue
		}
		seen.ours.Pods = append(seen.ours.Pods, policy.Pod{Name: p.name, Phase: policy.Ready, Since: p.ready})
		seen.theirs.Pods = append(seen.theirs.Pods, hpa.Pod{Name: p.name, Phase: corev1.PodRunning})
	}
	for _, p := range w.terminating {
		seen.theirs.Pods = append(seen.theirs.Pods, hpa.Pod{Name: p.name, Phase: corev1.PodRunning, Terminating: true})
	}
	if w.outage--; w.outage < 0 && w.s.chance(w.s.hazards.outage) {
		w.outage = 1 + w.s.rng.IntN(20)
	}
	for i := range w.s.spec.Targets {
		w.read(&seen, i, now, mayFail)
	}
	w.s.rng.Shuffle(len(seen.ours.Readings), func(i, j int) {
		r := seen.ours.Readings
		r[i], r[j] = r[j], r[i]
	})
	return seen
}

// read adds the readings of one target's signal.
func (w *world) read(seen *sight, i int, now time.Time, mayFail bool) {
	target := w.s.spec.Targets[i]
	fails := mayFail && (w.s.chance(w.s.hazards.failed) || w.outage > 0 && w.s.chance(0.95))
	if target.Signal == workloadSignal {
		w.readWorkload(seen, i, now, fails)
		return
	}
	reading, values := w.readPods(seen, i, now, mayFail)
	if !fails {
		seen.ours.Readings = append(seen.ours.Readings, reading)
		seen.theirs.PodMetrics[string(target.Signal)] = values
		return
	}
	seen.untrusted = true
	switch w.s.rng.IntN(4) {
	case 0: // neither has a reading
	case 1: // a reply that is not trusted
		reading.Problem = pick(w.s.rng, policy.NoData, policy.PartialData)
		seen.ours.Readings = append(seen.ours.Readings, reading)
	case 2: // an empty reply
		reading.Samples = nil
		seen.ours.Readings = append(seen.ours.Readings, reading)
		seen.theirs.PodMetrics[string(target.Signal)] = metricsclient.PodMetricsInfo{}
	default: // an old reply
		for j := range reading.Samples {
			reading.Samples[j].Time = now.Add(-w.s.spec.MaxSampleAge - time.Second)
		}
		seen.ours.Readings = append(seen.ours.Readings, reading)
	}
}

// readWorkload adds the reading of a signal of the whole workload.
func (w *world) readWorkload(seen *sight, i int, now time.Time, fails bool) {
	target := w.s.spec.Targets[i]
	value := max(0, w.s.loads[i].next(w.s, milli(target.Value), max(seen.ours.Replicas, 1)))
	sample := w.sample(int64(value), target.Signal, now)
	if fails {
		seen.untrusted = true
		w.spoil(&sample, now)
	} else {
		seen.theirs.External[string(target.Signal)] = int64(value)
	}
	seen.ours.Readings = append(seen.ours.Readings, policy.Reading{Signal: target.Signal, PerWorkload: true, Workload: sample})
}

// podReading is one signal as read from the pods.
type podReading struct {
	ours   policy.Reading
	theirs metricsclient.PodMetricsInfo
	// sampled are the ready pods with a sample, covered those that should have one.
	sampled, covered int
}

// readPods reads a signal from the pods.
func (w *world) readPods(seen *sight, i int, now time.Time, mayFail bool) (policy.Reading, metricsclient.PodMetricsInfo) {
	target := w.s.spec.Targets[i]
	shares := w.shares(seen, i)
	spared := len(shares) / 2 // pods that may go unsampled
	if w.s.hazards.starved && mayFail {
		spared = len(shares)
	}
	read := podReading{
		ours:   policy.Reading{Signal: target.Signal, Samples: make([]policy.Sample, len(seen.ours.Pods))},
		theirs: metricsclient.PodMetricsInfo{},
	}
	for j := range seen.ours.Pods {
		p := &seen.ours.Pods[j]
		if p.Phase != policy.Ready {
			w.readIdle(&read, j, p.Name, now)
			continue
		}
		miss := w.s.hazards.patchy && spared > 0 && w.s.chance(w.s.hazards.unsampled)
		if miss {
			spared--
		}
		w.readPod(&read, j, p, shares[0], miss, now)
		shares = shares[1:]
	}
	for _, p := range w.terminating {
		read.theirs[p.name] = metricsclient.PodMetric{Timestamp: now, Value: int64(w.s.rng.IntN(1000))}
	}
	enough := 2*read.sampled >= read.covered
	seen.untrusted = seen.untrusted || read.sampled == 0 || !enough
	seen.starved = seen.starved || read.sampled > 0 && !enough
	return read.ours, read.theirs
}

// shares draws what the ready pods read, in thousandths.
func (w *world) shares(seen *sight, i int) []int64 {
	target, ready, most := w.s.spec.Targets[i], 0, 0
	if info, ok := target.Signal.Info(); ok {
		most = milli(info.Max)
	}
	for _, p := range seen.ours.Pods {
		if p.Phase == policy.Ready {
			ready++
		}
	}
	l := &w.s.loads[i]
	return l.share(w.s.rng, l.next(w.s, milli(target.Value), ready), ready, most)
}

// readPod reads a ready pod, or misses it.
func (w *world) readPod(read *podReading, j int, p *policy.Pod, value int64, miss bool, now time.Time) {
	sample := w.sample(value, read.ours.Signal, now)
	if miss {
		stale := w.spoil(&sample, now)
		if stale || now.Sub(p.Since) >= w.s.spec.MaxSampleAge {
			read.covered++
		}
	} else {
		read.theirs[p.Name] = metricsclient.PodMetric{Timestamp: now, Value: value}
		read.sampled++
		read.covered++
	}
	read.ours.Samples[j] = sample
}

// readIdle gives a pod that still loads a reading or none. It counts for neither.
func (w *world) readIdle(read *podReading, j int, name string, now time.Time) {
	if w.s.chance(0.5) {
		return
	}
	value := int64(w.s.rng.IntN(1000))
	read.ours.Samples[j] = policy.Sample{Value: float64(value) / 1000, Time: now, OK: true}
	read.theirs[name] = metricsclient.PodMetric{Timestamp: now, Value: value}
}

// sample makes a good sample. Its age is no matter but for utilization, which must be younger than the last raise.
func (w *world) sample(thousandths int64, signal policy.Signal, now time.Time) policy.Sample {
	sample := policy.Sample{Value: float64(thousandths) / 1000, Time: now, OK: true}
	if signal != policy.GPUUtilization {
		sample.Time = pick(w.s.rng, now, time.Time{}, now.Add(-w.s.spec.MaxSampleAge))
	}
	return sample
}

// spoil makes a sample unusable in one of the ways there are; stale tells that it is only too old.
func (w *world) spoil(sample *policy.Sample, now time.Time) (stale bool) {
	switch w.s.rng.IntN(5) {
	case 0:
		sample.Time = now.Add(-w.s.spec.MaxSampleAge - time.Millisecond)
		return true
	case 1:
		sample.Value = math.NaN()
	case 2:
		sample.Value = -1
	case 3:
		sample.Value = math.Inf(1)
	default:
		*sample = policy.Sample{}
	}
	return false
}

// milli converts a value that has whole thousandths.
func milli(v float64) int { return int(math.Round(v * 1000)) }
