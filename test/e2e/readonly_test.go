package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// run --dry-run and plan find Prometheus by themselves, with the right to read alone.
func TestPrometheusIsFound(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	err := stage.Cluster.Expose(t.Context(), bed.Service{Namespace: "monitoring", Name: "prometheus", Port: 9090, PortName: "web", Addr: p.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	ns := stage.Namespace(t, "readonly")
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), stage.NewLoad(200))
	stage.Sampled(t, p, `count(DCGM_FI_DEV_GPU_UTIL{exported_namespace="`+ns+`"} >= 100)`, 2)
	dry := stage.Start(t, stage.Cluster.Viewer, "run", "--dry-run", "--interval", "5s", "-n", ns, "--watch-namespace", ns, "--prometheus-url", "auto")
	bed.WaitFor(t, 20*time.Second, "the table", func() error {
		return bed.Want("shows the workload", strings.Contains(dry.Output(), "vision"), true)
	})
	bed.WaitFor(t, 20*time.Second, "a plan to raise", func() error {
		stdout, stderr, code := stage.Command(t, "plan", "deployment/vision", "-n", ns, "-o", "json", "--prometheus-url", "auto", "--kubeconfig", stage.Cluster.Viewer)
		var plan struct{ Workloads []stage.Workload }
		if err := json.Unmarshal([]byte(stdout), &plan); err != nil || code != 0 || len(plan.Workloads) != 1 {
			t.Fatalf("plan: code %d, %v\n%s\n%s", code, err, stdout, stderr)
		}
		w := plan.Workloads[0]
		return bed.Want("plan", fmt.Sprint(w.Name, " ", w.Current, " to ", w.Desired), "vision 2 to 4")
	})
	stdout, stderr, code := stage.Command(t, "plan", "-n", ns, "--prometheus-url", "auto", "--kubeconfig", stage.Cluster.Viewer)
	if code != 0 || !strings.Contains(stdout, "vision") {
		t.Errorf("plan: code %d\n%s\n%s", code, stdout, stderr)
	}
	d.HoldsReplicas(2, time.Second)
}

// plan goes on from what the running controller remembers, if it can be reached through the API server.
func TestPlanAsksTheRunningController(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "plan")
	d := stage.Create(t, ns, "vision", 4, stage.GPUAnnotations("scale-down.stabilization", "1h"), stage.NewLoad(200))
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	err := stage.Cluster.Expose(t.Context(), bed.Service{Namespace: "plan-controller", Name: "gpuscaler", Port: 8080, PortName: "http", Addr: program.Listen})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"plan", "-n", ns, "--prometheus-url", p.URL(), "--kubeconfig", stage.Cluster.Viewer, "--controller-url"}
	_, stderr, code := stage.Command(t, append(args, "kube://plan-controller/gpuscaler:8080")...)
	if code != 0 || !strings.Contains(stderr, "History: from the running controller") {
		t.Errorf("with a controller: code %d\n%s", code, stderr)
	}
	_, stderr, code = stage.Command(t, append(args, "kube://plan-controller/nobody:8080")...)
	if code != 0 || !strings.Contains(stderr, "approximate") {
		t.Errorf("without a controller: code %d\n%s", code, stderr)
	}
}
