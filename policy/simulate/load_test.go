package simulate

import (
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/serving"
)

// closed gives a scenario a load.
func (s Scenario) closed(t testing.TB, rate string) Scenario {
	t.Helper()
	s.Load = &Load{
		RequestsPerSecond: series(t, rate),
		Serving: serving.Config{
			Server:       serving.Server{MaxRunning: 32, TokensPerSecond: 2000, PrefillTokensPerSecond: 20000, KVTokens: 200000},
			PromptTokens: 512, OutputTokens: 128, Seed: 1,
		},
	}
	s.SLO = serving.SLO{TTFT: 2 * time.Second}
	return s
}

// closedDay is a day of 20 requests per second.
func closedDay(t testing.TB) Scenario {
	return scene(t, 24*60, 2, "target.running-requests=16", "target.queue-depth=4").closed(t, "20")
}

// openDay is a day on 10 replicas.
func openDay(t testing.TB) Scenario {
	return scene(t, 24*60, 10, "target.gpu-utilization=75", "scale-up.stabilization=1m").
		reads(t, policy.GPUUtilization, "75x100 90x3 70x20 60+0.01x2000 75")
}

// Twice the load that one replica carries needs more replicas, and with them the clients are served.
func TestClosedLoop(t *testing.T) {
	r := simulated(t, scene(t, 60, 1, "target.running-requests=16").closed(t, "5x40 20x80 2"))
	most := 0
	for _, tick := range r.Ticks {
		most = max(most, tick.Replicas)
	}
	if most < 2 || most > 6 || r.Ticks[240].Replicas >= most {
		t.Errorf("20 requests/s need 2 replicas of 11.2 each; it came to %d: %s", most, replicas(r))
	}
	s := r.Score
	if s.Requests < 25000 || s.Requests > 33000 || s.Completed < s.Requests*99/100 || s.SLOAttainment < 0.8 || s.TTFTP99 < s.TTFTP50 || s.TTFTP50 <= 0 {
		t.Errorf("score %+v of %+v", s.Score, s)
	}
	// A pod that has just become ready tells no means yet; one from before the scenario has been idle.
	if v := r.Ticks[0].Signals[policy.RunningRequests]; v.Value == nil || *v.Value != 0 {
		t.Errorf("the first reading is %+v, want 0", v)
	}
}

// The requests that arrived are all accounted for at the end, not at the last tick.
func TestClosedLoopRunsToTheEnd(t *testing.T) {
	s := scene(t, 1, 1, "target.running-requests=16", "paused=true").closed(t, "10")
	s.Interval = 40 * time.Second
	if r := simulated(t, s); r.Score.Requests < 500 || len(r.Ticks) != 2 {
		t.Errorf("%d requests in a minute at 10/s, %d ticks", r.Score.Requests, len(r.Ticks))
	}
}

// Means have no value in the tick in which a pod becomes ready, gauges have.
func TestFreshPod(t *testing.T) {
	s := scene(t, 1, 1, "target.gpu-utilization=75", "target.queue-depth=4", "paused=true").closed(t, "5").with(Event{At: 15 * time.Second, Kind: SetReplicas, Number: 2})
	r := simulated(t, s)
	for i, want := range []int{0, 1, 0, 0, 0} {
		signals := r.Ticks[i].Signals
		if got := signals[policy.GPUUtilization].Missing; got != want || signals[policy.QueueDepth].Missing != 0 {
			t.Errorf("tick %d: %d pods without utilization, want %d; %d without queue", i, got, want, signals[policy.QueueDepth].Missing)
		}
	}
}

// The requests of a pod that is removed at t are routed anew at t, not at the next tick.
func TestRemovedPodServesNoMore(t *testing.T) {
	s := scene(t, 1, 2, "target.running-requests=16", "max-replicas=1").closed(t, "5")
	loop, err := newClosedLoop(&s)
	if err != nil {
		t.Fatal(err)
	}
	r := run{scenario: &s, fleet: newFleet(&s), loop: loop, reader: newReader(&s, loop), replicas: s.Replicas}
	if err := r.tick(0); err != nil {
		t.Fatal(err)
	}
	_, first := loop.model.Read("pod-0")
	_, second := loop.model.Read("pod-1")
	if r.replicas != 1 || !first || second {
		t.Errorf("after lowering to %d: the first pod serves: %t, the second: %t", r.replicas, first, second)
	}
}

// Latencies are there when requests have been served.
func TestLatencies(t *testing.T) {
	s := scene(t, 3, 1, "steps.ttft-p95=>60:+1", "steps.inter-token-p95=>60:+1", "steps.queue-time-p95=>60:+1", "paused=true").closed(t, "5x6 0")
	r := simulated(t, s)
	for _, signal := range []policy.Signal{policy.TTFTP95, policy.InterTokenP95, policy.QueueTimeP95} {
		first, later, last := r.Ticks[0].Signals[signal], r.Ticks[4].Signals[signal], r.Ticks[12].Signals[signal]
		if first.Value != nil || last.Value != nil {
			t.Errorf("%s: %v before and %v after any request, want none", signal, first.Value, last.Value)
		}
		if later.Value == nil || *later.Value > 1 || signal != policy.QueueTimeP95 && *later.Value <= 0 {
			t.Errorf("%s: %v while requests are served", signal, later.Value)
		}
	}
}

// A series given beside the load replaces what is modelled, and what is not modelled must be given.
func TestSignalsBesideLoad(t *testing.T) {
	s := scene(t, 1, 1, "target.running-requests=16", "max-replicas=3").closed(t, "1").reads(t, policy.RunningRequests, "160")
	expectText(t, "replicas", replicas(simulated(t, s)), "1x1 3x4")
	s = scene(t, 1, 1, "target.gpu-memory=80").closed(t, "1")
	if notes := s.Notes(); len(notes) != 1 || !strings.HasSuffix(notes[0], "give it a series under signals, because the model of load does not have it") {
		t.Errorf("got %q", notes)
	}
	simulated(t, s.reads(t, policy.GPUMemory, "50"))
}

// An outage does not stop the load.
func TestOutageOfClosedLoop(t *testing.T) {
	s := scene(t, 10, 2, "target.running-requests=16", "paused=true").closed(t, "5")
	plain, cut := simulated(t, s), simulated(t, s.with(Event{At: time.Minute, For: 2 * time.Minute, Kind: Outage}))
	if *plain.Score.Score != *cut.Score.Score {
		t.Errorf("with an outage the clients see %+v, without %+v", cut.Score.Score, plain.Score.Score)
	}
	if cut.Ticks[5].Reason != policy.NoData || *plain.Ticks[12].Signals[policy.RunningRequests].Value != *cut.Ticks[12].Signals[policy.RunningRequests].Value {
		t.Errorf("reason in the outage %s; readings after it differ", cut.Ticks[5].Reason)
	}
}

// A trace is replayed as recorded, at the speed asked for.
func TestTrace(t *testing.T) {
	s := scene(t, 1, 1, "target.running-requests=16").closed(t, "0")
	for i := range 60 {
		s.Load.Serving.Trace = append(s.Load.Serving.Trace, serving.Request{At: time.Duration(i) * 2 * time.Second, PromptTokens: 10, OutputTokens: 5})
	}
	if r := simulated(t, s); r.Score.Requests != 31 {
		t.Errorf("%d requests in a minute, want 31", r.Score.Requests)
	}
	s.Load.Serving.Speed = 2
	if r := simulated(t, s); r.Score.Requests != 60 || r.Score.SLOAttainment != 1 {
		t.Errorf("twice as fast: %+v, want all 60", r.Score.Score)
	}
}

// BenchmarkDay is a day at ticks of 15 s: 5,761 of them.
func BenchmarkDay(b *testing.B) {
	for _, c := range []struct {
		name     string
		scenario Scenario
	}{{"open loop, 10 replicas", openDay(b)}, {"closed loop, 20 requests per second", closedDay(b)}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Run(c.scenario); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
