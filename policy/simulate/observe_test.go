package simulate

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// observed runs a scenario and returns what text makes of each Observation, runs of equal texts written like "2x4".
func observed(t *testing.T, s Scenario, text func(*policy.Observation) string) string {
	t.Helper()
	var texts []string
	s.Decide = func(spec policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
		texts = append(texts, text(&seen))
		return policy.Decide(spec, state, seen, now)
	}
	simulated(t, s)
	return folded(texts)
}

// still is a scenario of two minutes in which nothing is decided.
func still(t *testing.T, replicas int) Scenario {
	t.Helper()
	return scene(t, 2, replicas, "target.running-requests=10", "paused=true").reads(t, policy.RunningRequests, "10")
}

// after tells a time by how long it is after the start, "-" for none.
func after(at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return at.Sub(start).String()
}

// Of the pods of the start it is not known since when; a pod is scheduled when it gets a GPU, not when it is created.
func TestPodsSeen(t *testing.T) {
	two := 2
	s := still(t, 1).with(Event{At: 15 * time.Second, Kind: SetReplicas, Number: 3}, Event{At: time.Minute, Kind: SetGPUs, Number: 3})
	s.GPUs, s.Startup = &two, 30*time.Second
	pod := func(k int) func(*policy.Observation) string {
		return func(seen *policy.Observation) string {
			if k >= len(seen.Pods) {
				return "none"
			}
			p := seen.Pods[k]
			return fmt.Sprintf("%s/%s/%s/%s/%t/%d", p.Name, p.Phase, after(p.Since), after(p.Scheduled), p.Served, p.Restarts)
		}
	}
	expectText(t, "a pod of the start", observed(t, s, pod(0)), "pod-0/ready/-/-/true/0x9")
	expectText(t, "a pod with a GPU", observed(t, s, pod(1)), "nonex1 pod-1/loading/15s/15s/false/0x2 pod-1/ready/45s/15s/true/0x6")
	expectText(t, "a pod without one", observed(t, s, pod(2)),
		"nonex1 pod-2/unschedulable/15s/-/false/0x3 pod-2/loading/1m0s/1m0s/false/0x2 pod-2/ready/1m30s/1m0s/true/0x3")
	started := func(seen *policy.Observation) string { return fmt.Sprint(seen.Started) }
	s.Startup = 20 * time.Second // ready at the tick after it
	expectText(t, "startups", observed(t, s, started), "[]x3 [30s]x1 []x2 [30s]x1 []x2")
}

// The cluster places what it has room for. Without a limit nothing is known.
func TestFreeSeen(t *testing.T) {
	free := func(seen *policy.Observation) string {
		return fmt.Sprintf("%d/%t/%s", seen.Free, seen.FreeKnown, seen.Lacking)
	}
	s := still(t, 3).with(Event{At: time.Minute, For: 30 * time.Second, Kind: SetGPUs, Number: 1}, Event{At: 105 * time.Second, Kind: SetReplicas, Number: 4})
	expectText(t, "free for a while", observed(t, s, free), "0/false/x4 0/true/nvidia.com/gpux2 0/false/x3")
	five := 5
	s.GPUs = &five
	expectText(t, "free of five", observed(t, s, free), "2/true/nvidia.com/gpux4 0/true/nvidia.com/gpux2 2/true/nvidia.com/gpux1 1/true/nvidia.com/gpux2")
}

func TestRestarts(t *testing.T) {
	const placed = 20 * time.Second
	for _, c := range []struct {
		lived, sound time.Duration
		want         int
	}{
		{0, never, 0},
		{time.Second - 1, never, 0},
		{time.Second, never, 1},
		{11*time.Second - 1, never, 1},
		{11 * time.Second, never, 2},
		{31 * time.Second, never, 3},
		{71 * time.Second, never, 4},
		{151 * time.Second, never, 5},
		{311*time.Second - 1, never, 5},
		{311 * time.Second, never, 6},
		{611*time.Second - 1, never, 6},
		{611 * time.Second, never, 7},
		{(311 + 300*1000) * time.Second, never, 1006},
		{time.Hour, placed + 31*time.Second, 3}, // over when the crash loop is
		{time.Hour, placed, 0},                  // over before it had a GPU
		{time.Hour, 0, 0},                       // never in one
	} {
		p := pod{placed: true, createdAt: 10 * time.Second, placedAt: placed, sound: c.sound}
		if got := p.restarts(placed + c.lived); got != c.want {
			t.Errorf("after %v of a crash loop until %v: %d restarts, want %d", c.lived, c.sound, got, c.want)
		}
	}
	if waits := (&pod{sound: never}); waits.restarts(time.Hour) != 0 {
		t.Error("a pod without a GPU restarts")
	}
}

// A crash loop is one when all that the newest template has brought crash. Without a rollout the ready pods are of it too.
func TestCrashLoopSeen(t *testing.T) {
	seen := func(seen *policy.Observation) string {
		restarts := 0
		for _, p := range seen.Pods {
			restarts = max(restarts, p.Restarts)
		}
		return fmt.Sprintf("%s/%t/%d", seen.CrashLoop, seen.Rollout, restarts)
	}
	crash := Event{At: 15 * time.Second, For: 45 * time.Second, Kind: CrashLooping}
	s := still(t, 1).with(crash, Event{At: 15 * time.Second, Kind: SetReplicas, Number: 3})
	expectText(t, "new pods crash", observed(t, s, seen), "/false/0x2 /false/2x2 /false/3x5")
	s = still(t, 2).with(crash, Event{At: 15 * time.Second, Kind: Rollout}, Event{At: 45 * time.Second, Kind: SetReplicas, Number: 3})
	// 0:45 a third pod, of the new template, may yet be ready; 1:00 it is over, and the pods start at once; two are replaced by 1:15.
	expectText(t, "a rollout crashes", observed(t, s, seen), "/false/0x1 /true/0x1 CrashLoopBackOff/true/2x1 /true/2x1 /true/3x1 /false/3x4")
	s = still(t, 0).with(crash, Event{At: 15 * time.Second, Kind: SetReplicas, Number: 2})
	one := 1
	s.GPUs = &one
	expectText(t, "all pods crash, one has no GPU", observed(t, s, seen), "/false/0x2 CrashLoopBackOff/false/2x2 /false/3x5")
}

func TestHandSeen(t *testing.T) {
	hand := func(seen *policy.Observation) string {
		kinds := map[policy.HandKind]string{policy.OurHand: "ours", policy.PersonsHand: "person", policy.ResettingHand: "reset", policy.CreatorsHand: "creator"}
		return fmt.Sprintf("%s/%s/%s", kinds[seen.Hand.By], seen.Hand.Manager, after(seen.Hand.Time))
	}
	s := scene(t, 2, 1, "target.running-requests=10", "max-replicas=2").reads(t, policy.RunningRequests, "20").with(
		Event{At: 40*time.Second + 300*time.Millisecond, Kind: ResetReplicas, Number: 1},
		Event{At: 70 * time.Second, Kind: ResetReplicas, Number: 1, Manager: "flux"},
		Event{At: 90 * time.Second, Kind: SetReplicas, Number: 2}, // they are 2: no trace
		Event{At: 100 * time.Second, Kind: SetReplicas, Number: 0},
	)
	expectText(t, "hands", observed(t, s, hand),
		"creator//-x1 ours/gpuscaler/0sx2 reset/helm/40sx1 ours/gpuscaler/45sx1 reset/flux/1m10sx1 ours/gpuscaler/1m15sx1 person/kubectl/1m40sx2")
}

// In dry-run a conflict is seen, and the decision is computed all the same.
func TestConflictSeen(t *testing.T) {
	rival := func(seen *policy.Observation) string { return fmt.Sprintf("%q/%s", seen.Rival, seen.Frozen) }
	s := scene(t, 1, 1, "target.running-requests=10", "max-replicas=2").reads(t, policy.RunningRequests, "20").with(
		Event{For: 15 * time.Second, Kind: Conflicting, Name: "hpa/llm"}, Event{At: 30 * time.Second, For: 15 * time.Second, Kind: Conflicting},
	)
	expectText(t, "rivals", observed(t, s, rival), `"hpa/llm"/Conflictx1 ""/x1 "another autoscaler"/Conflictx1 ""/x2`)
	expectText(t, "replicas", replicas(simulated(t, s)), "1x2 2x3")
	s.Spec.DryRun = true
	expectText(t, "rivals of a dry run", observed(t, s, rival), `"hpa/llm"/x1 ""/x1 "another autoscaler"/x1 ""/x2`)
	if tick := simulated(t, s).Ticks[0]; tick.Desired != 2 {
		t.Errorf("a dry run wants %d during a conflict, want 2", tick.Desired)
	}
	s.Spec.DryRun, s.Disabled = false, true
	expectText(t, "rivals of a Deployment that is left alone", observed(t, s, rival), `"hpa/llm"/x1 ""/x1 "another autoscaler"/x1 ""/x2`)
}

// A workload signal is read without any pod: it is what wakes a Deployment.
func TestWorkloadSignalAtZero(t *testing.T) {
	s := scene(t, 1, 0, "min-replicas=0", "idle-after=5m", "activate-on=gateway-queue > 0", "query.gateway-queue=q", "target.running-requests=10")
	s.Workload = []WorkloadSignal{{Signal: "gateway-queue", Series: series(t, "0x1 3")}}
	read := func(seen *policy.Observation) string {
		r := seen.Readings[0]
		return strings.Join([]string{fmt.Sprint(seen.Replicas, len(seen.Pods)), fmt.Sprint(r.PerWorkload, r.Workload.OK, r.Workload.Value)}, "/")
	}
	s.Disabled = true
	expectText(t, "readings", observed(t, s, read), "0 0/true true 0x2 0 0/true true 3x3")
}
