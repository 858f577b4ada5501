package simulate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// scene returns a scenario of some minutes with a maximum of 20, tick 15 s, and the annotations given as "key=value".
func scene(t testing.TB, minutes, replicas int, annotations ...string) Scenario {
	t.Helper()
	keys := map[string]string{policy.Prefix + "max-replicas": "20"}
	for _, a := range annotations {
		key, value, _ := strings.Cut(a, "=")
		keys[policy.Prefix+key] = value
	}
	spec, problems := policy.Parse(keys, policy.Settings{MaxSampleAge: 90 * time.Second, Interval: 15 * time.Second})
	if problems != nil {
		t.Fatal(problems)
	}
	return Scenario{
		Spec: spec, Start: start, Interval: 15 * time.Second, Duration: time.Duration(minutes) * time.Minute, Replicas: replicas,
	}
}

// reads gives the pods of a scenario a signal.
func (s Scenario) reads(t testing.TB, signal policy.Signal, texts ...string) Scenario {
	t.Helper()
	p := PodSignal{Signal: signal}
	for _, text := range texts {
		p.Series = append(p.Series, series(t, text))
	}
	s.Signals = append(slices.Clip(s.Signals), p)
	return s
}

// with adds events.
func (s Scenario) with(events ...Event) Scenario {
	s.Events = append(slices.Clip(s.Events), events...)
	return s
}

func series(t testing.TB, text string) Series {
	t.Helper()
	s, err := ParseSeries(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// simulated runs a scenario and checks what holds for each.
func simulated(t testing.TB, s Scenario) Result {
	t.Helper()
	r, err := Run(s)
	if err != nil {
		t.Fatal(err)
	}
	if want := int(s.Duration/s.Interval) + 1; len(r.Ticks) != want {
		t.Fatalf("%d ticks, want %d", len(r.Ticks), want)
	}
	for i, tick := range r.Ticks {
		if want := s.Start.Add(time.Duration(i) * s.Interval); !tick.Time.Equal(want) {
			t.Errorf("tick %d is at %v, want %v", i, tick.Time, want)
		}
		if sum := tick.Ready + tick.Loading + tick.Unschedulable; sum != tick.Replicas {
			t.Errorf("tick %d: ready %d, loading %d and unschedulable %d are not the %d replicas", i, tick.Ready, tick.Loading, tick.Unschedulable, tick.Replicas)
		}
	}
	return r
}

// replicas returns spec.replicas of each tick as a text, runs written like "2x4": two in four ticks.
func replicas(r Result) string {
	return runs(r, func(t *Tick) string { return fmt.Sprint(t.Replicas) })
}

// pods is the same of ready/loading/unschedulable.
func pods(r Result) string {
	return runs(r, func(t *Tick) string { return fmt.Sprintf("%d/%d/%d", t.Ready, t.Loading, t.Unschedulable) })
}

func runs(r Result, text func(*Tick) string) string {
	var texts []string
	for i := range r.Ticks {
		texts = append(texts, text(&r.Ticks[i]))
	}
	return folded(texts)
}

// folded joins texts, those that repeat written once with how often.
func folded(texts []string) string {
	var parts []string
	for i := 0; i < len(texts); {
		n := 1
		for i+n < len(texts) && texts[i+n] == texts[i] {
			n++
		}
		parts = append(parts, fmt.Sprintf("%sx%d", texts[i], n))
		i += n
	}
	return strings.Join(parts, " ")
}

func expectText(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

// Running requests of twice the target double the replicas at each tick, within the default policies: 4 pods or 100 %.
func TestRaisesAsTheHPA(t *testing.T) {
	r := simulated(t, scene(t, 2, 1, "target.running-requests=10").reads(t, policy.RunningRequests, "100"))
	expectText(t, "replicas", replicas(r), "1x1 5x1 10x1 20x6")
	r = simulated(t, scene(t, 2, 1, "target.running-requests=10", "scale-up.policies=2 pods/1m").reads(t, policy.RunningRequests, "100"))
	expectText(t, "replicas", replicas(r), "1x1 3x4 5x4")
}

// The last recommendation of 10 is at 1:00, and lowering begins exactly when it leaves the window.
func TestScaleDownWindow(t *testing.T) {
	r := simulated(t, scene(t, 8, 10, "target.running-requests=10").reads(t, policy.RunningRequests, "10x4 1"))
	expectText(t, "replicas", replicas(r), "10x25 1x8") // tick 24 is at 6:00 and decides
	if at := r.Ticks[24]; at.Time != start.Add(6*time.Minute) || at.Desired != 1 {
		t.Errorf("at %v desired is %d, want 1 at 6:00", at.Time, at.Desired)
	}
	if r.Ticks[23].Reason != policy.ScaleDownStabilized || !r.Ticks[23].Until.Equal(start.Add(6*time.Minute)) {
		t.Errorf("one tick before: %s until %v, want ScaleDownStabilized until 6:00", r.Ticks[23].Reason, r.Ticks[23].Until)
	}
}

// In an outage nothing is lowered, and after one longer than a sample may be old, not before a full window of good data.
func TestOutage(t *testing.T) {
	s := scene(t, 12, 10, "target.running-requests=10", "scale-down.stabilization=2m").reads(t, policy.RunningRequests, "10x4 1")
	long := simulated(t, s.with(Event{At: 2 * time.Minute, For: 3 * time.Minute, Kind: Outage}))
	expectText(t, "replicas with a long outage", replicas(long), "10x29 1x20") // data again at 5:00, a window until 7:00
	for i := 8; i < 20; i++ {
		if tick := &long.Ticks[i]; tick.Reason != policy.NoData || tick.Signals[policy.RunningRequests].Value != nil || !strings.Contains(tick.Message, "Prometheus does not answer") {
			t.Errorf("tick %d in the outage: reason %s, signals %v, message %q", i, tick.Reason, tick.Signals, tick.Message)
		}
	}
	if long.Ticks[7].Reason == policy.NoData || long.Ticks[20].Reason != policy.Gap {
		t.Errorf("the outage is not half-open: %s before, %s after", long.Ticks[7].Reason, long.Ticks[20].Reason)
	}
	short := simulated(t, s.with(Event{At: 2 * time.Minute, For: 90 * time.Second, Kind: Outage}))
	expectText(t, "replicas with a short outage", replicas(short), "10x15 1x34") // the window, then data again at 3:30
	open := simulated(t, s.with(Event{At: 2 * time.Minute, Kind: Outage}))
	expectText(t, "replicas with an outage to the end", replicas(open), "10x49")
}

// Missing readings in the series do what an outage does.
func TestGapInSeries(t *testing.T) {
	for _, text := range []string{"10x4 1x2 _x12 1", "10x4 1x2 " + strings.Repeat("NaN ", 12) + "1", "10x4 1x2 " + strings.Repeat("stale ", 12) + "1"} {
		r := simulated(t, scene(t, 12, 10, "target.running-requests=10", "scale-down.stabilization=2m").reads(t, policy.RunningRequests, text))
		expectText(t, "replicas", replicas(r), "10x29 1x20")
	}
}

// A person's zero is left alone.
func TestZero(t *testing.T) {
	s := scene(t, 1, 2, "target.running-requests=10").reads(t, policy.RunningRequests, "100").with(Event{Kind: SetReplicas})
	r := simulated(t, s)
	expectText(t, "replicas", replicas(r), "0x5")
	if r.Ticks[0].Reason != policy.ScalingDisabled || r.Score.GPUHours != 0 {
		t.Errorf("reason %s, GPU-hours %v", r.Ticks[0].Reason, r.Score.GPUHours)
	}
}

// Series k is read by the k-th oldest living pod, and the last by all further ones.
func TestSeriesByPod(t *testing.T) {
	s := scene(t, 1, 3, "target.queue-depth=4", "paused=true").reads(t, policy.QueueDepth, "9", "0", "3x2 6")
	r := simulated(t, s.with(Event{At: 15 * time.Second, Kind: SetReplicas, Number: 4}, Event{At: 30 * time.Second, Kind: SetReplicas, Number: 1}))
	var got []float64
	for i := range r.Ticks {
		got = append(got, *r.Ticks[i].Signals[policy.QueueDepth].Value)
	}
	if want := []float64{4, 3.75, 9, 9, 9}; !slices.Equal(got, want) { // (9+0+3)/3, (9+0+3+3)/4, then the oldest alone
		t.Errorf("means are %v, want %v", got, want)
	}
}

// Pods that are not ready have a place in the order, but no sample.
func TestSeriesOfLoadingPod(t *testing.T) {
	s := scene(t, 1, 1, "target.queue-depth=4", "paused=true").reads(t, policy.QueueDepth, "8", "100", "2")
	s.Startup = 30 * time.Second
	s = s.with(Event{Kind: SetReplicas, Number: 2}, Event{At: 15 * time.Second, Kind: SetReplicas, Number: 3})
	var got []float64
	for _, tick := range simulated(t, s).Ticks {
		got = append(got, *tick.Signals[policy.QueueDepth].Value)
	}
	if want := []float64{8, 8, 54, 36.666, 36.666}; !slices.Equal(got, want) {
		t.Errorf("means are %v, want %v", got, want)
	}
}

// Only ready pods are sampled, whatever the policy would do with a sample of another.
func TestOnlyReadyPodsAreSampled(t *testing.T) {
	s := scene(t, 1, 1, "target.queue-depth=4").reads(t, policy.QueueDepth, "8")
	f := newFleet(&s)
	f.create(pod{placed: true})
	f.create(pod{})
	samples := newReader(&s, nil).read(f, start, false)[0].Samples
	want := []policy.Sample{{Value: 8, Time: start, OK: true}, {}, {}}
	if !slices.Equal(samples, want) {
		t.Errorf("samples %+v, want %+v", samples, want)
	}
}

// The pods of the start have been ready for long: without samples they are missing, not young.
func TestInitialPodsAreNotYoung(t *testing.T) {
	s := scene(t, 1, 5, "target.queue-depth=4", "scale-down.stabilization=0s").reads(t, policy.QueueDepth, "0", "_")
	r := simulated(t, s)
	expectText(t, "replicas", replicas(r), "5x5")
	if r.Ticks[0].Reason != policy.PartialData {
		t.Errorf("with one sample of five the reason is %s", r.Ticks[0].Reason)
	}
}

// Events happen in the order of their times; of those at the same time the first listed goes first.
func TestOrderOfEvents(t *testing.T) {
	s := scene(t, 1, 1, "target.queue-depth=4", "paused=true").reads(t, policy.QueueDepth, "4").with(
		Event{At: 20 * time.Second, Kind: SetReplicas, Number: 4}, Event{At: 16 * time.Second, Kind: SetReplicas, Number: 3},
		Event{At: time.Minute, Kind: SetReplicas, Number: 5}, Event{At: time.Minute, Kind: SetReplicas, Number: 6},
	)
	expectText(t, "replicas", replicas(simulated(t, s)), "1x2 4x2 6x1")
	if s.Events[0].Number != 4 {
		t.Error("a run reorders the events of its scenario")
	}
}

// A workload signal is one number, divided by the replicas.
func TestWorkloadSignal(t *testing.T) {
	s := scene(t, 1, 1, "target.gateway-queue=5", "query.gateway-queue=gateway-queue")
	s.Workload = []WorkloadSignal{{Signal: "gateway-queue", Series: series(t, "20 _ 50")}}
	r := simulated(t, s)
	expectText(t, "replicas", replicas(r), "1x1 4x2 8x1 10x1")
	if r.Ticks[1].Reason != policy.NoData {
		t.Errorf("without a sample the reason is %s", r.Ticks[1].Reason)
	}
}

// The controller continues from its checkpoint as if nothing had happened: windows, budgets and gaps.
func TestRestart(t *testing.T) {
	s := scene(t, 40, 10, "target.running-requests=10", "scale-down.stabilization=2m", "scale-up.policies=2 pods/3m", "scale-down.policies=1 pods/1m", "steps.queue-depth=<1:-1,>5:+1").
		reads(t, policy.RunningRequests, "10x4 12x8 1x30 _x9 1x30 30").reads(t, policy.QueueDepth, "0x4 6x4 0")
	var restarts []Event
	for at := time.Duration(0); at <= s.Duration; at += s.Interval {
		restarts = append(restarts, Event{At: at, Kind: Restart})
	}
	plain, restarted := simulated(t, s), simulated(t, s.with(restarts...))
	expectText(t, "replicas", replicas(restarted), replicas(plain))
	if strings.Count(replicas(plain), " ") < 6 {
		t.Errorf("the scenario shows too little: %s", replicas(plain))
	}
}

func TestConflictAndDryRun(t *testing.T) {
	s := scene(t, 1, 1, "target.running-requests=10", "max-replicas=2").reads(t, policy.RunningRequests, "20")
	r := simulated(t, s.with(Event{For: 30 * time.Second, Kind: Conflicting, Name: "HorizontalPodAutoscaler/llm"}))
	expectText(t, "replicas in a conflict", replicas(r), "1x3 2x2")
	if r.Ticks[1].Reason != policy.Conflict || r.Ticks[0].Events[0] != "HorizontalPodAutoscaler/llm takes the Deployment, for 30s" {
		t.Errorf("conflict: reason %s, events %q", r.Ticks[1].Reason, r.Ticks[0].Events)
	}
	s.Spec.DryRun = true
	r = simulated(t, s)
	expectText(t, "replicas in a dry run", replicas(r), "1x5")
	if r.Ticks[4].Desired != 2 || r.Score.ScaleUps != 0 {
		t.Errorf("a dry run desires %d, want 2, and wrote %d times", r.Ticks[4].Desired, r.Score.ScaleUps)
	}
}

func TestDeterministic(t *testing.T) {
	for name, s := range map[string]Scenario{"open": openDay(t), "closed": closedDay(t)} {
		s.Duration = time.Hour
		first, second := asJSON(t, s), asJSON(t, s)
		if first != second {
			t.Errorf("%s loop: the same scenario gives different results", name)
		}
	}
}

func asJSON(t *testing.T, s Scenario) string {
	t.Helper()
	text, err := json.Marshal(simulated(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestJSON(t *testing.T) {
	s := scene(t, 0, 1, "target.running-requests=10").reads(t, policy.RunningRequests, "10")
	want := `{"ticks":[{"time":"2026-01-01T00:00:00Z","replicas":1,"ready":1,"loading":0,"unschedulable":0,` +
		`"recommended":1,"guarded":1,"stabilized":1,"limited":1,"desired":1,"reason":"WithinTolerance",` +
		`"message":"running-requests is 10 for a target of 10, within tolerance",` +
		`"signals":{"running-requests":{"value":10,"target":10,"recommended":1,"missing":0,"reason":"WithinTolerance"}}}],` +
		`"score":{"gpuHours":0,"scaleUps":0,"scaleDowns":0,"reversals":0,"minutesOverTarget":0}}`
	expectText(t, "JSON", asJSON(t, s), want)
	closed := closedDay(t)
	closed.Duration = 0
	if text := asJSON(t, closed); !strings.HasSuffix(text, `"minutesOverTarget":0,"requests":0,"completed":0,"sloAttainment":1,"ttftP50":0,"ttftP99":0}}`) {
		t.Errorf("closed loop: %s", text)
	}
}

// What cannot be read is missing, and what is just out of range counts as its end, as in the cluster.
func TestReadingsOutOfRange(t *testing.T) {
	for reading, want := range map[string]int{"4294967295": 3, "106": 3, "105": 6, "-1": 3} {
		s := scene(t, 1, 3, "target.gpu-utilization=50", "max-replicas=6").reads(t, policy.GPUUtilization, reading)
		for _, tick := range simulated(t, s).Ticks {
			if tick.Desired != want {
				t.Errorf("%s: %d, want %d", reading, tick.Desired, want)
			}
		}
	}
}
