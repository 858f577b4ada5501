package simulate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// A pod written at t is ready at the first tick at or after t + startup, and never before the next tick.
func TestStartup(t *testing.T) {
	for _, c := range []struct {
		startup time.Duration
		want    string
	}{
		{0, "1/0/0x1 2/0/0x8"},
		{time.Second, "1/0/0x1 2/0/0x8"},
		{15 * time.Second, "1/0/0x1 2/0/0x8"},
		{16 * time.Second, "1/0/0x1 1/1/0x1 2/0/0x7"},
		{time.Minute, "1/0/0x1 1/1/0x3 2/0/0x5"},
	} {
		s := scene(t, 2, 1, "target.running-requests=10", "max-replicas=2").reads(t, policy.RunningRequests, "20")
		s.Startup = c.startup
		expectText(t, fmt.Sprint("pods with a startup of ", c.startup), pods(simulated(t, s)), c.want)
	}
}

// A person's pods are created before the placement and readiness of the tick.
func TestPersonsPods(t *testing.T) {
	s := scene(t, 2, 1, "target.running-requests=10", "paused=true").reads(t, policy.RunningRequests, "10")
	s = s.with(Event{At: 20 * time.Second, Kind: SetReplicas, Number: 3}, Event{At: time.Minute, Kind: ResetReplicas, Number: 2})
	expectText(t, "pods without startup", pods(simulated(t, s)), "1/0/0x2 3/0/0x2 2/0/0x5") // 0:20 is before the tick of 0:30
	s.Startup = 15 * time.Second
	r := simulated(t, s)
	expectText(t, "pods with startup", pods(r), "1/0/0x2 1/2/0x1 3/0/0x1 2/0/0x5")
	if r.Score.ScaleUps != 0 || r.Score.ScaleDowns != 0 {
		t.Errorf("changes by others count as decisions: %+v", r.Score)
	}
	if got := fmt.Sprint(r.Ticks[2].Events); got != "[a person sets replicas to 3]" {
		t.Errorf("events of the tick: %s", got)
	}
}

// Pods that the cluster cannot place wait, go first when replicas are lowered, and are placed when there is room.
func TestGPUs(t *testing.T) {
	three := 3
	s := scene(t, 4, 1, "target.running-requests=10", "max-replicas=5", "scale-down.stabilization=0s").reads(t, policy.RunningRequests, "50x7 10")
	s.GPUs, s.Startup = &three, 30*time.Second
	s = s.with(Event{At: time.Minute, For: 30 * time.Second, Kind: SetGPUs, Number: 4}, Event{At: 3 * time.Minute, Kind: SetReplicas, Number: 3})
	// 0:00 5 wanted, 3 placed; 0:30 those are ready; 1:00 a fourth GPU, its pod is ready at 1:30 and stays when the limit falls;
	// 2:15 the fifth, which nobody needs since 1:45, is given back.
	expectText(t, "pods", pods(simulated(t, s)), "1/0/0x1 1/2/2x1 3/0/2x2 3/1/1x2 4/0/1x3 4/0/0x3 3/0/0x5")
}

// Unschedulable pods go first, then loading ones, then the youngest.
func TestScaleInOrder(t *testing.T) {
	five := 5
	s := Scenario{Start: start, Replicas: 2, Startup: time.Minute, GPUs: &five}
	f := newFleet(&s)
	f.gpus = 3
	f.scale(3, 0) // pod-2
	f.place(0)
	f.settle(time.Minute)
	f.gpus = 4
	f.scale(6, 2*time.Minute) // pod-3 is placed, pod-4 and pod-5 are not
	f.place(2 * time.Minute)
	for _, want := range []string{"pod-0 pod-1 pod-2 pod-3 pod-4", "pod-0 pod-1 pod-2 pod-3", "pod-0 pod-1 pod-2", "pod-0 pod-1", "pod-0", ""} {
		f.scale(len(f.pods)-1, 3*time.Minute)
		var names []string
		for _, p := range f.pods {
			names = append(names, p.name)
		}
		expectText(t, "pods left", strings.Join(names, " "), want)
	}
	// A pod loads although one older waits: it is removed after that one all the same.
	f = &fleet{pods: []pod{{name: "ready", placed: true, ready: true}, {name: "waits"}, {name: "loads", placed: true}, {name: "young", placed: true, ready: true}}}
	f.scale(2, 0)
	if len(f.pods) != 2 || f.pods[0].name != "ready" || f.pods[1].name != "young" {
		t.Errorf("left are %+v, want the two ready pods", f.pods)
	}
}

// Pods created in a crash loop do not become ready before it ends; the others serve on.
func TestCrashLoop(t *testing.T) {
	s := scene(t, 3, 2, "target.running-requests=10", "paused=true").reads(t, policy.RunningRequests, "10")
	s.Startup = 30 * time.Second
	s = s.with(
		Event{At: 15 * time.Second, Kind: SetReplicas, Number: 3}, Event{At: 30 * time.Second, For: time.Minute, Kind: CrashLooping},
		Event{At: 45 * time.Second, Kind: SetReplicas, Number: 4}, Event{At: 90 * time.Second, Kind: SetReplicas, Number: 5},
	)
	expectText(t, "pods", pods(simulated(t, s)), "2/0/0x1 2/1/0x2 3/1/0x3 3/2/0x2 5/0/0x5")
	s.Events[1].For = 0
	expectText(t, "pods for ever", pods(simulated(t, s)), "2/0/0x1 2/1/0x2 3/1/0x3 3/2/0x7")
}

// A rollout replaces one pod after the other and never has fewer ready ones; the pod beyond spec.replicas is not counted, but
// holds a GPU.
func TestRollout(t *testing.T) {
	s := scene(t, 3, 3, "target.running-requests=10", "paused=true").reads(t, policy.RunningRequests, "10").with(Event{At: 30 * time.Second, Kind: Rollout})
	s.Startup = 30 * time.Second
	r := simulated(t, s)
	expectText(t, "pods", pods(r), "3/0/0x13")
	if want := (3*180 + 90) / 3600.0; r.Score.GPUHours != want {
		t.Errorf("GPU-hours %v, want %v: one more pod from 0:30 to 2:00", r.Score.GPUHours, want)
	}

	three := 3
	s.GPUs = &three
	if r := simulated(t, s); r.Score.GPUHours != 3*180/3600.0 {
		t.Errorf("without a GPU for it the rollout waits: GPU-hours %v", r.Score.GPUHours)
	}
	s.GPUs, s.Duration = nil, 2*time.Minute
	f := rolledOut(t, s)
	for _, p := range f.pods {
		if p.outdated || p.surge || p.initial {
			t.Errorf("after the rollout there is %+v", p)
		}
	}
	if len(f.pods) != 3 {
		t.Errorf("after the rollout there are %d pods", len(f.pods))
	}
	// Lowered to nothing in the middle, nothing is left; a second rollout begins anew.
	s = s.with(Event{At: time.Minute, Kind: Rollout}, Event{At: 75 * time.Second, Kind: SetReplicas, Number: 0})
	if f := rolledOut(t, s); len(f.pods) != 0 {
		t.Errorf("at zero there are %d pods", len(f.pods))
	}
}

// rolledOut returns the pods at the end of a scenario.
func rolledOut(t *testing.T, s Scenario) *fleet {
	t.Helper()
	r := run{scenario: &s, fleet: newFleet(&s), reader: newReader(&s, nil), replicas: s.Replicas}
	for at := time.Duration(0); at <= s.Duration; at += s.Interval {
		if err := r.tick(at); err != nil {
			t.Fatal(err)
		}
	}
	return r.fleet
}
