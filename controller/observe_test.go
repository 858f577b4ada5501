package controller

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unique"

	"github.com/go-logr/logr/funcr"

	"github.com/gpuscaler/gpuscaler/policy"
)

// observe is what the n-th tick would see of the Deployment a.
func (b *bed) observe(n int) policy.Observation {
	b.t.Helper()
	p := b.begin(noon.Add(time.Duration(n) * 5 * time.Second))
	t := b.targets[b.watches.deployments[0].get(key{"ns", "a"}).uid]
	p.settling()
	p.readAll(b.t.Context())
	p.readTimes(b.t.Context())
	p.await(b.t.Context(), []*target{t})
	var o observer
	o.gather(t, b.members)
	o.account(t, p.now, p.elapsed, p.took, b.metrics.startup.Observe)
	return o.observe(t, p)
}

// pod changes a pod of the Deployment a, or adds one.
func (b *bed) pod(name string, change func(*pod)) {
	b.t.Helper()
	p := &pod{meta: meta{"ns", name, ""}}
	if old := b.members.pods.get(key{"ns", name}); old != nil {
		c := *old
		p = &c
	} else {
		p.replicaSet = b.members.sets.get(key{"ns", "a-rs"}).uid
	}
	change(p)
	if err := b.members.pods.Update(p); err != nil {
		b.t.Fatal(err)
	}
}

func TestObservation(t *testing.T) {
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 2, asks(policy.RunningRequests))
	d := *b.watches.deployments[0].get(key{"ns", "a"})
	d.hand = policy.Hand{By: policy.PersonsHand, Manager: "kubectl", Time: noon}
	d.replicas, d.refusal, d.version = 3, "exceeded quota: gpus", "77"
	if err := b.watches.deployments[0].Update(&d); err != nil {
		t.Fatal(err)
	}
	_ = b.members.sets.Update(&replicaSet{meta: meta{"ns", "a-new", "1"}, uid: "new", deployment: d.uid, revision: 2})
	b.pod("a-9", func(p *pod) {
		p.replicaSet, p.phase, p.scheduled, p.since, p.restarts = "new", policy.Loading, noon.Unix(), noon.Unix()+60, 3
		p.crash = waitingFor("ErrImagePull")
	})
	seen := b.observe(1)
	want := policy.Pod{Name: "a-9", Phase: policy.Loading, Since: noon.Add(time.Minute), Scheduled: noon, Restarts: 3}
	i := slices.IndexFunc(seen.Pods, func(p policy.Pod) bool { return p.Name == "a-9" })
	got := seen.Pods[i]
	got.Since, got.Scheduled = got.Since.UTC(), got.Scheduled.UTC()
	if got != want {
		t.Errorf("pod %+v, want %+v", got, want)
	}
	told := []any{seen.Rollout, seen.CrashLoop, seen.Refused, seen.Lacking, seen.Hand.Manager}
	if !slices.Equal(told, []any{true, "ErrImagePull of a-9", true, "exceeded quota: gpus", "kubectl"}) {
		t.Errorf("seen %+v, want a rollout that crashes, refused pods and a person's hand", seen)
	}
	d.refusal = ""
	d.version = "78"
	_ = b.watches.deployments[0].Update(&d)
	b.pod("a-9", func(p *pod) { p.phase, p.lacking = policy.Unschedulable, unique.Make("1 Insufficient nvidia.com/gpu") })
	if seen := b.observe(2); seen.Refused || seen.Lacking != "1 Insufficient nvidia.com/gpu" || seen.CrashLoop != "" {
		t.Errorf("seen %+v, want what the scheduler lacks", seen)
	}
}

// Startups come from the pods there are when nothing is remembered, and then from those that become Ready.
func TestStartedIsToldOnce(t *testing.T) {
	begin := noon.Unix()
	b := newBed(t)
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 0, asks(policy.RunningRequests))
	ready := func(startup int64, restarts uint8) func(*pod) {
		return func(p *pod) {
			p.phase, p.served, p.scheduled, p.since, p.restarts = policy.Ready, true, begin-9000, begin-9000+startup, restarts
		}
	}
	b.pod("a-0", ready(42, 0))
	b.pod("a-1", ready(50, 1))   // it was restarted
	b.pod("a-2", ready(7200, 0)) // it was Ready before, surely
	b.pod("a-3", func(*pod) {})  // loads
	want := func(n int, list ...time.Duration) {
		t.Helper()
		if got := b.observe(n).Started; !slices.Equal(got, list) {
			t.Errorf("started %v, want %v", got, list)
		}
	}
	want(0, 42*time.Second)
	b.tick(0)
	want(1)
	b.pod("a-3", ready(30, 0))
	b.targets["uid-a"].writing = true // a decision cannot be made now: it is told later
	b.tick(2)
	b.targets["uid-a"].writing = false
	want(3, 30*time.Second)
	want(4)
}

// The last decision knows best how long a startup takes.
func TestGPUTimeOfOverduePodsFollowsTheDecision(t *testing.T) {
	for name, tt := range map[string]struct {
		startup  time.Duration
		age      int64
		restarts uint8
		overdue  bool
	}{
		"not known, young":           {0, 400, 0, false},
		"not known, old":             {0, 460, 0, true},
		"learned, young":             {20 * time.Second, 25, 0, false},
		"learned, old":               {20 * time.Second, 40, 0, true},
		"learned long":               {20 * time.Minute, 460, 0, false},
		"restarted twice, and young": {0, 10, 2, true},
	} {
		tgt := &target{decision: &policy.Decision{Fleet: policy.Fleet{Startup: tt.startup}}}
		o := observer{found: []*pod{{scheduled: noon.Unix() - tt.age, gpus: 2, restarts: tt.restarts}}}
		o.account(tgt, noon, 5*time.Second, nil, nil)
		want := GPUSeconds{Loading: 10}
		if tt.overdue {
			want = GPUSeconds{Overdue: 10}
		}
		if tgt.gpuSeconds != want {
			t.Errorf("%s: %+v, want %+v", name, tgt.gpuSeconds, want)
		}
	}
}

// Notes are told as Events by their own words, once, and also while no pod is ready.
func TestNotesAreTold(t *testing.T) {
	var lines []string // of decisions
	log := funcr.New(func(_, args string) {
		if strings.Contains(args, `"msg"="Decided"`) {
			lines = append(lines, args)
		}
	}, funcr.Options{})
	b := newBed(t, func(o *Options) { o.Logger = log })
	events := b.withEvents()
	b.reader.set(policy.RunningRequests, 50)
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.tick(0)
	b.run("a", "uid-a", 1, policy.Loading)
	b.pod("a-0", func(p *pod) { p.scheduled = noon.Unix() })
	b.tick(1)
	tgt := b.targets["uid-a"]
	tell := func(second int, notes ...policy.Note) {
		tgt.note, tgt.decision.Notes, tgt.decision.Time = "", notes, noon.Add(time.Duration(second)*time.Second)
		b.tell(tgt)
	}
	lines = nil
	overdue := policy.Note{Reason: policy.Overdue, Text: "1 pod should be Ready by now"}
	tell(100, overdue)
	tell(200, overdue)
	tell(300, overdue, policy.Note{Reason: policy.GaveBack, Text: "2 were given back"})
	tell(400, policy.Note{Reason: policy.LoadingPods, Text: "of no Event"})
	want := []string{"Warning Overdue 1 pod should be Ready by now", "Normal GaveBack 2 were given back"}
	if got := drain(events); !slices.Equal(got, want) {
		t.Errorf("Events %q, want %q", got, want)
	}
	if len(lines) != 3 {
		t.Errorf("log %q, want a line for each change of what is noted", lines)
	}
}

// Each reason that an Event tells of is one of the closed list, and the contract's.
func TestEventTypesAreReasons(t *testing.T) {
	for r := range eventTypes {
		if !slices.Contains(reasons, r) {
			t.Errorf("%s is no reason", r)
		}
	}
	for _, r := range strings.Fields("Overdue Unschedulable GaveBack CrashLoop NotResponding Stalled Conflict Override ReplicasReset Idle Activated") {
		if eventTypes[policy.Reason(r)] == "" {
			t.Errorf("no Event tells of %s", r)
		}
	}
}
