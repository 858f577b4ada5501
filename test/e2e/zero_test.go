package e2e

import (
	"os"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// queries writes the file of the administrator's queries.
func queries(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/queries.yaml"
	text := "queries:\n  gateway-queue:\n    query: sum(gateway_queue_length{deployment=\"$deployment\"})\n    unit: requests\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// startGateway puts a gateway before the Deployments of a namespace until the test ends.
func startGateway(t *testing.T, ns string) *fleet.Gateway {
	t.Helper()
	gateway, err := stage.Cluster.Fleet.StartGateway(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gateway.Stop)
	return gateway
}

// queueAnnotations ask for a replica for each 5 requests that wait in the gateway.
func queueAnnotations(more ...string) map[string]string {
	a := stage.GPUAnnotations(append([]string{
		"query.gateway-queue", "gateway-queue", "target.gateway-queue", "5", "scale-up.policies", "20 pods/1s",
	}, more...)...)
	delete(a, stage.Prefix+"target.gpu-utilization")
	return a
}

// zeroAnnotations let a Deployment go to zero after 4 s without work, and come back for what waits in the gateway.
func zeroAnnotations(more ...string) map[string]string {
	a := queueAnnotations(append([]string{
		"min-replicas", "0", "idle-after", "4s", "activate-on", "gateway-queue > 0", "scale-down.stabilization", "2s",
	}, more...)...)
	a[stage.Prefix+"target.gpu-utilization"] = "50"
	return a
}

// Scale to zero when neither GPUs nor gateway have work, and back for the first request. Absence of data is not idleness.
func TestScaleToZeroAndBack(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "zero")
	gateway := startGateway(t, ns)
	gateway.SetQueue("llama", 0)
	model := fleet.NewFixed(fleet.Reading{GPUUtilization: 30})
	d := stage.Create(t, ns, "llama", 1, zeroAnnotations(), model)
	program := stage.Runs(t, ns, p.URL(), "--queries", queries(t))
	queue := `gateway_queue_length{namespace="` + ns + `",deployment="llama"}`
	stage.Sampled(t, p, queue, 0)
	d.HoldsReplicas(1, 7*time.Second) // the GPU works

	model.SetAll(fleet.Reading{})
	idle := time.Now()
	d.WaitReplicas(0, 30*time.Second)
	if took := time.Since(idle); took < 4*time.Second {
		t.Errorf("at zero %s after the work ended, want not before 4 s", took)
	}
	d.WaitEvent("Idle")
	d.HoldsReplicas(0, 3*time.Second)

	// 12 requests, 5 for each replica: 3 replicas, in one tick after the sample.
	gateway.SetQueue("llama", 12)
	sample := stage.Sampled(t, p, queue, 12)
	d.WaitReplicas(3, 20*time.Second)
	if took := time.Since(sample); took > 3*time.Second {
		t.Errorf("the first replica came %s after the sample, want within a tick of 1 s", took)
	}
	d.WaitEvent("Activated")
	d.WaitReady(3)

	// The gateway is gone: nobody knows of no work.
	gateway.Stop()
	d.WaitTold(program, "NoData")
	d.NeverBelow(1, 8*time.Second)
}

// A person's zero is left alone, whatever waits.
func TestPersonsZeroIsNotActivated(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "off")
	gateway := startGateway(t, ns)
	gateway.SetQueue("llama", 5)
	d := stage.Create(t, ns, "llama", 1, zeroAnnotations("override-hold", "2s"), fleet.NewFixed(fleet.Reading{GPUUtilization: 50}))
	program := stage.Runs(t, ns, p.URL(), "--queries", queries(t))
	d.WaitReason(program, "WithinTolerance")
	d.Scale(0)
	d.WaitReason(program, "ScalingDisabled")
	gateway.SetQueue("llama", 50)
	d.HoldsReplicas(0, 6*time.Second)
	d.WantWrites(0)
}
