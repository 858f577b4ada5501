package conformance

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/rivals"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// rivalSeeds are how many random worlds a rival is compared in.
const rivalSeeds = 300

// rivalRun is a scenario under way with a rival and with what it is to be.
type rivalRun struct {
	s        *scenario
	world    *world
	hpa      *hpa.Autoscaler
	object   *autoscaling.HorizontalPodAutoscaler
	decide   rivals.Decider
	external bool // all metrics are External, polled as KEDA does
	polled   map[string]int64
	next     time.Time
	replicas int
	state    policy.State
	excuses  excuses
}

// tick lets both decide; ended says that the HPA forgot a scale event, from which on the two may differ.
func (r *rivalRun) tick(tick int) (ended bool, err error) {
	now := time.Now()
	r.world.settle(r.replicas, now, tick == 0)
	seen := r.world.observe(r.replicas, now, true)
	for i := range seen.theirs.Pods {
		if seen.theirs.Pods[i].Phase == corev1.PodPending {
			seen.theirs.Pods[i].Phase = corev1.PodRunning // it loads a model
		}
	}
	if r.external {
		r.poll(&seen, now)
	}
	key := fmt.Sprintf("default/rival-%v-%d", r.external, r.s.seed)
	up, down := r.hpa.ScaleEvents(key)
	theirs := r.hpa.Tick(key, r.object, &seen.theirs)
	upAfter, downAfter := r.hpa.ScaleEvents(key)
	r.excuses.forgot(&r.s.spec, now, up, upAfter)
	r.excuses.forgot(&r.s.spec, now, down, downAfter)
	d, state := r.decide(r.s.spec, r.state, seen.ours, now)
	if int(theirs.Desired) != d.Desired {
		if r.excuses.apply(now) == forgottenEvent {
			return true, nil
		}
		return false, fmt.Errorf("tick %d of seed %d: ours wants %d replicas (%s, recommended %d), the HPA %d\n%s", tick, r.s.seed, d.Desired, d.Reason, d.Recommended.Replicas, theirs.Desired, r.s)
	}
	r.state = state
	if d.Desired != r.replicas && !seen.theirs.RefuseWrite {
		r.state = r.state.Wrote(d, now)
		r.replicas = d.Desired
	}
	return false, nil
}

// poll shows the HPA what KEDA's metrics server would: sums that are kept until the next poll, and 0 for an empty result.
func (r *rivalRun) poll(seen *sight, now time.Time) {
	if !now.Before(r.next) {
		r.next, r.polled = now.Add(rivals.Poll), map[string]int64{}
		for i := range seen.ours.Readings {
			reading := &seen.ours.Readings[i]
			if reading.Problem != "" {
				continue
			}
			sum := int64(0)
			for _, sample := range append(slices.Clone(reading.Samples), reading.Workload) {
				if sample.OK && sample.Value >= 0 && !math.IsInf(sample.Value, 0) && (sample.Time.IsZero() || now.Sub(sample.Time) <= r.s.spec.MaxSampleAge) {
					sum += int64(milli(sample.Value))
				}
			}
			r.polled[string(reading.Signal)] = sum
		}
	}
	seen.theirs.PodMetrics, seen.theirs.External = map[string]metricsclient.PodMetricsInfo{}, r.polled
}

// play runs the scenario of a seed and returns how many ticks were compared.
func (r *rivalRun) play(t *testing.T) (ticks, changes int) {
	rng := rand.New(rand.NewPCG(r.s.seed, 7))
	for tick := range r.s.ticks {
		before := r.replicas
		ended, err := r.tick(tick)
		if err != nil {
			t.Error(err)
			return tick, changes
		}
		if ended {
			return tick, changes
		}
		if r.replicas != before {
			changes++
		}
		if rng.IntN(40) == 0 {
			r.replicas = rng.IntN(r.s.spec.MaxReplicas + 3)
		}
		time.Sleep(r.s.spec.Interval)
	}
	return r.s.ticks, changes
}

// The rivals that a backtest compares with are the HPA of Kubernetes itself, alone and behind KEDA's metrics.
func TestRivalsAreWhatTheyAreCalled(t *testing.T) {
	for _, external := range []bool{false, true} {
		t.Run(map[bool]string{false: "HPA", true: "KEDA"}[external], func(t *testing.T) {
			a := hpa.New(t.Context())
			ticks, changes := 0, 0
			synctest.Test(t, func(t *testing.T) {
				for seed := uint64(0); seed < rivalSeeds && !t.Failed(); seed++ {
					r := newRivalRun(seed, a, external)
					n, m := r.play(t)
					ticks, changes = ticks+n, changes+m
				}
			})
			t.Logf("%d ticks, %d changes", ticks, changes)
			if ticks < 20*rivalSeeds || changes < rivalSeeds {
				t.Errorf("%d ticks and %d changes were compared in %d worlds: that shows little", ticks, changes, rivalSeeds)
			}
		})
	}
}

// newRivalRun prepares the scenario of a seed.
func newRivalRun(seed uint64, a *hpa.Autoscaler, external bool) *rivalRun {
	s := newScenario(seed)
	s.spec.MinReplicas = max(s.spec.MinReplicas, 1)
	r := &rivalRun{s: s, world: &world{s: s}, hpa: a, object: a.Object(), replicas: s.start, decide: rivals.HPA, external: external}
	s.translate(r.object)
	if !external {
		return r
	}
	r.decide = rivals.KEDA()
	for i, target := range s.spec.Targets {
		r.object.Spec.Metrics[i] = metric(policy.Target{Signal: workloadSignal, Value: target.Value})
		r.object.Spec.Metrics[i].External.Metric.Name = string(target.Signal)
	}
	return r
}
