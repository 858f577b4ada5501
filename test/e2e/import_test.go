package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/gpuscaler/gpuscaler/test/install"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// imported is what import -o json tells.
type imported struct {
	Imports []struct {
		Namespace, Name, Deployment string
		Annotations                 map[string]string
		Unsupported                 []struct{ Field, Value, Reason string }
	}
}

// importFrom imports an object of the cluster with read rights.
func importFrom(t *testing.T, ns, object string) imported {
	t.Helper()
	stdout, stderr, code := stage.Command(t, "import", object, "-n", ns, "-o", "json", "--kubeconfig", stage.Cluster.Viewer)
	var report imported
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || len(report.Imports) != 1 {
		t.Fatalf("import %s: code %d, %v\n%s\n%s", object, code, err, stdout, stderr)
	}
	return report
}

// want compares some annotations of an import, and the fields without an equivalent.
func (i imported) want(t *testing.T, annotations map[string]string, unsupported ...string) {
	t.Helper()
	got := i.Imports[0]
	for key, value := range annotations {
		if got.Annotations["gpuscaler.io/"+key] != value {
			t.Errorf("%s is %q, want %q, in %v", key, got.Annotations["gpuscaler.io/"+key], value, got.Annotations)
		}
	}
	var fields []string
	for _, gap := range got.Unsupported {
		fields = append(fields, gap.Field)
	}
	if strings.Join(fields, " ") != strings.Join(unsupported, " ") {
		t.Errorf("without an equivalent: %v, want %v", fields, unsupported)
	}
}

// An HPA of the cluster becomes annotations under which the Deployment is scaled once the HPA is gone.
func TestImportHPA(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "import")
	d := stage.Create(t, ns, "vision", 2, nil, stage.NewLoad(200))
	hpa := stage.RivalHPA()
	hpa.Spec.Metrics = append(hpa.Spec.Metrics, autoscalingv2.MetricSpec{
		Type: autoscalingv2.PodsMetricSourceType,
		Pods: &autoscalingv2.PodsMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "DCGM_FI_DEV_GPU_UTIL"},
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(50, resource.DecimalSI)},
		},
	})
	hpas := stage.Cluster.Client().AutoscalingV2().HorizontalPodAutoscalers(ns)
	if _, err := hpas.Create(t.Context(), hpa, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	report := importFrom(t, ns, "hpa/vision")
	report.want(t, map[string]string{"enabled": "true", "min-replicas": "1", "max-replicas": "8", "target.gpu-utilization": "50"}, "spec.metrics[0]")
	if _, stderr, code := stage.Command(t, "import", "hpa/vision", "-n", ns, "--strict", "--kubeconfig", stage.Cluster.Viewer); code != 1 || !strings.Contains(stderr, "spec.metrics[0]") {
		t.Errorf("--strict: code %d\n%s", code, stderr)
	}
	if events, err := stage.Cluster.AuditMutations(install.Viewer); err != nil || len(events) != 0 {
		t.Errorf("requests that would change something: %v, %v", events, err)
	}
	stdout, stderr, code := stage.Command(t, "import", "hpa/vision", "-n", ns, "-o", "manifest", "--kubeconfig", stage.Cluster.Viewer)
	if code != 0 {
		t.Fatalf("-o manifest: code %d\n%s", code, stderr)
	}
	if err := stage.Cluster.Apply(t.Context(), []byte(stdout)); err != nil {
		t.Fatal(err)
	}
	if err := hpas.Delete(t.Context(), "vision", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	stage.Runs(t, ns, p.URL())
	d.WaitReplicas(4, 20*time.Second)
}

// scaledObject is one of the Deployment vision, of which nothing but the interval has no equivalent.
func scaledObject(ns string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": map[string]any{"name": "vision-keda"},
		"spec": map[string]any{
			"scaleTargetRef": map[string]any{"name": "vision"}, "minReplicaCount": int64(1), "maxReplicaCount": int64(6), "pollingInterval": int64(15),
			"triggers": []any{map[string]any{
				"type": "prometheus", "metricType": "Value",
				"metadata": map[string]any{"query": `avg(DCGM_FI_DEV_GPU_UTIL{exported_namespace="` + ns + `", exported_pod=~"vision-.*"})`, "threshold": "60"},
			}},
		},
	}}
}

// importsScaledObject imports it, while KEDA's kind is there.
func importsScaledObject(t *testing.T, ns string) {
	t.Helper()
	importFrom(t, ns, "scaledobject/vision-keda").want(t, map[string]string{"max-replicas": "6", "target.gpu-utilization": "60"}, "spec.pollingInterval")
	if _, stderr, code := stage.Command(t, "import", "scaledobject/none", "-n", ns, "--kubeconfig", stage.Cluster.Viewer); code != 1 || !strings.Contains(stderr, "there is no scaledobject/none in namespace") {
		t.Errorf("one that is not there: code %d\n%s", code, stderr)
	}
}
