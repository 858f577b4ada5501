package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// scraped are annotations that ask for four waiting requests per replica, read from the pods themselves.
func scraped() map[string]string {
	a := stage.GPUAnnotations("target.queue-depth", "4", "scrape", "8000/metrics")
	delete(a, stage.Prefix+"target.gpu-utilization")
	return a
}

// createScraped makes a Deployment of vLLM servers that can be reached at their pods' addresses.
func createScraped(t *testing.T, ns, name string, replicas int32, annotations map[string]string, model fleet.Model) stage.Deployment {
	t.Helper()
	return stage.Launch(t, fleet.Deployment(ns, name).Replicas(replicas).Annotations(annotations).VLLM().Loopback(), model)
}

// harm lets the engines of a Deployment's pods do harm, or with "" no more.
func harm(d stage.Deployment, kind string) {
	d.T.Helper()
	d.AnnotatePods(fleet.Hostile, kind)
}

// source waits until the signal of a workload comes from where it should, and has a value.
func source(d stage.Deployment, p *stage.Process, signal, want string) {
	d.T.Helper()
	bed.WaitFor(d.T, 20*time.Second, fmt.Sprintf("%s of %s from %s", signal, d.Name, want), func() error {
		w, err := p.Workload(d.Namespace, d.Name)
		if err != nil {
			return err
		}
		s := w.Signals[signal]
		if s.Value == nil {
			return fmt.Errorf("no value, from %q: %s", s.Source, s.Detail)
		}
		return bed.Want("source", s.Source, want)
	})
}

// A cluster that has nothing but pods: the replicas follow what the pods themselves say, and when these say nothing they stay.
func TestPodsWithoutPrometheus(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "direct")
	model := fleet.NewFixed(fleet.Reading{Waiting: 4, Running: 8, KVCache: 0.4})
	annotations := scraped()
	annotations[stage.Prefix+"max-replicas"] = "4" // every pod reads the same, however many there are
	d := createScraped(t, ns, "llama", 2, annotations, model)
	program := stage.Runs(t, ns, "")
	d.WaitReason(program, "WithinTolerance")
	source(d, program, "queue-depth", "vllm:num_requests_waiting_by_reason (pods)")
	model.SetAll(fleet.Reading{Waiting: 8, Running: 16, KVCache: 0.4})
	d.WaitReplicas(4, 10*time.Second)
	model.SetAll(fleet.Reading{Waiting: 4, Running: 8, KVCache: 0.4})
	d.WaitReady(4)

	harm(d, fleet.HostileRefuse)
	d.WaitReason(program, "NoData")
	model.SetAll(fleet.Reading{})
	d.HoldsReplicas(4, 8*time.Second)
	w, err := program.Workload(ns, "llama")
	if err != nil || !strings.Contains(w.Message, "refused") {
		t.Errorf("message %q, %v: want it to say that pods refuse", w.Message, err)
	}
	out, errs, _ := stage.Command(t, "explain", "deployment/llama", "-n", ns, "--kubeconfig", stage.Cluster.Viewer, "--prometheus-url", "", "--controller-url", "")
	if !strings.Contains(out, "refused") {
		t.Errorf("explain does not say that pods refuse:\n%s\n%s", out, errs)
	}

	harm(d, "")
	d.WaitReplicas(1, 30*time.Second)
}

// A model server that exports nothing, on nodes with NVML agents: the agents tell what its GPUs do.
func TestAgentsWithoutPrometheus(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "ollama")
	const node = "with-agent"
	if err := stage.Cluster.Fleet.AddPoolNode(t.Context(), node, node, 8); err != nil {
		t.Fatal(err)
	}
	if err := stage.Cluster.Fleet.AddAgent(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	load := fleet.NewShared(nil)
	load.SetLoad(150)
	annotations := map[string]string{
		stage.Prefix + "enabled": "true", stage.Prefix + "class": "ollama", stage.Prefix + "max-replicas": "8", stage.Prefix + "scale-down.stabilization": "5s",
	}
	d := stage.Launch(t, fleet.Deployment(ns, "ollama").Replicas(2).Pool(node).Annotations(annotations), load)
	program := stage.Runs(t, ns, "")
	d.WaitReason(program, "WithinTolerance")
	source(d, program, "gpu-utilization", "gpuscaler_nvml_gpu_utilization_ratio (NVML agents)")
	load.SetLoad(300)
	d.WaitReplicas(4, 20*time.Second)
	d.WaitReady(4)

	if err := stage.Cluster.Fleet.StopAgent(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	load.SetLoad(0)
	d.WaitReason(program, "NoData")
	d.HoldsReplicas(4, 8*time.Second)
	if err := stage.Cluster.Fleet.AddAgent(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.WaitReplicas(1, 30*time.Second)
}

// With both, the pods' own word counts, and Prometheus stands in for pods that give none. It is told apart by everybody.
func TestPrometheusStandsIn(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "both")
	model := fleet.NewFixed(fleet.Reading{Waiting: 4})
	d := createScraped(t, ns, "llama", 2, scraped(), model)
	program := stage.Runs(t, ns, p.URL())
	source(d, program, "queue-depth", "vllm:num_requests_waiting_by_reason (pods)")
	stage.Sampled(t, p, `vllm:num_requests_waiting{namespace="`+ns+`"}`, 4)

	d.Annotate("scrape", "8001/metrics") // nobody listens there
	source(d, program, "queue-depth", "vllm:num_requests_waiting_by_reason (Prometheus)")
	d.Annotate("scrape", "8000/metrics")
	source(d, program, "queue-depth", "vllm:num_requests_waiting_by_reason (pods)")
	text, err := stage.Get("http://" + program.Listen + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf(`gpuscaler_signal_samples{namespace=%q,signal="queue-depth",source="pods",workload="llama",workload_kind="Deployment"} 2`, ns),
		`gpuscaler_scrapes_total{result="failure",source="pods"}`,
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// Pods that do what they can to hurt whoever reads them: nothing is lowered because of them, others are served in time, and memory
// stays what it was.
func TestHostilePods(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, stage.HostileNamespace)
	kinds := []string{
		fleet.HostileEndless, fleet.HostileLine, fleet.HostileBomb, fleet.HostileBombLines, fleet.HostileSeries, fleet.HostileSlow,
		fleet.HostileHang, fleet.HostileJSON, fleet.HostileHTML, fleet.HostileRedirect, fleet.HostileRefuse, fleet.HostileNaN,
		fleet.HostileAbsurd, fleet.HostileNegative,
	}
	hostile := map[string]stage.Deployment{}
	if err := stage.Cluster.Fleet.AddPoolNode(t.Context(), ns, ns, 48); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		builder := fleet.Deployment(ns, "does-"+kind).Replicas(2).Pool(ns).Annotations(scraped()).VLLM().Loopback().PodAnnotations(map[string]string{
			fleet.Hostile: kind, fleet.RedirectTo: stage.Cluster.AdminConfig().Host + "/api/v1/namespaces/default/secrets",
		})
		hostile[kind] = stage.Begin(t, builder)
	}
	model := fleet.NewFixed(fleet.Reading{Waiting: 4})
	good := createScraped(t, ns, "good", 2, scraped(), model)
	for _, d := range hostile {
		d.WaitReady(2)
	}
	program := stage.Runs(t, ns, "")
	good.WaitReason(program, "WithinTolerance")
	for _, kind := range kinds {
		hostile[kind].WaitReason(program, "NoData")
	}
	model.SetAll(fleet.Reading{Waiting: 8})
	good.WaitReplicas(4, 10*time.Second)
	for kind, d := range hostile {
		if n := d.Replicas(); n != 2 {
			t.Errorf("%s: %d replicas, want 2", kind, n)
		}
		w, err := program.Workload(ns, d.Name)
		t.Logf("%s: %s (%v)", kind, w.Message, err)
	}
	if resident := program.Resident(t); resident > 200<<20 {
		t.Errorf("%d MiB in use", resident>>20)
	}
}
