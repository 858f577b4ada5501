package e2e

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// GPUs that are all busy show that there is too little, not how much. While the pods of the first answer load there is no second one; when
// they have shown what they carry, there is.
func TestBusyGPUsWaitForThoseThatLoad(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "slow")
	load := stage.NewLoad(100)
	d := stage.Held(t, fleet.Deployment(ns, "vision").Replicas(2).
		Annotations(stage.GPUAnnotations("startup", "1m", "scale-up.policies", "20 pods/1s", "max-replicas", "16")), load)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	d.Always(func(object *appsv1.Deployment) error {
		if n := int(*object.Spec.Replicas); n > 4 && stage.Count(d.Pods(), corev1.PodReady, corev1.ConditionTrue, "") < 4 {
			return fmt.Errorf("%d replicas while the 2 of the first answer load", n)
		}
		return stage.AtMost(func() int { return 8 })(object)
	})

	// A rising load: 2 pods read 80, then 100, then 100 again, since they cannot read more.
	load.SetLoad(160)
	d.WaitReplicas(4, 20*time.Second)
	load.SetLoad(240)
	d.WaitTold(program, "Loading", "2 on their way")
	load.SetLoad(400)
	d.HoldsReplicas(4, 6*time.Second)
	d.WantWrites(1)

	// Loaded, 4 pods read 100 each: that is a new answer, in two steps if they are not read all at once. 8 pods read 50 each.
	d.ReleaseUntil(8)
	d.HoldsReplicas(8, 3*time.Second)
}

// A queue that grows while the pods for it load asks for more and more; it gets no more than twice what serves.
func TestQueueGrowsWhilePodsLoad(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "queue")
	model := fleet.NewFixed(fleet.Reading{Waiting: 4, Running: 8})
	annotations := stage.GPUAnnotations("target.queue-depth", "4", "startup", "1m", "scale-up.policies", "20 pods/1s", "max-replicas", "16")
	delete(annotations, stage.Prefix+"target.gpu-utilization")
	d := stage.Held(t, fleet.Deployment(ns, "llama").VLLM().Replicas(2).Annotations(annotations), model)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	d.Always(stage.AtMost(func() int { return 4 }))

	for waiting := 8.0; waiting <= 64; waiting *= 2 {
		model.SetAll(fleet.Reading{Waiting: waiting, Running: 16})
		d.NeverBelow(2, 2*time.Second)
	}
	d.WaitReplicas(4, 20*time.Second)
	// The new ones take their share, and it is gone before they are read.
	model.SetAll(fleet.Reading{Waiting: 4, Running: 16})
	d.WaitReason(program, "WithinTolerance")
	d.ReleaseUntil(4)
	d.HoldsReplicas(4, 3*time.Second)
}

// Pods that should long be Ready are replaced, one at a time: a registry that is down does not walk the replicas to their maximum.
func TestOverduePodsAreAnsweredOneAtATime(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "overdue")
	load := stage.NewLoad(100)
	d := stage.Held(t, fleet.Deployment(ns, "vision").Replicas(2).
		Annotations(stage.GPUAnnotations("startup", "4s", "scale-up.policies", "20 pods/1s", "max-replicas", "16")), load)
	program := stage.Runs(t, ns, p.URL(), "--max-sample-age", "5s")
	d.WaitReason(program, "WithinTolerance")
	d.Always(stage.AtMost(func() int { return 5 }))
	load.SetLoad(200)
	d.WaitReplicas(4, 20*time.Second)
	d.WaitEvent("Overdue")
	d.WaitReplicas(5, 20*time.Second)
	d.HoldsReplicas(5, 9*time.Second) // until the fifth is overdue too, and longer

	d.ReleaseUntil(5)
	d.WaitReplicas(4, 30*time.Second)
}
