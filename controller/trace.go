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
	// traceBudget is how many points all targets may have together: about 17 MB with one signal each. Whatever their number, each
	// may have leastPoints, and none needs more than mostPoints: that is more than a screen can show.
	traceBudget, leastPoints, mostPoints = 600_000, 48, 1440
)

// trace is how a workload went in the last hours, as it is charted. Points are as far apart as the memory for them makes them; of the
// ticks between two, the last counts.
type trace struct {
	mu sync.Mutex
	// signals are those that were ever decided by.
	signals []policy.Signal
	points  []point
	// values are those of the signals, in their order, for each point.
	values []value
}

// point is a workload at one tick. It is small because 10,000 workloads have many of them.
type point struct {
	at                            uint32 // seconds since the epoch
	replicas, desired             uint16
	ready, loading, unschedulable uint16
	lowest, highest               uint16
	reason                        uint8 // in reasons, one of them more for none
}

// value is a signal at one tick: NaN if it was missing.
type value struct{ value, target float32 }

// small fits a number of replicas into a point. Nobody has more pods, and a chart need not tell how many more.
func small(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }

// spacing returns the time between two points and their number, of so many targets.
func spacing(targets int, interval time.Duration) (time.Duration, int) {
	points := min(max(traceBudget/max(targets, 1), leastPoints), mostPoints)
	intervals := math.Ceil(float64(traceSpan) / float64(points) / float64(interval))
	return time.Duration(max(intervals, 1) * float64(interval)), points
}

// add adds the decision of a tick.
func (tr *trace) add(t *target, interval time.Duration, targets int) {
	step, most := spacing(targets, interval)
	d := t.decision
	tr.mu.Lock()
	defer tr.mu.Unlock()
	at, seconds := uint32(d.Time.Unix()), max(uint32(step/time.Second), 1)
	if n := len(tr.points); n > 0 && tr.points[n-1].at/seconds == at/seconds {
		tr.cut(n-1, n) // this one in place of the last
	}
	if over := len(tr.points) + 1 - most; over > 0 {
		tr.cut(0, over)
	}
	p := point{
		at: at, reason: uint8(slices.Index(reasons, d.Reason)), replicas: small(d.Current), desired: small(d.Desired),
		ready: small(t.ready), loading: small(t.loading), unschedulable: small(t.unschedulable),
	}
	if t.spec != nil {
		lowest, highest := t.spec.Bounds(d.Time)
		p.lowest, p.highest = small(lowest), small(highest)
	}
	tr.widen(d)
	tr.points = append(tr.points, p)
	tr.read(d)
}

// cut takes points out.
func (tr *trace) cut(from, to int) {
	width := len(tr.signals)
	tr.points, tr.values = slices.Delete(tr.points, from, to), slices.Delete(tr.values, from*width, to*width)
}

// unread is the value of a signal that was not read.
var unread = value{value: float32(math.NaN())}

// widen makes room for signals that are new.
func (tr *trace) widen(d *policy.Decision) {
	for i := range d.Signals {
		signal := d.Signals[i].Signal
		if slices.Contains(tr.signals, signal) {
			continue
		}
		width := len(tr.signals)
		wider := make([]value, 0, len(tr.points)*(width+1))
		for k := range tr.points {
			wider = append(append(wider, tr.values[k*width:(k+1)*width]...), unread)
		}
		tr.signals, tr.values = append(tr.signals, signal), wider
	}
}

// read adds what the signals read at a new point.
func (tr *trace) read(d *policy.Decision) {
	first := len(tr.values)
	for range tr.signals {
		tr.values = append(tr.values, unread)
	}
	for i := range d.Signals {
		s := &d.Signals[i]
		v := &tr.values[first+slices.Index(tr.signals, s.Signal)]
		if s.Sampled > 0 {
			v.value = float32(s.Value)
		}
		v.target = max(v.target, float32(s.Target))
	}
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
			Time: time.Unix(int64(p.at), 0).UTC(), Replicas: int(p.replicas), Desired: int(p.desired),
			Ready: int(p.ready), Loading: int(p.loading), Unschedulable: int(p.unschedulable),
			Min: int(p.lowest), Max: int(p.highest),
		}
		if int(p.reason) < len(reasons) {
			rows[i].Reason = reasons[p.reason]
		}
		for k, signal := range tr.signals {
			v := tr.values[i*len(tr.signals)+k]
			rows[i].Signals = append(rows[i].Signals, chart.Reading{Signal: signal, Value: float64(v.value), Target: float64(v.target)})
		}
	}
	return rows
}
