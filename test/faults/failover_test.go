package faults

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofLeaders are the faults of the controller's own processes: they die, sleep, or are two.
var ofLeaders = []row{
	{
		number: 27, fault: "The leader is killed inside a scale-down window, with its raises used up",
		promise: "the next leader raises no more than was left, and lowers when the window ends, not sooner and not later",
		guard:   noCheckpoint, play: killedInAWindow,
	},
	{
		number: 27, fault: "The only controller is killed and started again, without a checkpoint",
		promise: "nothing is lowered for a full window, then it goes on",
		guard:   noSeed, play: killedAndRestarted,
	},
	{
		number: 27, fault: "Someone overwrites the checkpoint",
		promise: "it says which part it ignores, lowers nothing for a full window, goes on, and writes a good one",
		guard:   noSeed, play: brokenCheckpoint,
	},
	{
		number: 28, fault: "The leader is killed and another waits",
		promise: "the next one writes in less than 20 s, and never both; a leader that ends in order hands over within seconds",
		guard: &mutant.Mutation{Name: "the lease outlives its holder by a minute", Edits: []mutant.Edit{{
			File: "controller/lease.go", Old: "LeaseDuration:   leaseDuration,",
			New: "LeaseDuration: map[bool]time.Duration{false: leaseDuration, true: time.Minute}[mutant == N],",
		}}},
		play: leaderKilled,
	},
	{
		number: 28, fault: "The leader sleeps for 30 s, and wakes when another leads",
		promise: "the other takes over; the one that wakes writes nothing any more",
		guard:   noLeaseEnds, play: leaderSleeps,
	},
	{
		number: 28, fault: "Two controllers at once, without an election",
		promise: "the replicas are those of a single one within a step, for two minutes: what the other writes counts against the limits",
		guard:   noOthersWrites, play: twoLeaders,
	},
	{
		number: 28, fault: "The clock of the machine is set an hour forward, and back",
		promise: "ticks go on, and a scale-down window lasts as long as ever",
		guard: &mutant.Mutation{Name: "windows are measured by the wall clock", Edits: []mutant.Edit{{
			File: "controller/run.go", Old: "		c.Tick(ctx, at)", New: "		if mutant == N { at = at.Round(0) }\n		c.Tick(ctx, at)",
		}}},
		play: rigged(clockJumps),
	},
}

var noCheckpoint = &mutant.Mutation{Name: "a new leader does not read the checkpoint", Edits: []mutant.Edit{{
	File: "controller/failover.go", Old: "	unknown := c.Recall(all)", New: "	if mutant == N { all = Memory{} }\n	unknown := c.Recall(all)",
}}}

var noOthersWrites = &mutant.Mutation{Name: "what another process of ours writes counts against no limit", Edits: []mutant.Edit{{
	File: "policy/hands.go", Old: "s.Events = append(slices.Clip(s.Events), ScaleEvent{Change: seen.Replicas - before, Time: at})",
	New: "if mutant != N { s.Events = append(slices.Clip(s.Events), ScaleEvent{Change: seen.Replicas - before, Time: at}) }",
}}}

var noLeaseEnds = &mutant.Mutation{Name: "a leader believes in its lease for ever", Edits: []mutant.Edit{
	{File: "controller/lease.go", Old: "		l.renewed.Store(nil)", New: "		if mutant != N { l.renewed.Store(nil) }"},
	{
		File: "controller/lease.go", Old: "age >= renewDeadline {\n		return",
		New: "age >= renewDeadline {\n		if mutant == N { return now.Add(time.Minute), nil }\n		return",
	},
	{
		File: "controller/run.go", Old: "	case <-ended:\n		stop()\n		<-looped", New: "	case <-ended:\n		if mutant == N { <-looped }\n		stop()\n		<-looped",
	},
}}

var noSeed = &mutant.Mutation{Name: "who remembers nothing lowers at once", Edits: []mutant.Edit{{
	File: "policy/decide.go", Old: "state.seed(seen.Replicas, now)", New: "if mutant != N { state.seed(seen.Replicas, now) }",
}}}

// named starts a controller that takes part in the election of an installation of its own, with a tick each second.
func (w *world) named(name, ns, prometheus string) *stage.Process {
	w.Helper()
	return w.run(stage.Cluster.Config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", prometheus,
		"--leader-elect", "--controller-name", name)
}

// scene is a Deployment of four replicas with 50 percent each, which is what it asks for, and the Prometheus that knows it.
func (w *world) scene(name string, annotations ...string) (ns string, d stage.Deployment, l *stage.Load, p *prom.Server) {
	w.Helper()
	p = stage.StartPrometheus(w, false)
	ns = stage.Namespace(w, name)
	l = stage.NewLoad(200)
	d = stage.Create(w, ns, "vision", 4, stage.GPUAnnotations(annotations...), l)
	sampled(w, p, ns, 50, 4)
	return ns, d, l, p
}

// sampled waits until Prometheus knows that so many pods of a namespace read a utilization.
func sampled(t testing.TB, p *prom.Server, ns string, utilization float64, pods int) {
	t.Helper()
	stage.Sampled(t, p, fmt.Sprintf("count(DCGM_FI_DEV_GPU_UTIL{exported_namespace=%q} == %g)", ns, utilization), float64(pods))
}

func killedInAWindow(w *world) {
	ns, d, l, p := w.scene("window", "scale-down.stabilization", "45s")
	limited := stage.Create(w, ns, "limited", 4, stage.GPUAnnotations("scale-up.policies", "1 pod/5m"), stage.NewLoad(400))
	stage.AllowName(w, "window")
	leader, standby := stage.LeaderOf(w, w.named("window", ns, p.URL()), w.named("window", ns, p.URL()))
	limited.WaitReplicas(5, 15*time.Second)
	limited.WaitReason(leader, "ScaleUpLimit")
	d.WaitReason(leader, "WithinTolerance")
	l.SetLoad(40)
	d.WaitReason(leader, "ScaleDownStabilized")
	began := time.Now()
	d.HoldsReplicas(4, 7*time.Second) // longer than between two checkpoints
	leader.Kill()
	d.HoldsReplicas(4, 43*time.Second-time.Since(began))
	d.WaitReplicas(1, 15*time.Second)
	if took := time.Since(began); took > 52*time.Second {
		w.Errorf("lowered after %s, want when the window of 45 s ended", took)
	}
	if !standby.Leads() || !strings.Contains(standby.Output(), "Going on from the checkpoint") {
		w.Error("the standby does not lead, or does not say that it goes on from the checkpoint")
	}
	if got := limited.Replicas(); got != 5 {
		w.Errorf("%d replicas where a raise to 5 had used up what five minutes allow", got)
	}
}

func killedAndRestarted(w *world) {
	ns, d, l, p := w.scene("killed", "scale-down.stabilization", "8s")
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	l.SetLoad(20)
	program.Kill()
	sampled(w, p, ns, 5, 4)
	program = w.runs(ns, p.URL())
	restarted := time.Now()
	d.WaitReason(program, "ScaleDownStabilized")
	d.WaitReplicas(1, 30*time.Second)
	// The window counts from the first tick, whose time is the last multiple of the interval.
	if took := time.Since(restarted); took < 7*time.Second {
		w.Errorf("lowered %s after the restart, want a full window of 8 s", took)
	}
	l.SetLoad(100)
	d.WaitReplicas(2, 15*time.Second)
}

func brokenCheckpoint(w *world) {
	ns, d, l, p := w.scene("broken", "scale-down.stabilization", "15s")
	stage.AllowName(w, "broken")
	first := w.named("broken", ns, p.URL())
	d.WaitReason(first, "WithinTolerance")
	checkpoint := func() error { return bed.Want("ConfigMaps", len(stage.Checkpoints(w, "broken")), 1) }
	bed.WaitFor(w, 15*time.Second, "a checkpoint", checkpoint)
	first.Kill()
	l.SetLoad(40)
	client := stage.Cluster.Client().CoreV1().ConfigMaps(install.Namespace)
	stored, err := client.Get(w.Context(), stage.Checkpoints(w, "broken")[0], metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	stored.BinaryData = map[string][]byte{"checkpoint.json.gz": []byte("not of ours")}
	if stored, err = client.Update(w.Context(), stored, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	second := w.named("broken", ns, p.URL())
	bed.WaitFor(w, 30*time.Second, "the next leader", func() error { return bed.Want("leads", second.Leads(), true) })
	leads := time.Now()
	d.WaitReplicas(1, 40*time.Second)
	if took := time.Since(leads); took < 13*time.Second {
		w.Errorf("lowered %s after it led, want a full window of 15 s", took)
	}
	if out := second.Output(); !strings.Contains(out, "A part of the checkpoint is ignored") || !strings.Contains(out, stored.Name) {
		w.Error("no warning names the part that is ignored")
	}
	bed.WaitFor(w, 15*time.Second, "a good checkpoint", func() error {
		now, err := client.Get(w.Context(), stored.Name, metav1.GetOptions{})
		if err == nil && now.ResourceVersion == stored.ResourceVersion {
			err = fmt.Errorf("version is still %s", stored.ResourceVersion)
		}
		return err
	})
}

func leaderKilled(w *world) {
	ns, d, l, p := w.scene("leader")
	stage.AllowName(w, "leader")
	one, other := w.named("leader", ns, p.URL()), w.named("leader", ns, p.URL())
	leader, standby := stage.LeaderOf(w, one, other)
	d.WaitReason(standby, "WithinTolerance") // a standby forwards to the leader
	l.SetLoad(300)
	d.WaitReplicas(6, 15*time.Second)
	d.WaitReady(6)
	d.WantWrites(1)

	leader.Kill()
	killed := time.Now()
	l.SetLoad(400)
	d.WaitReplicas(8, 40*time.Second)
	if took := time.Since(killed); took > 20*time.Second {
		w.Errorf("the other took over after %s, want under 20 s", took)
	}
	if !standby.Leads() {
		w.Error("the standby does not say that it leads now")
	}
	d.WantWrites(2)

	// A leader that ends in order hands over at once.
	next := w.named("leader", ns, p.URL())
	standby.Stop(w)
	stopped := time.Now()
	bed.WaitFor(w, 20*time.Second, "the next leader", func() error { return bed.Want("leads", next.Leads(), true) })
	if took := time.Since(stopped); took > 10*time.Second {
		w.Errorf("an orderly handover took %s, want a few seconds", took)
	}
}

func leaderSleeps(w *world) {
	ns, d, l, p := w.scene("sleeps")
	stage.AllowName(w, "sleeps")
	one, other := w.named("sleeps", ns, p.URL()), w.named("sleeps", ns, p.URL())
	leader, standby := stage.LeaderOf(w, one, other)
	d.WaitReason(leader, "WithinTolerance")
	leader.Suspend()
	slept := time.Now()
	l.SetLoad(300)
	d.WaitReplicas(6, 20*time.Second+time.Second)
	d.WaitReason(standby, "WithinTolerance")
	time.Sleep(time.Until(slept.Add(30 * time.Second)))

	// The one that wakes is alone for as long as the other's lease lasts, and sees a load that asks for more.
	standby.Suspend()
	l.SetLoad(400)
	writes := len(d.Writes())
	leader.Resume()
	bed.Holds(w, 7*time.Second, "no write of the one that woke", func() error { return bed.Want("writes", len(d.Writes()), writes) })
	standby.Resume()
	d.WaitReplicas(8, 30*time.Second)
	d.WantWrites(writes + 1)
}

// trace follows the replicas of a Deployment until the row ends.
type trace struct {
	stage.Deployment
	at       []time.Time
	replicas []int
}

func twoLeaders(w *world) {
	p := stage.StartPrometheus(w, false)
	limits := []string{
		"scale-up.policies", "1 pod/10s", "scale-down.policies", "1 pod/10s", "scale-down.stabilization", "3s",
	}
	names := []string{"single", "double"}
	traces, loads := make([]trace, len(names)), make([]*stage.Load, len(names))
	for i, name := range names {
		ns := stage.Namespace(w, name)
		loads[i] = stage.NewLoad(100)
		traces[i].Deployment = stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(limits...), loads[i])
		var programs []*stage.Process
		for range i + 1 {
			programs = append(programs, w.runs(ns, p.URL()))
		}
		for _, program := range programs {
			traces[i].WaitReason(program, "WithinTolerance")
		}
	}
	began := time.Now()
	for _, phase := range []float64{300, 100, 250, 400} {
		for _, l := range loads {
			l.SetLoad(phase)
		}
		for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(500 * time.Millisecond) {
			for i := range traces {
				traces[i].at = append(traces[i].at, time.Now())
				traces[i].replicas = append(traces[i].replicas, traces[i].Replicas())
			}
		}
	}
	single, double := traces[0], traces[1]
	for i, at := range double.at {
		least, most := single.within(at.Add(-3*time.Second), at.Add(3*time.Second))
		if got := double.replicas[i]; got < least-1 || got > most+1 {
			w.Errorf("%s after the beginning two leaders have %d replicas, one has %d to %d\n one: %v\n two: %v",
				at.Sub(began).Round(time.Second), got, least, most, single.replicas, double.replicas)
			return
		}
	}
}

// within returns the least and the most replicas in a time.
func (t *trace) within(from, to time.Time) (least, most int) {
	least = 1 << 30
	for i, at := range t.at {
		if !at.Before(from) && !at.After(to) {
			least, most = min(least, t.replicas[i]), max(most, t.replicas[i])
		}
	}
	return least, most
}
