package simulate

import (
	"cmp"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// source reads one signal at each tick.
type source interface {
	// read overwrites the reading. The pods are given as they are and as they are seen.
	read(r *policy.Reading, f *fleet, now time.Time)
}

// reader reads all signals of a scenario. It keeps the readings of the last tick to write the next over them.
type reader struct {
	sources  []source
	readings []policy.Reading
}

// newReader orders the sources by signal, so that a run does not depend on the order in a file.
func newReader(s *Scenario, l *closedLoop) *reader {
	r := &reader{}
	type named struct {
		signal policy.Signal
		source source
	}
	var all []named
	for _, p := range s.Signals {
		if p.Read != nil {
			all = append(all, named{p.Signal, &sharedSignal{s.Start, p.Read}})
			continue
		}
		recorded := &podSeries{}
		for _, series := range p.Series {
			recorded.cursors = append(recorded.cursors, series.cursor())
		}
		all = append(all, named{p.Signal, recorded})
	}
	for _, w := range s.Workload {
		if w.Read != nil {
			all = append(all, named{w.Signal, &workloadCall{s.Start, w.Read}})
			continue
		}
		all = append(all, named{w.Signal, &workloadSeries{w.Series.cursor()}})
	}
	if l != nil {
		for _, signal := range l.signals(&s.Spec) {
			if !slices.ContainsFunc(all, func(n named) bool { return n.signal == signal }) {
				all = append(all, named{signal, &loadSignal{l, signal}})
			}
		}
	}
	slices.SortFunc(all, func(a, b named) int { return cmp.Compare(a.signal, b.signal) })
	for _, n := range all {
		r.sources = append(r.sources, n.source)
		r.readings = append(r.readings, policy.Reading{Signal: n.signal})
	}
	return r
}

// read takes the readings of a tick. During an outage the sources go on, unread.
func (r *reader) read(f *fleet, now time.Time, outage bool) []policy.Reading {
	for i, source := range r.sources {
		reading := &r.readings[i]
		source.read(reading, f, now)
		reading.Problem, reading.Detail = "", ""
		if outage {
			reading.Problem, reading.Detail = policy.NoData, "Prometheus does not answer: see its log and its network path"
		}
	}
	return r.readings
}

// podSeries is a signal of the pods that follows a script.
type podSeries struct {
	cursors []cursor
	values  []policy.Sample // of this tick, by series
}

func (p *podSeries) read(r *policy.Reading, f *fleet, now time.Time) {
	p.values = p.values[:0]
	for i := range p.cursors {
		p.values = append(p.values, inRange(r.Signal, p.cursors[i].sample(now)))
	}
	r.Samples = r.Samples[:0]
	for k := range f.pods {
		sample := policy.Sample{}
		if f.pods[k].ready {
			sample = p.values[min(k, len(p.values)-1)]
		}
		r.Samples = append(r.Samples, sample)
	}
}

// inRange drops what cannot be read and clamps what is just out of range, as happens to what Prometheus says.
func inRange(signal policy.Signal, sample policy.Sample) policy.Sample {
	if !sample.OK {
		return sample
	}
	sample.Value, sample.OK = signal.InRange(sample.Value)
	return sample
}

// workloadSeries is a workload signal that follows a script.
type workloadSeries struct{ cursor cursor }

func (w *workloadSeries) read(r *policy.Reading, _ *fleet, now time.Time) {
	r.PerWorkload, r.Workload = true, w.cursor.sample(now)
}

// sample is the next reading as a sample taken now.
func (c *cursor) sample(now time.Time) policy.Sample {
	v, ok := c.next()
	if !ok {
		return policy.Sample{}
	}
	return policy.Sample{Value: v, Time: now, OK: true}
}
