package e2e

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// A person's kubectl scale is respected for a while: raised it is a floor, lowered a ceiling, and zero stays zero.
func TestKubectlScaleIsRespected(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "person")
	const hold = 12 * time.Second
	// managedFields are stamped in whole seconds.
	const held = hold - time.Second
	annotations := stage.GPUAnnotations("override-hold", hold.String(), "scale-down.stabilization", "2s", "scale-up.policies", "20 pods/1s")
	loads := map[string]*stage.Load{"raised": stage.NewLoad(100), "lowered": stage.NewLoad(200), "zero": stage.NewLoad(100)}
	made := map[string]stage.Deployment{}
	for name, l := range loads {
		made[name] = stage.Create(t, ns, name, map[string]int32{"raised": 2, "lowered": 4, "zero": 2}[name], annotations, l)
	}
	program := stage.Runs(t, ns, p.URL())

	t.Run("raised", func(t *testing.T) {
		t.Parallel()
		d := stage.Of(t, ns, "raised")
		d.WaitReason(program, "WithinTolerance")
		d.Scale(5)
		scaled := time.Now()
		d.Always(func(object *appsv1.Deployment) error {
			if n, after := *object.Spec.Replicas, time.Since(scaled); n < 5 && after < held {
				return fmt.Errorf("%d replicas %s after a person made them 5", n, after)
			}
			return nil
		})
		d.WaitTold(program, "Override", "kubectl set 5 replicas: at least that many")
		d.WaitEvent("Override", "kubectl")
		loads["raised"].SetLoad(300)
		d.WaitReplicas(6, 20*time.Second) // a floor is no ceiling
		loads["raised"].SetLoad(100)
		d.WaitReplicas(2, 40*time.Second)
	})
	t.Run("lowered", func(t *testing.T) {
		t.Parallel()
		d := stage.Of(t, ns, "lowered")
		d.WaitReason(program, "WithinTolerance")
		d.Scale(2)
		scaled := time.Now()
		d.Always(func(object *appsv1.Deployment) error {
			if n, after := *object.Spec.Replicas, time.Since(scaled); n > 2 && after < held {
				return fmt.Errorf("%d replicas %s after a person made them 2", n, after)
			}
			return nil
		})
		d.WaitTold(program, "Override", "kubectl set 2 replicas: at most that many")
		d.WaitReplicas(4, 40*time.Second)
	})
	t.Run("zero", func(t *testing.T) {
		t.Parallel()
		d := stage.Of(t, ns, "zero")
		d.WaitReason(program, "WithinTolerance")
		d.Scale(0)
		d.WaitReason(program, "ScalingDisabled")
		d.HoldsReplicas(0, hold+3*time.Second)
		d.WantWrites(0)
		loads["zero"].SetLoad(200)
		d.Scale(1)
		d.WaitReplicas(4, 40*time.Second)
	})
}
