package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// scenario is one random Deployment with its policy and what happens to it. The same seed gives the same scenario.
type scenario struct {
	seed uint64
	rng  *rand.Rand

	spec       policy.Spec
	tolerances [2]int // tolerances, up and down, in thousandths: as the API holds them
	ticks      int
	start      int // replicas

	jitter   bool // ticks are not exactly an interval apart
	hazards  hazards
	loads    []load
	maxDelay time.Duration // how long a new pod loads, at most
}

// hazards are the probabilities, per tick unless said otherwise, of what disturbs a scenario.
type hazards struct {
	scaled    float64 // someone else changes the replicas
	edited    float64 // someone edits bounds, targets or tolerances
	refused   float64 // the write fails
	failed    float64 // a signal cannot be read
	outage    float64 // an outage begins, in which hardly any signal can be read for some ticks
	unsampled float64 // a pod is not sampled, where any pod may be
	starved   bool    // more than half of the pods may be unsampled
	patchy    bool    // some pods may be unsampled
	long      bool    // failures may last longer than a gap is
}

// The signals that have no rule of their own. The last one is of the whole workload.
var signals = []policy.Signal{policy.RunningRequests, policy.GPUUtilization, "tickets", "backlog"}

const workloadSignal = policy.Signal("backlog")

// newScenario draws the scenario of a seed.
func newScenario(seed uint64) *scenario {
	rng := rand.New(rand.NewPCG(seed, 2))
	s := &scenario{seed: seed, rng: rng, ticks: 120 + rng.IntN(160)}
	s.drawSpec()
	s.drawHazards()
	for range s.spec.Targets {
		s.loads = append(s.loads, newLoad(rng))
	}
	s.jitter = s.chance(0.4)
	// A raise on utilization waits for the pods of the last one, by a rule of its own.
	if s.chance(0.5) && !slices.ContainsFunc(s.spec.Targets, func(t policy.Target) bool { return t.Signal == policy.GPUUtilization }) {
		s.maxDelay = time.Duration(1+rng.IntN(240)) * time.Second
	}
	s.start = s.replicas()
	if s.chance(0.1) {
		s.start = s.spec.MaxReplicas + 1 + rng.IntN(5)
	}
	return s
}

// chance is true with probability p.
func (s *scenario) chance(p float64) bool { return s.rng.Float64() < p }

// replicas draws a number of replicas from within the bounds.
func (s *scenario) replicas() int {
	return s.spec.MinReplicas + s.rng.IntN(s.spec.MaxReplicas-s.spec.MinReplicas+1)
}

// pick returns one of several values.
func pick[T any](rng *rand.Rand, values ...T) T { return values[rng.IntN(len(values))] }

// drawSpec draws what is asked of the Deployment.
func (s *scenario) drawSpec() {
	s.spec = policy.Spec{
		MaxSampleAge: 90 * time.Second,
		Interval:     time.Duration(pick(s.rng, 5, 10, 15, 15, 30, 60, 5+s.rng.IntN(56))) * time.Second,
	}
	s.drawBounds()
	order := s.rng.Perm(len(signals))
	for _, i := range order[:pick(s.rng, 1, 1, 1, 2, 2, 3)] {
		s.spec.Targets = append(s.spec.Targets, policy.Target{Signal: signals[i], Value: s.target(signals[i])})
	}
	s.spec.ScaleUp.StabilizationWindow = s.window(0.5)
	s.spec.ScaleDown.StabilizationWindow = s.window(0.2)
	s.spec.ScaleUp.SelectPolicy = s.selectPolicy()
	s.spec.ScaleDown.SelectPolicy = s.selectPolicy()
	longest := s.period(1800)
	s.spec.ScaleUp.Policies = s.policies(longest)
	if s.chance(0.15) {
		longest = s.period(1800)
	}
	s.spec.ScaleDown.Policies = s.policies(longest)
	s.drawTolerances()
}

// drawBounds draws minimum and maximum.
func (s *scenario) drawBounds() {
	s.spec.MinReplicas = 1 + s.rng.IntN(pick(s.rng, 1, 3, 8))
	s.spec.MaxReplicas = s.spec.MinReplicas + s.rng.IntN(pick(s.rng, 4, 12, 40, 40, 120))
}

// target draws a target, in whole thousandths of the signal's unit.
func (s *scenario) target(signal policy.Signal) float64 {
	if signal == policy.GPUUtilization {
		return float64(20+s.rng.IntN(76)) + pick(s.rng, 0, 0, 0.5, 0.125)
	}
	milli := pick(s.rng, 1000, 10_000, 100_000, 1+s.rng.IntN(10_000), 1+s.rng.IntN(1_000_000))
	return float64(milli) / 1000
}

// window draws a stabilization window, none with probability none.
func (s *scenario) window(none float64) time.Duration {
	switch {
	case s.chance(none):
		return 0
	case s.chance(0.5):
		return s.spec.Interval * time.Duration(1+s.rng.IntN(12))
	default:
		return time.Duration(pick(s.rng, 1+s.rng.IntN(120), 300, 600, 1+s.rng.IntN(3600))) * time.Second
	}
}

// selectPolicy draws a select policy.
func (s *scenario) selectPolicy() policy.SelectPolicy {
	return pick(s.rng, policy.MaxChange, policy.MaxChange, policy.MaxChange, policy.MinChange, policy.MinChange,
		policy.MinChange, policy.Disabled)
}

// period draws a policy period of up to most seconds.
func (s *scenario) period(most int) time.Duration {
	seconds := pick(s.rng, 15, 60, int(s.spec.Interval/time.Second)*(1+s.rng.IntN(8)), 1+s.rng.IntN(300), 1+s.rng.IntN(1800))
	return time.Duration(min(seconds, most)) * time.Second
}

// policies draws one to three policies, one of them with the longest period.
func (s *scenario) policies(longest time.Duration) []policy.ScalingPolicy {
	list := make([]policy.ScalingPolicy, 1+s.rng.IntN(3))
	for i := range list {
		p := policy.ScalingPolicy{Type: policy.Pods, Value: 1 + s.rng.IntN(pick(s.rng, 2, 6, 20)), Period: s.period(int(longest / time.Second))}
		if s.chance(0.5) {
			p.Type, p.Value = policy.Percent, pick(s.rng, 1, 10, 25, 33, 50, 100, 100, 150, 300, 1+s.rng.IntN(400))
		}
		list[i] = p
	}
	list[s.rng.IntN(len(list))].Period = longest
	return list
}

// drawTolerances draws both tolerances.
func (s *scenario) drawTolerances() {
	for i := range s.tolerances {
		s.tolerances[i] = pick(s.rng, 100, 100, 0, 50, 200, s.rng.IntN(500), s.rng.IntN(1500))
	}
	s.spec.ScaleUp.Tolerance = float64(s.tolerances[0]) * math.Pow10(-3)
	s.spec.ScaleDown.Tolerance = float64(s.tolerances[1]) * math.Pow10(-3)
}

// drawHazards draws what may happen.
func (s *scenario) drawHazards() {
	h := &s.hazards
	h.scaled = pick(s.rng, 0, 0, 0, 0.01, 0.05)
	h.edited = pick(s.rng, 0, 0, 0, 0, 0.01)
	h.refused = pick(s.rng, 0, 0, 0, 0.02, 0.2)
	h.failed = pick(s.rng, 0, 0, 0.02, 0.1, 0.3)
	h.outage = pick(s.rng, 0, 0, 0.02)
	h.unsampled = pick(s.rng, 0.02, 0.1, 0.4)
	h.patchy = s.chance(0.5)
	if s.chance(0.02) {
		h.starved, h.patchy, h.unsampled = true, true, 0.7
	}
	if s.chance(0.02) {
		h.long, h.outage = true, 0.02
	}
}

// edit is a person's edit of the policy. Windows and periods are left alone: what is remembered of before is not
// specified.
func (s *scenario) edit() {
	switch s.rng.IntN(3) {
	case 0:
		s.drawBounds()
	case 1:
		i := s.rng.IntN(len(s.spec.Targets))
		s.spec.Targets = slices.Clone(s.spec.Targets)
		s.spec.Targets[i].Value = s.target(s.spec.Targets[i].Signal)
	default:
		s.drawTolerances()
	}
}

// mixedPeriods reports whether the longest periods of the two directions differ, so that the HPA may forget.
func (s *scenario) mixedPeriods() bool {
	return longest(&s.spec.ScaleUp) != longest(&s.spec.ScaleDown)
}

// longest returns the longest period of a direction.
func longest(rules *policy.Rules) time.Duration {
	var period time.Duration
	for _, p := range rules.Policies {
		period = max(period, p.Period)
	}
	return period
}

// String tells the scenario to a person.
func (s *scenario) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: interval %s (jitter %t), replicas %d..%d, start %d, pods load up to %s, hazards %+v\n", s.seed,
		s.spec.Interval, s.jitter, s.spec.MinReplicas, s.spec.MaxReplicas, s.start, s.maxDelay, s.hazards)
	for _, t := range s.spec.Targets {
		fmt.Fprintf(&b, "  target.%s %v\n", t.Signal, t.Value)
	}
	for i, rules := range []policy.Rules{s.spec.ScaleUp, s.spec.ScaleDown} {
		fmt.Fprintf(&b, "  scale-%s: window %s, select %s, tolerance %v, policies", [...]string{"up", "down"}[i], rules.StabilizationWindow,
			[...]string{"max", "min", "disabled"}[rules.SelectPolicy], rules.Tolerance)
		for _, p := range rules.Policies {
			fmt.Fprintf(&b, " %d %s/%s", p.Value, [...]string{"pods", "percent"}[p.Type], p.Period)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
