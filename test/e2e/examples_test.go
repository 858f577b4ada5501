package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

const examples = "../../deploy/examples/"

// example is one of deploy/examples.
type example struct {
	file, name string
	engine     string // that the fleet simulates, empty for none
	agent      bool   // its node has an NVML agent
	// A signal that is read, and where from. The fleet has no SGLang, and so nothing to read of it.
	signal, source string
}

// Each example, applied as its users do, is decided on within two ticks, and its signal comes from where the example says.
func TestExamples(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	const interval = 5 * time.Second
	ns := stage.Namespace(t, "example")
	program := stage.Runs(t, ns, p.URL(), "--interval", interval.String(), "--queries", examples+"scale-to-zero/queries.yaml")
	bed.WaitFor(t, 30*time.Second, "the program to be ready", func() error {
		_, err := stage.Get("http://" + program.Listen + "/readyz")
		return err
	})
	for _, e := range []example{
		{file: "vllm.yaml", name: "qwen", engine: fleet.EngineVLLM, signal: "running-requests", source: "vllm:num_requests_running (pods)"},
		{file: "sglang.yaml", name: "qwen-32b"},
		{file: "triton.yaml", name: "vision", signal: "gpu-utilization", source: "DCGM_FI_DEV_GPU_UTIL"},
		{file: "ollama.yaml", name: "ollama", agent: true, signal: "gpu-utilization", source: "gpuscaler_nvml_gpu_utilization_ratio (NVML agents)"},
		{file: "dcgm.yaml", name: "embeddings", signal: "gpu-utilization", source: "DCGM_FI_DEV_GPU_UTIL"},
		{
			file: "scale-to-zero/deployment.yaml", name: "llama-night", engine: fleet.EngineVLLM,
			signal: "queue-depth", source: "vllm:num_requests_waiting_by_reason (pods)",
		},
	} {
		t.Run(e.file, func(t *testing.T) {
			e.apply(t, ns)
			t.Cleanup(func() { // its GPUs are for other tests
				if err := stage.Cluster.Client().AppsV1().Deployments(ns).Delete(context.Background(), e.name, metav1.DeleteOptions{}); err != nil {
					t.Errorf("deleting the Deployment: %v", err)
				}
			})
			stage.Cluster.Fleet.Drive(ns, e.name, fleet.NewFixed(fleet.Reading{GPUUtilization: 60, Running: 8, Waiting: 2, KVCache: 0.3}))
			var w stage.Workload
			bed.WaitFor(t, 2*interval, "a decision", func() (err error) {
				w, err = program.Workload(ns, e.name)
				return err
			})
			if w.Reason == "" || w.Reason == "InvalidAnnotations" {
				t.Errorf("%s: %s", w.Reason, w.Message)
			}
			if e.signal != "" {
				// Prometheus is named behind the metric only where agents could be asked as well, as other tests have it.
				bed.WaitFor(t, 20*time.Second, e.signal+" from "+e.source, func() error {
					w, err := program.Workload(ns, e.name)
					if s := w.Signals[e.signal]; err == nil && (s.Value == nil || !strings.HasPrefix(s.Source, e.source)) {
						err = fmt.Errorf("%s comes from %q: %s", e.signal, s.Source, s.Detail)
					}
					return err
				})
			}
		})
	}
}

// apply applies the manifest in a namespace. What it changes is what the simulated fleet is told: who serves, and on which node.
func (e *example) apply(t *testing.T, ns string) {
	t.Helper()
	text, err := os.ReadFile(examples + e.file)
	if err != nil {
		t.Fatal(err)
	}
	node := ""
	if e.agent {
		node = "example-" + ns
		addNode(t, node, node, 8)
		if err := stage.Cluster.Fleet.AddAgent(t.Context(), node); err != nil {
			t.Fatal(err)
		}
	}
	documents := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		object.SetNamespace(ns)
		if object.GetKind() == "Deployment" {
			if err := e.simulate(object, node); err != nil {
				t.Fatal(err)
			}
		}
		manifest, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := stage.Cluster.Apply(t.Context(), manifest); err != nil {
			t.Fatal(err)
		}
	}
}

// simulate tells the fleet by annotations and a node selector.
func (e *example) simulate(object *unstructured.Unstructured, node string) error {
	annotations := map[string]string{fleet.Address: fleet.AddressLoopback}
	if e.engine != "" {
		annotations[fleet.Engine] = e.engine
	}
	template := []string{"spec", "template"}
	if err := unstructured.SetNestedStringMap(object.Object, annotations, append(template, "metadata", "annotations")...); err != nil {
		return err
	}
	if node == "" {
		return nil
	}
	tolerations, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "tolerations")
	if err != nil {
		return err
	}
	tolerations = append(tolerations, map[string]any{"key": fleet.Pool, "value": node, "effect": "NoSchedule"})
	return errors.Join(
		unstructured.SetNestedSlice(object.Object, tolerations, "spec", "template", "spec", "tolerations"),
		unstructured.SetNestedStringMap(object.Object, map[string]string{fleet.Pool: node}, "spec", "template", "spec", "nodeSelector"),
	)
}
