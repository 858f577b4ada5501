package faults

import (
	"net/http"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofAPIServer are the faults of the API server as a whole: it is away, overloaded, or tells nothing.
var ofAPIServer = []row{
	{
		number: 18, fault: "The API server is away, and a Deployment is paused meanwhile",
		promise: "the program stays; nothing is written until the Deployments are watched again and a tick has passed; then it goes on by itself within 30 s",
		guard: &mutant.Mutation{Name: "it writes while nobody watches the Deployments", Edits: []mutant.Edit{{
			File: "controller/settle.go", Old: `return t.outdated != "" ||`, New: `return mutant != N && t.outdated != "" ||`,
		}}},
		play: awayWhilePaused,
	},
	{
		number: 18, fault: "The Lease cannot be renewed, all else works",
		promise: "after 10 s nothing is written any more; the program ends and says why; started anew it leads again by itself",
		guard:   noLeaseEnds, play: leaseLost,
	},
	{
		number: 23, fault: "The watch of the Deployments tells nothing any more and stays open",
		promise: "no decision as long as the own last write has not been seen, and it says so, also by a metric",
		guard: &mutant.Mutation{Name: "it decides before it has seen its own last write", Edits: []mutant.Edit{{
			File: "controller/target.go", Old: `	case t.awaited != "" && now.Before(t.awaitedUntil):`, New: `	case mutant != N && t.awaited != "" && now.Before(t.awaitedUntil):`,
		}}},
		play: unseenWrite,
	},
	{
		number: 23, fault: "The watch of the Deployments never tells anything again",
		promise: "it is noticed by the own write that does not show; the Deployments are listed anew and it goes on within 30 s",
		guard: &mutant.Mutation{Name: "a watch that is stuck is waited for", Edits: []mutant.Edit{{
			File: "controller/stale.go", Old: "	if t.owed.IsZero() ||", New: "	if mutant == N || t.owed.IsZero() ||",
		}}},
		play: stuckWatch,
	},
}

// scales are the writes of replicas.
func scales(c *bed.Call) bool {
	return c.Verb == "patch" && c.Resource == "deployments" && c.Subresource == "scale"
}

// deploymentWatches are the watches of Deployments.
func deploymentWatches(c *bed.Call) bool { return c.Verb == "watch" && c.Resource == "deployments" }

// everything is each request.
func everything(*bed.Call) bool { return true }

// distant is a program that reaches the API server through a gateway, and two replicas whose load is at their target.
type distant struct {
	*world
	gateway *bed.Gateway
	program *stage.Process
	load    *stage.Load
	d       stage.Deployment
}

// distant starts one.
func (w *world) distant(annotations ...string) *distant {
	w.Helper()
	p := stage.StartPrometheus(w, false)
	s := &distant{world: w, load: stage.NewLoad(100)}
	ns := stage.Namespace(w, "api")
	s.d = stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(annotations...), s.load)
	var config string
	s.gateway, config = stage.Gatewayed(w)
	s.program = w.run(config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect=false")
	s.d.WaitReason(s.program, "WithinTolerance")
	return s
}

// hasSeries waits until the program's metrics have that line.
func (s *distant) hasSeries(line string) {
	s.Helper()
	bed.WaitFor(s, 10*time.Second, line, func() error {
		return bed.Want("is there", strings.Contains(string(page(s.world, s.program)), "\n"+line+"\n"), true)
	})
}

// The way back is open to writes before it is to watches: what has happened meanwhile is not known yet.
func awayWhilePaused(w *world) {
	s := w.distant()
	load := stage.NewLoad(100)
	// Its pods read nothing at first, and the program runs already.
	free := stage.Create(w, s.d.Namespace, "free", 2, stage.GPUAnnotations("scale-down.select-policy", "disabled"), load)
	free.WaitReason(s.program, "WithinTolerance")
	s.gateway.Break(everything, bed.Refused)
	s.gateway.Cut(everything)
	s.d.WaitSays(s.program, "watching Deployments")
	s.load.SetLoad(200)
	load.SetLoad(200)
	s.d.Annotate("paused", "true")
	s.d.HoldsReplicas(2, 2*time.Second)

	s.gateway.Break(func(c *bed.Call) bool { return !scales(c) }, bed.Refused)
	s.d.HoldsReplicas(2, 6*time.Second)
	s.gateway.Heal()
	free.WaitReplicas(4, 30*time.Second)
	s.d.WaitReason(s.program, "Paused")
	s.d.WantWrites(0)
	free.WantWrites(1)
	s.d.Annotate("paused", "false")
	s.d.WaitReplicas(4, 20*time.Second)
}

func leaseLost(w *world) {
	p := stage.StartPrometheus(w, false)
	load := stage.NewLoad(100)
	ns := stage.Namespace(w, "lease")
	d := stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(), load)
	gateway, config := stage.Gatewayed(w)
	stage.AllowName(w, ns)
	start := func() *stage.Process {
		return w.run(config, "run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL(), "--leader-elect", "--controller-name", ns)
	}
	first := start()
	d.WaitReason(first, "WithinTolerance")
	gateway.Break(func(c *bed.Call) bool { return c.Resource == "leases" }, bed.Answer(http.StatusInternalServerError, metav1.StatusReasonInternalError, 0))
	d.HoldsReplicas(2, 11*time.Second) // a Lease that was renewed just before counts for 10 s
	load.SetLoad(200)
	d.HoldsReplicas(2, 6*time.Second)
	bed.WaitFor(w, 20*time.Second, "the end", func() error {
		return bed.Want("says why it ends", strings.Contains(first.Output(), "the lease was lost"), true)
	})
	d.WantWrites(0)

	gateway.Heal()
	second := start()
	bed.WaitFor(w, 30*time.Second, "the new leader", func() error { return bed.Want("leads", second.Leads(), true) })
	d.WaitReplicas(4, 20*time.Second)
}

func unseenWrite(w *world) {
	s := w.distant("max-replicas", "12")
	s.gateway.Hold(deploymentWatches)
	s.load.SetLoad(200)
	s.d.WaitReplicas(4, 20*time.Second)
	s.load.SetLoad(400)
	s.d.HoldsReplicas(4, 4*time.Second)
	s.d.WantWrites(1)
	s.d.WaitSays(s.program, "the last write is not in the cache yet")
	s.hasSeries("gpuscaler_stale_workloads 1")
	s.gateway.Heal()
	s.d.WaitReplicas(8, 20*time.Second)
	s.hasSeries("gpuscaler_stale_workloads 0")
}

func stuckWatch(w *world) {
	s := w.distant()
	s.gateway.Hold(deploymentWatches)
	s.load.SetLoad(200)
	s.d.WaitReplicas(4, 20*time.Second)
	s.load.SetLoad(300)
	s.d.WaitReplicas(6, 30*time.Second)
	s.d.WantWrites(2)
}
