package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/gpuscaler/gpuscaler/policy"
)

// offer lets the bed's nodes be known: one with so many GPUs. All Deployments that are shown want one for each pod.
func (b *bed) offer(gpus int) {
	b.t.Helper()
	_ = b.watches.places.bookings.Replace(nil, "1")
	b.watches.places.list(apiNode("n1", list("pods", "110", gpu, fmt.Sprint(gpus))))
	for _, d := range b.watches.deployments[0].all(nil) {
		fresh := *d
		fresh.placing = placing{shape: shapeOf(wants(gpu, "1")), judged: true}
		b.version++
		fresh.version = fmt.Sprint(b.version)
		_ = b.watches.deployments[0].Update(&fresh)
	}
}

// free tells how many pods each workload was told could be placed.
func free(s *Snapshot) string {
	var all []string
	for i := range s.Workloads {
		w := &s.Workloads[i]
		text := fmt.Sprintf("%s:%d", w.Name, w.Free)
		if !w.FreeKnown {
			text = w.Name + ":?"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestFreeIsObserved(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 2, asks(policy.RunningRequests))
	if got := free(b.tick(0)); got != "a:?" {
		t.Errorf("free %q before nodes are known", got)
	}
	b.offer(5)
	if got := free(b.tick(1)); got != "a:5" {
		t.Errorf("free %q, want 5", got)
	}
}

// Replicas that have no node yet have their places; a pod that found none and one that is refused have not.
func TestReplicasWithoutANodeKeepTheirPlaces(t *testing.T) {
	for name, tt := range map[string]struct {
		show func(b *bed)
		want string
	}{
		"none": {func(*bed) {}, "a:8 b:8"},
		"pods that are not looked at yet": {func(b *bed) {
			_ = b.members.pods.Update(&pod{meta: meta{"ns", "a-2", ""}, replicaSet: "uid-a-rs", phase: policy.Loading})
			b.show("a", "uid-a", 3, asks(policy.RunningRequests))
		}, "a:8 b:7"},
		"pods that load": {func(b *bed) {
			_ = b.members.pods.Update(&pod{meta: meta{"ns", "a-2", ""}, replicaSet: "uid-a-rs", phase: policy.Loading, scheduled: 1})
			b.show("a", "uid-a", 3, asks(policy.RunningRequests))
		}, "a:8 b:8"},
		"unschedulable pods": {func(b *bed) {
			_ = b.members.pods.Update(&pod{meta: meta{"ns", "a-2", ""}, replicaSet: "uid-a-rs", phase: policy.Unschedulable})
			b.show("a", "uid-a", 3, asks(policy.RunningRequests))
		}, "a:8 b:8"},
		"replicas without pods": {func(b *bed) { b.show("a", "uid-a", 5, asks(policy.RunningRequests)) }, "a:8 b:5"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.reader.set(policy.RunningRequests, 50)
			b.deploy("a", 2, asks(policy.RunningRequests))
			b.deploy("b", 2, asks(policy.RunningRequests))
			tt.show(b)
			b.offer(8)
			if got := free(b.tick(0)); got != tt.want {
				t.Errorf("free %q, want %q", got, tt.want)
			}
		})
	}
}

// What is written and not yet in the cache is as good as there; what a quota refuses is not coming.
func TestWaitingReplicas(t *testing.T) {
	m := &members{sets: &store[*replicaSet]{}, pods: &store[*pod]{}}
	d := &deployment{uid: "a", replicas: 2}
	var o observer
	for name, tt := range map[string]struct {
		change func(*target)
		want   int
	}{
		"no pods":         {func(*target) {}, 2},
		"settled":         {func(t *target) { t.seen.settled = true }, 0},
		"being written":   {func(t *target) { t.writing, t.decision.Desired, t.seen.settled = true, 5, true }, 5},
		"written":         {func(t *target) { t.awaited, t.decision.Desired = "7", 5 }, 5},
		"maybe written":   {func(t *target) { t.unsure, t.decision.Desired = &outcome{}, 5 }, 5},
		"being lowered":   {func(t *target) { t.writing, t.decision.Desired = true, 1 }, 2},
		"decided, failed": {func(t *target) { t.decision.Desired = 5 }, 2},
		"refused":         {func(t *target) { t.seen.refusal = "quota" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			seen := *d
			target := newTarget()
			target.seen = &seen
			tt.change(target)
			if got := o.waiting(target, m); got != tt.want {
				t.Errorf("%d wait, want %d", got, tt.want)
			}
		})
	}
}

// The first in order counts on all places, the next on what is left.
func TestTargetsThatWantTheSamePlaces(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100) // each pod has twice its target
	for _, name := range []string{"a", "b", "c"} {
		b.deploy(name, 2, asks(policy.RunningRequests))
	}
	b.deploy("calm", 2, asks(policy.RunningRequests, "max-replicas", "2"))
	b.offer(3)
	s := b.tick(0)
	if got := free(s); got != "a:3 b:1 c:0 calm:3" {
		t.Errorf("free %q, want 2 of 3 for a, 1 for b and none for c", got)
	}
	for _, made := range b.scaler.made() {
		if strings.HasPrefix(made, "calm") {
			t.Errorf("change %q of one that asks for none", made)
		}
	}
	if made := slices.Compact(slices.Sorted(slices.Values(b.scaler.made()))); len(made) != len(b.scaler.made()) {
		t.Errorf("changes %q, want each once", made)
	}
	for _, target := range b.targets {
		if target.raise != nil {
			t.Errorf("%s keeps what it decided from beyond the tick", target.seen.name)
		}
	}
}

func TestUrgency(t *testing.T) {
	one := func(name string, minimum, placed, recommended int) *target {
		t := newTarget()
		t.seen, t.raise = &deployment{meta: meta{"ns", name, ""}}, &raise{placed: placed}
		t.spec = &policy.Spec{MinReplicas: minimum}
		t.decision.Recommended.Replicas = recommended
		return t
	}
	list := []*target{
		one("a-3-of-4", 1, 3, 4), one("b-1-of-2", 1, 1, 2), one("c-2-of-4", 1, 2, 4), one("d-5-of-6-below", 6, 5, 6),
		one("e-1-of-4", 1, 1, 4), one("f-0-of-1-below", 1, 0, 1), one("g-nothing-asked", 0, 0, 0),
	}
	slices.SortStableFunc(list, urgency)
	var names []string
	for _, t := range list {
		names = append(names, t.seen.name)
	}
	want := []string{"f-0-of-1-below", "d-5-of-6-below", "g-nothing-asked", "e-1-of-4", "b-1-of-2", "c-2-of-4", "a-3-of-4"}
	if !slices.Equal(names, want) {
		t.Errorf("order %q, want %q", names, want)
	}
}

// One that raises and contends with nobody is decided once, and goes out in the same tick as ever.
func TestWhoDoesNotContendIsDecidedOnce(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	for _, name := range []string{"a", "b", "c"} {
		b.deploy(name, 1, asks(policy.RunningRequests))
	}
	b.offer(3)
	if got := free(b.tick(0)); got != "a:3 b:3 c:3" {
		t.Errorf("free %q, want that there is enough for all", got)
	}
	if made := b.scaler.made(); len(made) != 3 {
		t.Errorf("changes %q, want three", made)
	}
}

// One that writes nothing takes no places from those that do.
func TestDryRunTakesNoPlaces(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 100)
	b.deploy("a", 4, asks(policy.RunningRequests, "dry-run", "true"))
	b.deploy("b", 1, asks(policy.RunningRequests))
	b.offer(1)
	if got := free(b.tick(0)); got != "a:1 b:1" {
		t.Errorf("free %q, want that a takes nothing", got)
	}
	b.want("b 1->2")
}

// The Observation that is kept shares no memory with the worker that made it.
func TestRaiseKeepsItsOwnObservation(t *testing.T) {
	seen := policy.Observation{
		Pods:     []policy.Pod{{Name: "a"}},
		Readings: []policy.Reading{{Signal: policy.QueueDepth, Samples: []policy.Sample{{Value: 1, OK: true}}}},
	}
	r := newRaise(&policy.State{}, seen, []*pod{{phase: policy.Ready}, {phase: policy.Loading, scheduled: 1}, {phase: policy.Loading}})
	seen.Pods[0].Name, seen.Readings[0].Samples[0].Value, seen.Readings[0].Signal = "b", 2, policy.KVCache
	if r.seen.Pods[0].Name != "a" || r.seen.Readings[0].Signal != policy.QueueDepth || r.seen.Readings[0].Samples[0].Value != 1 {
		t.Errorf("got %+v, want what was seen", r.seen)
	}
	if r.placed != 2 {
		t.Errorf("%d placed, want the Ready one and the one with a node", r.placed)
	}
}
