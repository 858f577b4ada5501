package metrics

import "github.com/gpuscaler/gpuscaler/policy"

// role is what a metric is to a source.
type role uint8

const (
	roleValue    role = iota // Source.Metric
	roleTotal                // Source.Total
	roleFree                 // Source.Free
	roleReserved             // Source.Reserved
	roleBucket               // of the histogram Source.Metric
	roleCount                // of the histogram Source.Metric
	roleTime                 // the agent's time of a device's newest sample
	roleClock                // the agent's clock
	roleUp                   // whether the agent has NVML
)

// use is one use of a metric: by which source of which signal, and as what.
type use struct {
	signal, source int16 // places in plan.specs and in the spec's sources
	role           role
	match          Match
	identity       []string
}

// plan is what is looked for on a page: the table's lines for some signals, by the names of the samples.
type plan struct {
	specs []signalSpec
	names map[string][]use
	agent bool // the page is an NVML agent's, whose series name the pods that they are of
}

// onNode are the exporters that tell of all GPUs of a node, with labels that name the pods. A pod's own page tells of that pod
// only: what it says under these names is not believed.
var onNode = map[string]bool{"dcgm": true, agentEngine: true}

// podPlan looks for what pods themselves say.
func podPlan(signals []policy.Signal) *plan {
	p := newPlan(signals)
	p.each(func(signal, source int, s Source) {
		if !onNode[s.Engine] {
			p.want(signal, source, s)
		}
	})
	return p
}

// agentPlan looks for what an NVML agent says, in its means over a window.
func agentPlan(window string) *plan {
	p := newPlan([]policy.Signal{policy.GPUUtilization, policy.GPUMemory})
	p.agent = true
	p.each(func(signal, source int, s Source) {
		if s.Engine == agentEngine {
			s.Match.Value = window
			p.want(signal, source, s)
		}
	})
	p.add("gpuscaler_nvml_sample_timestamp_seconds", use{role: roleTime, identity: agentGPU})
	p.add("gpuscaler_nvml_time_seconds", use{role: roleClock})
	p.add("gpuscaler_nvml_up", use{role: roleUp})
	return p
}

// newPlan keeps the places of the signals; one that is not in the table gets no sources.
func newPlan(signals []policy.Signal) *plan {
	p := &plan{names: map[string][]use{}}
	for _, signal := range signals {
		spec, err := specOf(signal)
		if err != nil {
			spec = signalSpec{signal: signal}
		}
		p.specs = append(p.specs, spec)
	}
	return p
}

func (p *plan) each(f func(signal, source int, s Source)) {
	for i := range p.specs {
		for j := range p.specs[i].sources {
			f(i, j, p.specs[i].sources[j])
		}
	}
}

// want adds the samples of a source.
func (p *plan) want(signal, source int, s Source) {
	u := use{signal: int16(signal), source: int16(source), match: s.Match, identity: s.Identity}
	as := func(metric string, r role, m Match) {
		u.role, u.match = r, m
		p.add(metric, u)
	}
	switch s.Kind {
	case Gauge, Rate:
		as(s.Metric, roleValue, s.Match)
	case Quantile:
		as(s.Metric+"_bucket", roleBucket, s.Match)
		as(s.Metric+"_count", roleCount, s.Match)
	case UsedOfTotal:
		as(s.Metric, roleValue, s.Match)
		as(s.Total, roleTotal, Match{})
	case UsedOfParts:
		as(s.Metric, roleValue, s.Match)
		as(s.Free, roleFree, Match{})
		as(s.Reserved, roleReserved, Match{})
	}
}

func (p *plan) add(metric string, u use) { p.names[metric] = append(p.names[metric], u) }
