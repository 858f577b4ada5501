package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// scraped are annotations that ask for four waiting requests per replica, read from the pods themselves.
func scraped() map[string]string {
	a := gpuAnnotations("target.queue-depth", "4", "scrape", "8000/metrics")
	delete(a, prefix+"target.gpu-utilization")
	return a
}

// createScraped makes a Deployment of vLLM servers that can be reached at their pods' addresses.
func createScraped(t *testing.T, ns, name string, replicas int32, annotations map[string]string, model fleet.Model) deployment {
	t.Helper()
	return launch(t, fleet.Deployment(ns, name).Replicas(replicas).Annotations(annotations).VLLM().Loopback(), model)
}

// harm lets the engines of a Deployment's pods do harm, or with "" no more.
func (d deployment) harm(kind string) {
	d.t.Helper()
	d.annotatePods(fleet.Hostile, kind)
}

// annotatePods sets an annotation of the pods that there are.
func (d deployment) annotatePods(key, value string) {
	d.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		d.t.Fatal(err)
	}
	pods := cluster.Client().CoreV1().Pods(d.namespace)
	list, err := pods.List(d.t.Context(), metav1.ListOptions{LabelSelector: "app=" + d.name})
	if err != nil || len(list.Items) == 0 {
		d.t.Fatalf("pods of %s: %d, %v", d.name, len(list.Items), err)
	}
	for _, pod := range list.Items {
		if _, err := pods.Patch(d.t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// source waits until the signal of a workload comes from where it should, and has a value.
func (d deployment) source(p *process, signal, want string) {
	d.t.Helper()
	bed.WaitFor(d.t, 20*time.Second, fmt.Sprintf("%s of %s from %s", signal, d.name, want), func() error {
		w, err := p.workload(d.namespace, d.name)
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
	ns := namespace(t, "direct")
	model := fleet.NewFixed(fleet.Reading{Waiting: 4, Running: 8, KVCache: 0.4})
	annotations := scraped()
	annotations[prefix+"max-replicas"] = "4" // every pod reads the same, however many there are
	d := createScraped(t, ns, "llama", 2, annotations, model)
	program := runs(t, ns, "")
	d.waitReason(program, "WithinTolerance")
	d.source(program, "queue-depth", "vllm:num_requests_waiting_by_reason (pods)")
	model.SetAll(fleet.Reading{Waiting: 8, Running: 16, KVCache: 0.4})
	d.waitReplicas(4, 10*time.Second)
	model.SetAll(fleet.Reading{Waiting: 4, Running: 8, KVCache: 0.4})
	d.waitReady(4)

	d.harm(fleet.HostileRefuse)
	d.waitReason(program, "NoData")
	model.SetAll(fleet.Reading{})
	d.holdsReplicas(4, 8*time.Second)
	w, err := program.workload(ns, "llama")
	if err != nil || !strings.Contains(w.Message, "refused") {
		t.Errorf("message %q, %v: want it to say that pods refuse", w.Message, err)
	}
	out, errs, _ := command(t, "explain", "deployment/llama", "-n", ns, "--kubeconfig", cluster.viewer, "--prometheus-url", "", "--controller-url", "")
	if !strings.Contains(out, "refused") {
		t.Errorf("explain does not say that pods refuse:\n%s\n%s", out, errs)
	}

	d.harm("")
	d.waitReplicas(1, 30*time.Second)
}

// A model server that exports nothing, on nodes with NVML agents: the agents tell what its GPUs do.
func TestAgentsWithoutPrometheus(t *testing.T) {
	t.Parallel()
	ns := namespace(t, "ollama")
	const node = "with-agent"
	if err := cluster.fleet.AddPoolNode(t.Context(), node, node, 8); err != nil {
		t.Fatal(err)
	}
	if err := cluster.fleet.AddAgent(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	load := fleet.NewShared(nil)
	load.SetLoad(150)
	annotations := map[string]string{
		prefix + "enabled": "true", prefix + "class": "ollama", prefix + "max-replicas": "8", prefix + "scale-down.stabilization": "5s",
	}
	d := launch(t, fleet.Deployment(ns, "ollama").Replicas(2).Pool(node).Annotations(annotations), load)
	program := runs(t, ns, "")
	d.waitReason(program, "WithinTolerance")
	d.source(program, "gpu-utilization", "gpuscaler_nvml_gpu_utilization_ratio (NVML agents)")
	load.SetLoad(300)
	d.waitReplicas(4, 20*time.Second)
	d.waitReady(4)

	if err := cluster.fleet.StopAgent(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	load.SetLoad(0)
	d.waitReason(program, "NoData")
	d.holdsReplicas(4, 8*time.Second)
	if err := cluster.fleet.AddAgent(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	d.waitReplicas(1, 30*time.Second)
}

// With both, the pods' own word counts, and Prometheus stands in for pods that give none. It is told apart by everybody.
func TestPrometheusStandsIn(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "both")
	model := fleet.NewFixed(fleet.Reading{Waiting: 4})
	d := createScraped(t, ns, "llama", 2, scraped(), model)
	program := runs(t, ns, p.URL())
	d.source(program, "queue-depth", "vllm:num_requests_waiting_by_reason (pods)")
	sampled(t, p, `vllm:num_requests_waiting{namespace="`+ns+`"}`, 4)

	d.annotate("scrape", "8001/metrics") // nobody listens there
	d.source(program, "queue-depth", "vllm:num_requests_waiting_by_reason (Prometheus)")
	d.annotate("scrape", "8000/metrics")
	d.source(program, "queue-depth", "vllm:num_requests_waiting_by_reason (pods)")
	text, err := get("http://" + program.listen + "/metrics")
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

// hostileNamespace is what namespaces of pods that do harm begin with. No Prometheus scrapes them.
const hostileNamespace = "hostile"

// Pods that do what they can to hurt whoever reads them: nothing is lowered because of them, others are served in time, and memory
// stays what it was.
func TestHostilePods(t *testing.T) {
	t.Parallel()
	ns := namespace(t, hostileNamespace)
	kinds := []string{
		fleet.HostileEndless, fleet.HostileLine, fleet.HostileBomb, fleet.HostileBombLines, fleet.HostileSeries, fleet.HostileSlow,
		fleet.HostileHang, fleet.HostileJSON, fleet.HostileHTML, fleet.HostileRedirect, fleet.HostileRefuse, fleet.HostileNaN,
		fleet.HostileAbsurd, fleet.HostileNegative,
	}
	hostile := map[string]deployment{}
	if err := cluster.fleet.AddPoolNode(t.Context(), ns, ns, 48); err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		builder := fleet.Deployment(ns, "does-"+kind).Replicas(2).Pool(ns).Annotations(scraped()).VLLM().Loopback().PodAnnotations(map[string]string{
			fleet.Hostile: kind, fleet.RedirectTo: cluster.AdminConfig().Host + "/api/v1/namespaces/default/secrets",
		})
		hostile[kind] = begin(t, builder)
	}
	model := fleet.NewFixed(fleet.Reading{Waiting: 4})
	good := createScraped(t, ns, "good", 2, scraped(), model)
	for _, d := range hostile {
		d.waitReady(2)
	}
	program := runs(t, ns, "")
	good.waitReason(program, "WithinTolerance")
	for _, kind := range kinds {
		hostile[kind].waitReason(program, "NoData")
	}
	model.SetAll(fleet.Reading{Waiting: 8})
	good.waitReplicas(4, 10*time.Second)
	for kind, d := range hostile {
		if n := d.replicas(); n != 2 {
			t.Errorf("%s: %d replicas, want 2", kind, n)
		}
		w, err := program.workload(ns, d.name)
		t.Logf("%s: %s (%v)", kind, w.Message, err)
	}
	if resident := program.Resident(t); resident > 200<<20 {
		t.Errorf("%d MiB in use", resident>>20)
	}
}
