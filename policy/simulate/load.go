package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/serving"
)

// gauges are the modelled signals that hold at the moment of reading; means are taken over the time since the reading
// before; latencies are quantiles over the last minute.
var (
	gauges    = []policy.Signal{policy.KVCache, policy.QueueDepth, policy.RunningRequests}
	means     = []policy.Signal{policy.GPUUtilization, policy.RequestsPerSecond, policy.TokensPerSecond}
	latencies = []policy.Signal{policy.InterTokenP95, policy.QueueTimeP95, policy.TTFTP95}
)

// modelled reports whether a load has the signal. It models no memory: engines take all of it at the start.
func modelled(signal policy.Signal) bool {
	return slices.Contains(gauges, signal) || slices.Contains(means, signal) || slices.Contains(latencies, signal)
}

// closedLoop is the load and the replicas that serve it.
type closedLoop struct {
	model *serving.Model
	// rate is nil with a trace.
	rate *cursor
	// loads are the readings of the present tick, parallel to the fleet's pods.
	loads []reading
	names []string
}

// reading is what one pod tells; fresh says that it became ready just now.
type reading struct {
	load      serving.Load
	ok, fresh bool
}

// newClosedLoop returns nil if the scenario has no load.
func newClosedLoop(s *Scenario) (*closedLoop, error) {
	if s.Load == nil {
		return nil, nil
	}
	model, err := serving.New(s.Load.Serving)
	if err != nil {
		return nil, fmt.Errorf("setting up the load: %w", err)
	}
	l := &closedLoop{model: model}
	if s.Load.Serving.Trace == nil {
		rate := s.Load.RequestsPerSecond.cursor()
		l.rate = &rate
	}
	return l, nil
}

// signals returns the modelled ones. Latencies take a quantile on each pod, so only those that are asked for are computed.
func (l *closedLoop) signals(spec *policy.Spec) []policy.Signal {
	signals := slices.Concat(gauges, means)
	for _, s := range spec.Signals() {
		if slices.Contains(latencies, s) {
			signals = append(signals, s)
		}
	}
	return signals
}

// serve tells the model which pods are ready from now on.
func (l *closedLoop) serve(f *fleet) error {
	l.names = l.names[:0]
	for i := range f.pods {
		if f.pods[i].ready {
			l.names = append(l.names, f.pods[i].name)
		}
	}
	if err := l.model.SetReplicas(l.names); err != nil {
		return fmt.Errorf("simulating the load: %w", err)
	}
	return nil
}

// scrape reads every ready pod once. The time since the reading before ends here, whether Prometheus answers or not.
func (l *closedLoop) scrape(f *fleet, at time.Duration) {
	l.loads = l.loads[:0]
	for i := range f.pods {
		p := &f.pods[i]
		var r reading
		if p.ready {
			r.load, r.ok = l.model.Read(p.name)
			r.fresh = !p.initial && p.readyAt == at
		}
		l.loads = append(l.loads, r)
	}
}

// arrive sets the rate of arrivals until the next tick.
func (l *closedLoop) arrive() error {
	if l.rate == nil {
		return nil
	}
	rate, _ := l.rate.next()
	if err := l.model.SetRate(rate); err != nil {
		return fmt.Errorf("simulating the load: %w", err)
	}
	return nil
}

// loadSignal is one signal of a closedLoop.
type loadSignal struct {
	loop   *closedLoop
	signal policy.Signal
}

func (s *loadSignal) read(r *policy.Reading, _ *fleet, now time.Time) {
	r.Samples = r.Samples[:0]
	for i := range s.loop.loads {
		r.Samples = append(r.Samples, s.loop.loads[i].sample(s.signal, now))
	}
}

// sample is the reading of a signal. A latency where no request was served is idle, not missing.
func (r *reading) sample(signal policy.Signal, now time.Time) policy.Sample {
	if r.ok && slices.Contains(latencies, signal) {
		q := r.quantile(signal)
		return policy.Sample{Value: q.P95, Time: now, OK: true, Idle: q.Count == 0}
	}
	if v, ok := r.value(signal); ok {
		return policy.Sample{Value: v, Time: now, OK: true}
	}
	return policy.Sample{}
}

// value is the reading of a signal that is no latency. There is none from a pod that is not ready, and no mean over the time in
// which a pod was ready until it has been ready for a tick.
func (r *reading) value(signal policy.Signal) (v float64, ok bool) {
	switch signal {
	case policy.QueueDepth:
		return float64(r.load.Waiting), r.ok
	case policy.RunningRequests:
		return float64(r.load.Running), r.ok
	case policy.KVCache:
		return r.load.KVCache, r.ok
	case policy.GPUUtilization:
		return r.load.GPUUtilization, r.ok && !r.fresh
	case policy.TokensPerSecond:
		return r.load.TokensPerSecond, r.ok && !r.fresh
	case policy.RequestsPerSecond:
		return r.load.RequestsPerSecond, r.ok && !r.fresh
	}
	return 0, false
}

// quantile is a latency.
func (r *reading) quantile(signal policy.Signal) serving.Quantile {
	switch signal {
	case policy.TTFTP95:
		return r.load.TTFT()
	case policy.InterTokenP95:
		return r.load.InterToken()
	case policy.QueueTimeP95:
		return r.load.QueueTime()
	}
	return serving.Quantile{}
}
