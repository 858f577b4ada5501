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
	p := startPrometheus(t, false)
	ns := namespace(t, "rollout")
	load := newLoad(200)
	builder := fleet.Deployment(ns, "vision").Replicas(4).Annotations(gpuAnnotations("scale-down.stabilization", "8s"))
	d := held(t, rolling(builder, 2, 1), load)
	program := runs(t, ns, p.URL())
	d.waitReason(program, "WithinTolerance")
	var replicas, most atomic.Int64
	replicas.Store(4)
	d.always(func(object *appsv1.Deployment) error {
		most.Store(max(most.Load(), int64(object.Status.Replicas)))
		if n := int64(*object.Spec.Replicas); n != 4 && n != replicas.Load() {
			return fmt.Errorf("%d replicas, want %d", n, replicas.Load())
		}
		return nil
	})

	// 3 old pods serve and 3 new ones load for as long as it takes a window and more to lower, and then all are replaced.
	d.change(`{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"example.com/vision:2"}]}}}}`)
	bed.WaitFor(t, 30*time.Second, "old and new pods", func() error { return bed.Want("pods ever", most.Load(), 6) })
	d.waitReady(3)
	d.holdsReplicas(4, 12*time.Second)
	bed.WaitFor(t, time.Minute, "the rollout", func() error {
		d.release()
		return d.rolledOut()
	})
	d.holdsReplicas(4, 10*time.Second)
	d.wantWrites(0)

	// The same once more, and the load rises in the middle of it.
	d.change(`{"spec":{"template":{"spec":{"containers":[{"name":"server","image":"example.com/vision:3"}]}}}}`)
	d.waitReady(3)
	replicas.Store(6)
	load.SetLoad(290) // of 3 pods 97 each
	d.waitReplicas(6, 20*time.Second)
	bed.WaitFor(t, time.Minute, "the rollout", func() error {
		d.release()
		return d.rolledOut()
	})
	d.holdsReplicas(6, 10*time.Second)
	d.wantWrites(1)
}
