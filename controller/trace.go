package controller

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

const (
	// traceSpan is how far back the charts go, as long as there is memory for it.
	traceSpan = 3 * time.Hour
	// traceBudget is how many points all targets may have together: about 24 MB with one signal each. Whatever their number, each
	// may have leastPoints, and none needs more than mostPoints: that is more than a screen can show.
	traceBudget, leastPoints, mostPoints = 600_000, 48, 1440
)

// trace is how a workload went in the last hours, as it is charted. Points are as far apart as the memory for them makes them; of the
// ticks between two, the last counts.
type trace struct {
	mu sync.Mutex
	// signals are those that were ever decided by; the values of a point are in their order.
	signals []policy.Signal
	points  []point
}

// point is a workload at one tick.
type point struct {
	at                            int64 // milliseconds since the epoch
	replicas, desired             int32
	ready, loading, unschedulable int32
	lowest, highest               int32
	reason                        policy.Reason
	values                        []value
}

// value is a signal at one tick: NaN if it was missing.
type value struct{ value, target float32 }

// spacing returns the time between two points and their number, of so many targets.
func spacing(targets int, interval time.Duration) (time.Duration, int) {
	points := min(max(traceBudget/max(targets, 1), leastPoints), mostPoints)
	intervals := math.Ceil(float64(traceSpan) / float64(points) / float64(interval))
	return time.Duration(max(intervals, 1) * float64(interval)), points
}

// add adds the decision of a tick.
func (tr *trace) add(t *target, interval time.Duration, targets int) {
	step, most := spacing(targets, interval)
	d := &t.decision
	at := d.Time.UnixMilli()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	var p point
	if n := len(tr.points); n > 0 && tr.points[n-1].at/step.Milliseconds() == at/step.Milliseconds() {
		p.values = tr.points[n-1].values[:0] // in place of the last
		tr.points = tr.points[:n-1]
	}
	p.at, p.reason = at, d.Reason
	p.replicas, p.desired = int32(d.Current), int32(d.Desired)
	p.ready, p.loading, p.unschedulable = int32(t.ready), int32(t.loading), int32(t.unschedulable)
	if t.spec != nil {
		lowest, highest := t.spec.Bounds(d.Time)
		p.lowest, p.highest = int32(lowest), int32(highest)
	}
	p.values = tr.valuesOf(d, p.values)
	if over := len(tr.points) + 1 - most; over > 0 {
		tr.points = slices.Delete(tr.points, 0, over)
	}
	tr.points = append(tr.points, p)
}

// valuesOf puts what the signals read in their order.
func (tr *trace) valuesOf(d *policy.Decision, values []value) []value {
	for i := range d.Signals {
		s := &d.Signals[i]
		k := slices.Index(tr.signals, s.Signal)
		if k < 0 {
			k = len(tr.signals)
			tr.signals = append(tr.signals, s.Signal)
		}
		for len(values) <= k {
			values = append(values, value{value: float32(math.NaN())})
		}
		if s.Sampled > 0 {
			values[k].value = float32(s.Value)
		}
		values[k].target = max(values[k].target, float32(s.Target))
	}
	return values
}

// Rows returns how the workload went in the last hours, oldest first, for charts.
func (w *Workload) Rows() []chart.Row {
	if w.history == nil {
		return nil
	}
	tr := &w.history.trace
	tr.mu.Lock()
	defer tr.mu.Unlock()
	rows := make([]chart.Row, len(tr.points))
	for i := range tr.points {
		p := &tr.points[i]
		rows[i] = chart.Row{
			Time: time.UnixMilli(p.at).UTC(), Replicas: int(p.replicas), Desired: int(p.desired),
			Ready: int(p.ready), Loading: int(p.loading), Unschedulable: int(p.unschedulable),
			Min: int(p.lowest), Max: int(p.highest), Reason: p.reason,
		}
		for k, v := range p.values {
			rows[i].Signals = append(rows[i].Signals, chart.Reading{Signal: tr.signals[k], Value: float64(v.value), Target: float64(v.target)})
		}
	}
	return rows
}
