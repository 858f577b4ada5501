package e2e

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// troubles are the ways in which no pod of a template comes up: the annotation of the pods, and what the Event says.
func troubles() map[string]struct{ annotation, value, says string } {
	return map[string]struct{ annotation, value, says string }{
		"crashing":     {fleet.Crash, "true", "CrashLoopBackOff"},
		"not pullable": {fleet.Waiting, "ImagePullBackOff", "ImagePullBackOff"},
		"misconfigured": {
			fleet.Waiting, "CreateContainerConfigError", "CreateContainerConfigError",
		},
	}
}

// crashAfter is longer than a tick, so that the container is often seen running between two crashes.
const crashAfter = "1500ms"

// An update that does not come up while the old pods serve, and more and more load: it gets no more pods of it. Mended, it does.
func TestCrashLoopBesideOldPods(t *testing.T) {
	for name, trouble := range troubles() {
		if trouble.annotation == fleet.Crash {
			continue // that is one of ../faults
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage.StartPrometheus(t, false)
			ns := stage.Namespace(t, "crash")
			load := stage.NewLoad(100)
			builder := fleet.Deployment(ns, "vision").Replicas(2).Annotations(stage.GPUAnnotations())
			builder.PodAnnotations(map[string]string{fleet.CrashAfter: crashAfter})
			d := stage.Launch(t, rolling(builder, 1, 0), load)
			program := stage.Runs(t, ns, p.URL())
			d.WaitReason(program, "WithinTolerance")
			d.ChangePods(trouble.annotation, `"`+trouble.value+`"`)
			d.WaitEvent("CrashLoop", trouble.says)

			load.SetLoad(200)
			d.WaitReason(program, "CrashLoop")
			d.HoldsReplicas(2, 6*time.Second)
			d.WantWrites(0)

			d.ChangePods(trouble.annotation, "null")
			d.WaitReplicas(4, 30*time.Second)
		})
	}
}

// The first version of all does not come up, and requests pile up before it.
func TestCrashLoopFromTheStart(t *testing.T) {
	for name, trouble := range troubles() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := stage.StartPrometheus(t, false)
			ns := stage.Namespace(t, "broken")
			gateway := startGateway(t, ns)
			gateway.SetQueue("llama", 10)
			builder := fleet.Deployment(ns, "llama").Replicas(2).Annotations(queueAnnotations("max-replicas", "6"))
			d := stage.Begin(t, builder.PodAnnotations(map[string]string{fleet.CrashAfter: crashAfter, trouble.annotation: trouble.value}))
			program := stage.Runs(t, ns, p.URL(), "--queries", queries(t))
			d.WaitEvent("CrashLoop", trouble.says)

			gateway.SetQueue("llama", 40)
			d.WaitReason(program, "CrashLoop")
			d.HoldsReplicas(2, 6*time.Second)
			d.WantWrites(0)

			d.ChangePods(trouble.annotation, "null")
			d.WaitReplicas(6, 30*time.Second)
		})
	}
}
