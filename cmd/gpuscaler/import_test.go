package main

import (
	"encoding/json"
	"strings"
	"testing"

	autoscaling "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const importHPA = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: llm}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm}
  maxReplicas: 8
  metrics:
  - {type: Pods, pods: {metric: {name: "vllm:num_requests_running"}, target: {type: AverageValue, averageValue: "16"}}}
`

const importCPU = "  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}\n"

func TestImport(t *testing.T) {
	for _, c := range []struct {
		golden, stdin string
		args          []string
	}{
		{"import-patch.golden", importHPA + importCPU, []string{"-"}},
		{"import-namespace.golden", importHPA, []string{"-", "-n", "prod"}},
		{"import-strict.golden", importHPA + importCPU, []string{"-", "--strict", "-o", "json"}},
		{"import-manifest.golden", importHPA + "---\nkind: Deployment\nmetadata: {name: llm}\nspec: {replicas: 2}\n", []string{"-", "-o", "manifest"}},
		{"import-nothing.golden", strings.Replace(importHPA, "Pods, pods", "Pods, object", 1), []string{"-", "-o", "yaml"}},
		{"import-none.golden", "kind: Service\n", []string{"-"}},
		{"import-missing.golden", "", []string{"testdata/nowhere.yaml"}},
		{"import-format.golden", "", []string{"-", "-o", "table"}},
		{"import-two.golden", "", []string{"a", "b"}},
		{"import-nameless.golden", "", []string{"hpa/"}},
	} {
		t.Run(c.golden, func(t *testing.T) {
			golden(t, c.golden, invoke(t, c.stdin, append([]string{"import"}, c.args...)...).String())
		})
	}
	golden(t, "help-import.golden", invoke(t, "", "import", "--help").String())
	if got := invoke(t, "", "__complete", "import", "-o", ""); !strings.HasPrefix(got.out, "patch\nmanifest\njson\nyaml\n") {
		t.Errorf("completing -o: got:\n%v", got)
	}
}

// TestImportFromCluster reads an HPA of the cluster, and writes nothing.
func TestImportFromCluster(t *testing.T) {
	api := newAPIServer(t)
	for _, name := range []string{"vision", "orphan"} {
		api.objects["horizontalpodautoscalers"] = append(api.objects["horizontalpodautoscalers"], runtime.Object(&autoscaling.HorizontalPodAutoscaler{
			TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name},
			Spec: autoscaling.HorizontalPodAutoscalerSpec{
				ScaleTargetRef: autoscaling.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name}, MaxReplicas: 4,
				Metrics: []autoscaling.MetricSpec{{Type: autoscaling.PodsMetricSourceType, Pods: &autoscaling.PodsMetricSource{
					Metric: autoscaling.MetricIdentifier{Name: "DCGM_FI_DEV_GPU_UTIL"},
					Target: autoscaling.MetricTarget{Type: autoscaling.AverageValueMetricType, AverageValue: resource.NewQuantity(70, resource.DecimalSI)},
				}}},
			},
		}))
	}
	got := invoke(t, "", "import", "hpa/vision", "-o", "json", "--kubeconfig", api.kubeconfig)
	var report struct {
		Imports []struct{ Annotations map[string]string }
	}
	if err := json.Unmarshal([]byte(got.out), &report); err != nil || got.code != 0 || len(report.Imports) != 1 ||
		report.Imports[0].Annotations["gpuscaler.io/target.gpu-utilization"] != "70" {
		t.Errorf("%v, got:\n%v", err, got)
	}
	for args, want := range map[string]string{
		"hpa/orphan":          `HorizontalPodAutoscaler team/orphan scales the Deployment "orphan", which is not there`,
		"hpa/none":            "there is no hpa/none in namespace team: -n NAMESPACE looks in another",
		"hpa/vision -n other": "there is no hpa/vision in namespace other",
	} {
		if got := invoke(t, "", append([]string{"import", "--kubeconfig", api.kubeconfig}, strings.Fields(args)...)...); got.code != exitError || !strings.Contains(got.err, want) {
			t.Errorf("%s: want %q, got:\n%v", args, want, got)
		}
	}
	if writes := api.mutations(); len(writes) > 0 {
		t.Errorf("requests that are no reads: %q", writes)
	}
}
