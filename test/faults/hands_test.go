package faults

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/mutant"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// ofHands are what others do to a Deployment.
var ofHands = []row{
	{
		number: 25, fault: "An HPA scales the same Deployment",
		promise: "nothing is written and one Event names the HPA; a dry run decides all the same; without the HPA it goes on by itself",
		guard: &mutant.Mutation{Name: "another autoscaler is fought", Edits: []mutant.Edit{{
			File: "policy/decide.go", Old: `case seen.Frozen != "":`, New: `case mutant != N && seen.Frozen != "":`,
		}}},
		play: beside,
	},
	{
		number: 25, fault: "A GitOps controller puts the replicas of its manifest back each time",
		promise: "what it took away is restored at once, twice; the third time is the last, and whoever fights is named; edited annotations begin anew",
		guard: &mutant.Mutation{Name: "resets are fought for ever", Edits: []mutant.Edit{{
			File: "policy/hands.go", Old: "if len(h.Resets) < maxResets {", New: "if mutant == N || len(h.Resets) < maxResets {",
		}}},
		play: putBack,
	},
	{
		number: 36, fault: "A person scales to 0 while the load is high",
		promise: "0 stays; once the person scales up again, the load is followed",
		guard: &mutant.Mutation{Name: "a person's zero is woken", Edits: []mutant.Edit{{
			File: "policy/idle.go", Old: "case !state.ourZero(spec, seen):", New: "case mutant != N && !state.ourZero(spec, seen):",
		}}},
		play: switchedOff,
	},
	{
		number: 37, fault: "max-replicas is edited to less than there are, without metrics and with slow scale-down.policies",
		promise: "the maximum is kept at the next tick",
		guard: &mutant.Mutation{Name: "a lowered maximum waits for the load to fall", Edits: []mutant.Edit{{
			File: "policy/decide.go", Old: "	case seen.Replicas > b.highest:\n", New: "	case mutant != N && seen.Replicas > b.highest:\n",
		}, {
			File: "policy/decide.go", Old: "		d.bound(&spec, &state, b, g, now)\n", New: "		if mutant != N { d.bound(&spec, &state, b, g, now) } else { d.Bounded = d.Limited }\n",
		}}},
		play: capped,
	},
}

func beside(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "conflict")
	l := stage.NewLoad(100)
	d := stage.Create(w, ns, "vision", 2, stage.GPUAnnotations(), l)
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")

	hpas := stage.Cluster.Client().AutoscalingV2().HorizontalPodAutoscalers(ns)
	_, err := hpas.Create(w.Context(), stage.RivalHPA(), metav1.CreateOptions{})
	if err != nil {
		w.Fatal(err)
	}
	bed.WaitFor(w, 10*time.Second, "the HPA to be noticed", func() error { // though nothing is to be changed
		return bed.Want("names it", strings.Contains(program.Output(), "HorizontalPodAutoscaler "+ns+"/vision"), true)
	})
	l.SetLoad(200)
	dry := w.run(stage.Cluster.Config, "run", "--dry-run", "--interval", "1s", "--watch-namespace", ns, "--prometheus-url", p.URL())
	bed.WaitFor(w, 20*time.Second, "the dry run's decision", func() error {
		seen, err := dry.Workload(ns, "vision")
		if err != nil {
			return err
		}
		return bed.Want("desired", seen.Desired, 4)
	})
	d.HoldsReplicas(2, 3*time.Second)
	d.WaitReason(program, "Conflict")
	d.WantWrites(0)

	if err := hpas.Delete(w.Context(), "vision", metav1.DeleteOptions{}); err != nil {
		w.Fatal(err)
	}
	d.WaitReplicas(4, 20*time.Second)
	events := d.Events("Conflict")
	if len(events) != 1 || !strings.Contains(events[0], "HorizontalPodAutoscaler "+ns+"/vision") {
		w.Errorf("the Conflict Events are %q, want one that names the HPA", events)
	}
}

// manifestOf returns a function that applies the Deployment's manifest, its replicas included, as Argo CD does with server-side apply.
func manifestOf(t testing.TB, builder *fleet.DeploymentBuilder) func() {
	t.Helper()
	object := builder.Object()
	object.APIVersion, object.Kind = "apps/v1", "Deployment"
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	delete(fields, "status")
	manifest, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		_, err := stage.Cluster.Client().AppsV1().Deployments(object.Namespace).Patch(t.Context(), object.Name, types.ApplyPatchType, manifest,
			metav1.PatchOptions{FieldManager: "argocd-controller", Force: ptr.To(true)})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// No budget is left when the replicas are put back.
func putBack(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "gitops")
	load := stage.NewLoad(100)
	builder := fleet.Deployment(ns, "vision").Replicas(2).Annotations(stage.GPUAnnotations("scale-up.policies", "2 pods/20s"))
	apply := manifestOf(w, builder)
	d := stage.Launch(w, builder, load)
	apply()
	program := w.runs(ns, p.URL(), "--max-sample-age", "5s")
	d.WaitReason(program, "WithinTolerance")
	load.SetLoad(200)
	d.WaitReplicas(4, 20*time.Second)

	for range 2 {
		d.WaitReady(4)
		apply()
		d.WaitReplicas(4, 20*time.Second)
	}
	d.WaitEvent("ReplicasReset", "argocd-controller", "from 4 to 2")
	d.WantWrites(3)
	apply()
	d.HoldsReplicas(2, 5*time.Second)
	d.WaitReason(program, "Conflict") // there is a budget again, and the load asks for more
	d.WaitEvent("Conflict", "argocd-controller")
	d.WantWrites(3)

	d.Annotate("scale-up.policies", "20 pods/1s")
	d.WaitReplicas(4, 30*time.Second)
}

func switchedOff(w *world) {
	p := stage.StartPrometheus(w, false)
	ns := stage.Namespace(w, "zero")
	load := stage.NewLoad(100)
	d := stage.Create(w, ns, "vision", 2, stage.GPUAnnotations("min-replicas", "1"), load)
	program := w.runs(ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	load.SetLoad(300)
	d.Scale(0)
	d.HoldsReplicas(0, 6*time.Second)
	d.WaitReason(program, "ScalingDisabled")
	d.Scale(2)
	d.WaitReplicas(6, 30*time.Second)
}

func capped(w *world) {
	ns := stage.Namespace(w, "capped")
	d := stage.Create(w, ns, "vision", 6, stage.GPUAnnotations("scale-down.policies", "1 pods/10m", "scale-down.stabilization", "1h"), stage.NewLoad(300))
	program := w.runs(ns, "http://127.0.0.1:1") // nothing listens there
	d.WaitReason(program, "NoData")
	d.Annotate("max-replicas", "3")
	d.WaitReplicas(3, 10*time.Second)
	d.WantWrites(1)
}
