package e2e

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// rolling lets a Deployment replace its pods with that many more and fewer than there should be.
func rolling(builder *fleet.DeploymentBuilder, surge, unavailable int) *fleet.DeploymentBuilder {
	s, u := intstr.FromInt(surge), intstr.FromInt(unavailable)
	builder.Object().Spec.Strategy = appsv1.DeploymentStrategy{
		Type: appsv1.RollingUpdateDeploymentStrategyType, RollingUpdate: &appsv1.RollingUpdateDeployment{MaxSurge: &s, MaxUnavailable: &u},
	}
	return builder
}

// A rolling update under load, with more pods and fewer ready ones than there should be for a while, neither raises nor lowers. More load
// meanwhile does.
func TestRollingUpdateUnderLoad(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "rollout")
	load := stage.NewLoad(200)
	builder := fleet.Deployment(ns, "vision").Replicas(4).Annotations(stage.GPUAnnotations("scale-down.stabilization", "8s"))
	d := stage.Held(t, rolling(builder, 2, 1), load)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	var replicas, most atomic.Int64
	replicas.Store(4)
	d.Always(func(object *appsv1.Deployment) error {
		most.Store(max(most.Load(), int64(object.Status.Replicas)))
		if n := int64(*object.Spec.Replicas); n != 4 && n != replicas.Load() {
			return fmt.Errorf("%d replicas, want %d", n, replicas.Load())
		}
		return nil
	})

	// 3 old pods serve and 3 new ones load for as long as it takes a window and more to lower, and then all are replaced.
	d.Change(`{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"example.com/vision:2"}]}}}}`)
	bed.WaitFor(t, 30*time.Second, "old and new pods", func() error { return bed.Want("pods ever", most.Load(), 6) })
	d.WaitReady(3)
	d.HoldsReplicas(4, 12*time.Second)
	bed.WaitFor(t, time.Minute, "the rollout", func() error {
		d.Release()
		return d.RolledOut()
	})
	d.HoldsReplicas(4, 10*time.Second)
	d.WantWrites(0)

	// The same once more, and the load rises in the middle of it.
	d.Change(`{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"example.com/vision:3"}]}}}}`)
	d.WaitReady(3)
	replicas.Store(6)
	load.SetLoad(290) // of 3 pods 97 each
	d.WaitReplicas(6, 20*time.Second)
	bed.WaitFor(t, time.Minute, "the rollout", func() error {
		d.Release()
		return d.RolledOut()
	})
	d.HoldsReplicas(6, 10*time.Second)
	d.WantWrites(1)
}
