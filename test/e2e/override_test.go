package e2e

import (
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// A person's kubectl scale is respected for a while: raised it is a floor, lowered a ceiling, and zero stays zero.
func TestKubectlScaleIsRespected(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "person")
	const hold = 12 * time.Second
	// managedFields are stamped in whole seconds.
	const held = hold - time.Second
	annotations := gpuAnnotations("override-hold", hold.String(), "scale-down.stabilization", "2s", "scale-up.policies", "20 pods/1s")
	loads := map[string]*load{"raised": newLoad(100), "lowered": newLoad(200), "zero": newLoad(100)}
	made := map[string]deployment{}
	for name, l := range loads {
		made[name] = create(t, ns, name, map[string]int32{"raised": 2, "lowered": 4, "zero": 2}[name], annotations, l)
	}
	program := runs(t, ns, p.URL())

	t.Run("raised", func(t *testing.T) {
		t.Parallel()
		d := deployment{t, ns, "raised"}
		d.waitReason(program, "WithinTolerance")
		d.scale(5)
		scaled := time.Now()
		d.always(func(object *appsv1.Deployment) error {
			if n, after := *object.Spec.Replicas, time.Since(scaled); n < 5 && after < held {
				return fmt.Errorf("%d replicas %s after a person made them 5", n, after)
			}
			return nil
		})
		d.waitTold(program, "Override", "kubectl set 5 replicas: at least that many")
		d.waitEvent("Override", "kubectl")
		loads["raised"].SetLoad(300)
		d.waitReplicas(6, 20*time.Second) // a floor is no ceiling
		loads["raised"].SetLoad(100)
		d.waitReplicas(2, 40*time.Second)
	})
	t.Run("lowered", func(t *testing.T) {
		t.Parallel()
		d := deployment{t, ns, "lowered"}
		d.waitReason(program, "WithinTolerance")
		d.scale(2)
		scaled := time.Now()
		d.always(func(object *appsv1.Deployment) error {
			if n, after := *object.Spec.Replicas, time.Since(scaled); n > 2 && after < held {
				return fmt.Errorf("%d replicas %s after a person made them 2", n, after)
			}
			return nil
		})
		d.waitTold(program, "Override", "kubectl set 2 replicas: at most that many")
		d.waitReplicas(4, 40*time.Second)
	})
	t.Run("zero", func(t *testing.T) {
		t.Parallel()
		d := deployment{t, ns, "zero"}
		d.waitReason(program, "WithinTolerance")
		d.scale(0)
		d.waitReason(program, "ScalingDisabled")
		d.holdsReplicas(0, hold+3*time.Second)
		d.wantWrites(0)
		loads["zero"].SetLoad(200)
		d.scale(1)
		d.waitReplicas(4, 40*time.Second)
	})
}
