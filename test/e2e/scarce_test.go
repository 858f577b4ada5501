package e2e

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// addNode adds a node for the pods of a pool until the test ends.
func addNode(t *testing.T, pool, name string, gpus int) {
	t.Helper()
	if err := stage.Cluster.Fleet.AddPoolNode(t.Context(), pool, name, gpus); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		if err := stage.Cluster.Fleet.RemoveNode(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
}

// requestAnnotations ask for 10 running requests a replica, and let the replicas rise at once.
func requestAnnotations(more ...string) map[string]string {
	a := stage.GPUAnnotations(append([]string{"target.running-requests", "10", "max-replicas", "20", "scale-up.policies", "20 pods/1s"}, more...)...)
	delete(a, stage.Prefix+"target.gpu-utilization")
	return a
}

// newRequests is a load of requests that are spread over the ready pods.
func newRequests(total float64) *fleet.Shared {
	load := fleet.NewShared(func(share float64) fleet.Reading { return fleet.Reading{Running: share} })
	load.SetLoad(total)
	return load
}

// 8 GPUs and a demand for 12: the replicas stop at what can be placed and one that asks for more. When a node comes they go on; when
// the demand falls what waits is given back, long before the scale-down window is over, and nothing that serves.
func TestDemandBeyondTheGPUs(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "scarce")
	addNode(t, ns, ns+"-0", 8)
	load := newRequests(40)
	d := stage.Launch(t, fleet.Deployment(ns, "llama").Pool(ns).VLLM().Replicas(4).
		Annotations(requestAnnotations("max-pending", "1", "scale-down.stabilization", "10m")), load)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	var most atomic.Int64
	most.Store(9)
	d.Always(stage.AtMost(func() int { return int(most.Load()) }))

	// The pods are scraped one by one. Nothing is seen until all have been: the first Event then tells of the whole load.
	if err := p.SetFault(prom.Status500); err != nil {
		t.Fatal(err)
	}
	load.SetLoad(120)
	d.HoldsReplicas(4, 3*time.Second)
	if err := p.SetFault(prom.Normal); err != nil {
		t.Fatal(err)
	}
	d.WaitReplicas(9, 20*time.Second)
	d.WaitReady(8)
	d.WaitUnschedulable(1)
	d.WaitTold(program, "Unschedulable", "12 are wanted, 8 placed, 4 short", "nvidia.com/gpu")
	d.WaitEvent("Unschedulable", "12 are wanted")
	d.HoldsReplicas(9, 3*time.Second)

	most.Store(11)
	addNode(t, ns, ns+"-1", 2)
	d.WaitReplicas(11, 30*time.Second)
	d.WaitReady(10)
	d.WaitUnschedulable(1)
	d.WaitTold(program, "Unschedulable", "12 are wanted, 10 placed, 2 short")

	load.SetLoad(60)
	fell := time.Now()
	d.WaitReplicas(10, time.Minute)
	if took := time.Since(fell); took < 25*time.Second {
		t.Errorf("given back %s after the demand fell, want it to stay low for 30 s first", took)
	}
	d.WaitEvent("GaveBack")
	d.HoldsReplicas(10, 5*time.Second)
	d.WaitReady(10)
}

// Without max-pending all that is wanted waits, so that a cluster autoscaler sees it, but only for as long as that is given to add
// nodes; what comes later is used all the same.
func TestCapacityWait(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "wait")
	addNode(t, ns, ns+"-0", 2)
	load := newRequests(20)
	d := stage.Launch(t, fleet.Deployment(ns, "llama").Pool(ns).VLLM().Replicas(2).Annotations(requestAnnotations("capacity-wait", "6s")), load)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")

	load.SetLoad(50)
	d.WaitReplicas(5, 20*time.Second)
	raised := time.Now()
	d.WaitUnschedulable(3)
	bed.WaitFor(t, 30*time.Second, "one pod that waits", func() error { return bed.Want("spec.replicas", d.Replicas(), 3) })
	if took := time.Since(raised); took < 4*time.Second {
		t.Errorf("given back after %s, want a cluster autoscaler to have 6 s", took)
	}
	d.WaitEvent("GaveBack")
	d.HoldsReplicas(3, 5*time.Second)

	addNode(t, ns, ns+"-1", 3)
	d.WaitReplicas(5, 30*time.Second)
	d.WaitReady(5)
}
