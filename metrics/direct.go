package metrics

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Bounds of what is asked at once.
const (
	// maxPerTick pods of a target are asked in one tick. The mean of sixteen tells the load of a thousand well enough.
	maxPerTick = 16
	// maxAllPerTick pods of all targets are: with more than 256 targets each asks fewer than sixteen, and at least one.
	maxAllPerTick = 4096
	// How many scrapes run at once, see slots. Each has a read buffer of maxLine bytes.
	maxProven    = 256
	maxUnknown   = 96
	maxProbation = 32
)

// Intervals and timeouts of DirectOptions that are not given.
const (
	defaultDirectTimeout  = time.Second
	defaultDirectInterval = 5 * time.Second
)

// DirectOptions say how pods and agents are read.
type DirectOptions struct {
	// Timeout bounds one request with its whole body; zero means one second. Keep it below the tick.
	Timeout time.Duration
	// Interval is the time between two ticks; zero means 5s. It chooses which of the agents' means is read: the smallest
	// of 1s, 5s and 15s that is not shorter, else 15s.
	Interval time.Duration
	// MaxSampleAge is the age beyond which a sample is missing; zero means DefaultMaxSampleAge.
	MaxSampleAge time.Duration
	// RefuseLoopback: in a cluster no pod has a loopback address.
	RefuseLoopback bool
}

// Direct reads signals from the pods themselves and from the NVML agents on their nodes, without a Prometheus between. It is
// safe for concurrent use.
type Direct struct {
	opts      DirectOptions
	scraper   *scraper
	agentPlan *plan
	slots     slots

	mu      sync.Mutex
	shares  shares
	targets map[targetKey]*directTarget
	agents  map[netip.AddrPort]*directAgent
	swept   time.Time
}

// DirectTarget is a workload whose pods are read.
type DirectTarget struct {
	Namespace, Workload string
	// Port and Path are where an engine has its metrics. Port 0: the pods themselves are not read.
	Port int
	Path string
	// Pods are the target's Ready pods.
	Pods []DirectPod
	// Signals are built-in ones. One that no source can read has an empty result.
	Signals []policy.Signal
}

// DirectPod is one pod.
type DirectPod struct {
	Name string
	// IP is zero as long as none is known.
	IP netip.Addr
	// Agent is the NVML agent on the pod's node; zero if there is none.
	Agent netip.AddrPort
}

// Origin says who told a reading.
type Origin string

// The origins of direct readings.
const (
	OriginPods  Origin = "pods"
	OriginAgent Origin = "nvml-agent"
)

// DirectResult is what one signal says about the pods of a target. Its Samples have a Time, by this process's clock: that of the
// tick in which the sample was read, or of the sample's own if it is older. ServerTime is zero. Values come with the metric's name
// in Source, and From tells from it whose metric it is.
type DirectResult struct{ Result }

// From tells whether a reading of this result came from the pod itself or from the agent on its node.
func (DirectResult) From(r Reading) Origin {
	for i := range signalTable {
		for _, s := range signalTable[i].sources {
			if s.Engine == agentEngine && s.Name == r.Source {
				return OriginAgent
			}
		}
	}
	return OriginPods
}

// DirectReading is what was read of one target.
type DirectReading struct {
	// Results are parallel to DirectTarget.Signals.
	Results []DirectResult
	// Sampled is how many pods were asked in this tick, of Pods; those that are not asked because they failed a short
	// while ago are counted in, and Failed is how many of Sampled did not answer as they should. The samples of a failed
	// pod are missing at once.
	Sampled, Pods, Failed int
	// Problem says in words what failed, and what to do next; empty if nothing did.
	Problem string
	// Agents, AgentsFailed and AgentProblem are the same for the NVML agents on the nodes of the pods.
	Agents, AgentsFailed int
	AgentProblem         string
}

type targetKey struct{ namespace, workload string }

// NewDirect returns a reader. It contacts nobody yet.
func NewDirect(o DirectOptions) *Direct {
	if o.Timeout <= 0 {
		o.Timeout = defaultDirectTimeout
	}
	if o.Interval <= 0 {
		o.Interval = defaultDirectInterval
	}
	if o.MaxSampleAge <= 0 {
		o.MaxSampleAge = DefaultMaxSampleAge
	}
	return &Direct{
		opts: o, scraper: newScraper(o.Timeout, o.Interval, o.RefuseLoopback),
		agentPlan: agentPlan(agentMean(o.Interval)),
		slots:     newSlots(),
		targets:   map[targetKey]*directTarget{}, agents: map[netip.AddrPort]*directAgent{},
	}
}

// agentMean chooses the window of the agents' means: one that leaves no time between two ticks out, if there is one.
func agentMean(interval time.Duration) string {
	for _, w := range []time.Duration{time.Second, 5 * time.Second} {
		if interval <= w {
			return w.String()
		}
	}
	return "15s"
}

// Read reads one target, once per tick; now is the tick's time. It returns within Timeout, but for a moment, and failures are
// part of what it returns. Several targets are read at once: what one of them does to us costs the others nothing.
func (d *Direct) Read(ctx context.Context, now time.Time, t DirectTarget) DirectReading {
	started := time.Now()
	tick := directTick{now: now, clock: func() time.Time { return now.Add(time.Since(started)) }, parent: ctx}
	ctx, cancel := context.WithTimeout(ctx, d.opts.Timeout)
	defer cancel()
	target, agents, share := d.lookup(now, t)
	target.mu.Lock()
	defer target.mu.Unlock()

	var wg sync.WaitGroup
	for _, a := range agents {
		wg.Go(func() { a.read(ctx, d, tick) })
	}
	target.update(now, t)
	busy := 0
	if t.Port != 0 {
		busy = target.scrape(ctx, d, tick, t, share)
	}
	wg.Wait()
	reading := target.results(d, now, t, agents)
	target.report(&reading, t, busy)
	reportAgents(&reading, t, agents)
	return reading
}

// directTick is one tick: its time, and this process's clock counted from it.
type directTick struct {
	now    time.Time
	clock  func() time.Time
	parent context.Context // of the caller, to tell its end from that of a request
}

// forgetAfter is how long a target, a pod or an agent is remembered that nobody asks for.
const forgetAfter = 2 * time.Minute

// lookup finds or makes the state of a target and of the agents on its nodes, and forgets those that are no longer asked for.
// It tells too how many of the target's pods may be asked.
func (d *Direct) lookup(now time.Time, t DirectTarget) (target *directTarget, agents map[netip.AddrPort]*directAgent, share int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.swept) > forgetAfter/4 {
		d.swept = now
		for key, target := range d.targets {
			if now.Sub(target.wanted) > forgetAfter {
				delete(d.targets, key)
			}
		}
		for address, agent := range d.agents {
			if now.Sub(agent.wanted) > forgetAfter {
				delete(d.agents, address)
			}
		}
	}
	key := targetKey{t.Namespace, t.Workload}
	target = d.targets[key]
	if target == nil {
		target = &directTarget{pods: map[string]*directPod{}}
		d.targets[key] = target
	}
	target.wanted = now
	if t.Port != 0 {
		share = d.shares.next(now)
	}
	return target, d.agentsOf(now, t), share
}

// shares divides what may be asked in a tick among the targets.
type shares struct {
	tick time.Time
	// now and before count the targets of this tick and of the one before.
	now, before int
}

// next is how many pods the next target of a tick may ask, by how many targets there were in the tick before.
func (s *shares) next(tick time.Time) int {
	if !tick.Equal(s.tick) {
		s.tick, s.before, s.now = tick, s.now, 0
	}
	s.now++
	return min(max(maxAllPerTick/max(s.before, 1), 1), maxPerTick)
}

// agentsOf returns the agents of a target's pods, if a signal is read from them.
func (d *Direct) agentsOf(now time.Time, t DirectTarget) map[netip.AddrPort]*directAgent {
	if !slices.Contains(t.Signals, policy.GPUUtilization) && !slices.Contains(t.Signals, policy.GPUMemory) {
		return nil
	}
	agents := map[netip.AddrPort]*directAgent{}
	for _, pod := range t.Pods {
		if pod.Agent == (netip.AddrPort{}) || agents[pod.Agent] != nil {
			continue
		}
		agent := d.agents[pod.Agent]
		if agent == nil {
			agent = &directAgent{address: pod.Agent, page: page{plan: d.agentPlan}}
			d.agents[pod.Agent] = agent
		}
		agent.wanted = now
		agents[pod.Agent] = agent
	}
	return agents
}
