package doctor

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/policy"
)

// applied is an entry of managedFields by which a manager owns the replicas.
func applied(manager string, operation metav1.ManagedFieldsOperationType) metav1.ManagedFieldsEntry {
	now := metav1.Now()
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: operation, Time: &now, FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{},"f:template":{}}}`),
	}
}

// TestOwners tells who manages a Deployment, and who has its replicas in a manifest.
func TestOwners(t *testing.T) {
	for _, c := range []struct {
		name                string
		labels, annotations map[string]string
		fields              []metav1.ManagedFieldsEntry
		tool, sets          string
	}{
		{name: "nobody"},
		{name: "Argo CD by annotation", annotations: map[string]string{"argocd.argoproj.io/tracking-id": "app:apps/Deployment:ml/llm"}, tool: "Argo CD"},
		{name: "Argo CD by label", labels: map[string]string{"argocd.argoproj.io/instance": "llm"}, tool: "Argo CD (application llm)"},
		{name: "Flux", labels: map[string]string{"kustomize.toolkit.fluxcd.io/name": "apps"}, tool: "Flux (Kustomization apps)"},
		{name: "Flux before Helm", labels: map[string]string{"helm.toolkit.fluxcd.io/name": "llm"}, annotations: map[string]string{"meta.helm.sh/release-name": "llm"}, tool: "Flux (HelmRelease llm)"},
		{name: "Helm", annotations: map[string]string{"meta.helm.sh/release-name": "llm"}, tool: "Helm (release llm)"},
		{name: "server-side apply", fields: []metav1.ManagedFieldsEntry{applied("kustomize-controller", metav1.ManagedFieldsOperationApply)}, sets: "kustomize-controller"},
		{name: "a reset", fields: []metav1.ManagedFieldsEntry{applied("argocd-controller", metav1.ManagedFieldsOperationUpdate)}, sets: "argocd-controller"},
		{
			name:        "kubectl apply",
			annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"spec":{"replicas":3}}`}, sets: "the manifest of the last kubectl apply",
		},
		{name: "kubectl apply without", annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{"spec":{}}`}},
		{name: "what cannot be read", annotations: map[string]string{"kubectl.kubernetes.io/last-applied-configuration": `{`}},
	} {
		d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Labels: c.labels, Annotations: c.annotations, ManagedFields: c.fields}}
		w := workloadOf(d, policy.Settings{})
		if w.GitOps != c.tool || w.SetsReplicas != c.sets {
			t.Errorf("%s: got %q and %q, want %q and %q", c.name, w.GitOps, w.SetsReplicas, c.tool, c.sets)
		}
	}
}

// quantities makes a list of pairs.
func quantities(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

// TestLimits compares quotas with max-replicas 8 of pods with two GPUs, of which two are there, and limit ranges with any pod.
func TestLimits(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "llm"}}
	d.Spec.Template.Spec.Containers = []corev1.Container{
		{Name: "engine", Resources: corev1.ResourceRequirements{Limits: quantities("nvidia.com/gpu", "2", "cpu", "2500m")}},
		{Name: "proxy", Resources: corev1.ResourceRequirements{Requests: quantities("cpu", "500m")}},
	}
	quota := func(hard, used corev1.ResourceList, scopes ...corev1.ResourceQuotaScope) corev1.ResourceQuota {
		return corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "q"}, Spec: corev1.ResourceQuotaSpec{Hard: hard, Scopes: scopes}, Status: corev1.ResourceQuotaStatus{Used: used},
		}
	}
	most := func(kind corev1.LimitType, pairs ...string) corev1.LimitRange {
		return corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: "ml", Name: "r"}, Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{Type: kind, Max: quantities(pairs...)}}}}
	}
	for _, c := range []struct {
		name   string
		quotas []corev1.ResourceQuota
		ranges []corev1.LimitRange
		want   string // what is said, empty for nothing
	}{
		{name: "none"},
		{name: "enough GPUs", quotas: []corev1.ResourceQuota{quota(quantities("requests.nvidia.com/gpu", "16"), quantities("requests.nvidia.com/gpu", "4"))}},
		{
			name: "too few GPUs", quotas: []corev1.ResourceQuota{quota(quantities("requests.nvidia.com/gpu", "11"), quantities("requests.nvidia.com/gpu", "4"))},
			want: "allows 11 requests.nvidia.com/gpu and 4 are used: it is enough for 3 more pods, and max-replicas 8 is 6 more",
		},
		{name: "pods", quotas: []corev1.ResourceQuota{quota(quantities("pods", "5"), quantities("pods", "6"))}, want: "enough for 0 more pods"},
		{name: "cpu", quotas: []corev1.ResourceQuota{quota(quantities("requests.cpu", "10"), quantities("requests.cpu", "6"))}, want: "enough for 1 more pods"},
		{name: "another resource", quotas: []corev1.ResourceQuota{quota(quantities("services", "1"), nil)}},
		{name: "of some pods only", quotas: []corev1.ResourceQuota{quota(quantities("pods", "1"), nil, corev1.ResourceQuotaScopeBestEffort)}},
		{name: "a container's maximum", ranges: []corev1.LimitRange{most(corev1.LimitTypeContainer, "nvidia.com/gpu", "1")}, want: "allows 1 nvidia.com/gpu at most, and container engine wants 2"},
		{name: "a pod's maximum", ranges: []corev1.LimitRange{most(corev1.LimitTypePod, "cpu", "2900m")}, want: "allows 2900m cpu at most, and a pod wants 3"},
		{name: "within", ranges: []corev1.LimitRange{most(corev1.LimitTypePod, "cpu", "3"), most(corev1.LimitTypeContainer, "nvidia.com/gpu", "2")}},
	} {
		w := WorkloadFacts{Spec: annotated(t, "target.gpu-utilization", "50"), Pods: 2, PodsKnown: true}
		w.Namespace = "ml"
		(&objects{quotas: c.quotas, ranges: c.ranges}).limit(&w, d)
		got := strings.Join(append(w.Quotas, w.Ranges...), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// TestHanging breaks texts only where there is room for a column, and between words.
func TestHanging(t *testing.T) {
	text := "one two three four five six seven eight nine ten"
	if got := hanging(text, 10, 0); got != text {
		t.Errorf("no terminal: got %q", got)
	}
	if got, want := hanging(text, 4, 30), "one two three four five\n    six seven eight nine ten"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fmt.Sprint(len(strings.Split(hanging(text, 10, 20), "\n"))); got != "1" {
		t.Errorf("too narrow: %s lines", got)
	}
}
