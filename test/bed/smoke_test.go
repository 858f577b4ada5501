package bed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/prom"
)

const wait = 10 * time.Second

func namespace(t *testing.T) string {
	t.Helper()
	ns, err := shared.Namespace(t.Context(), "smoke")
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// deploy creates a Deployment and gives its GPUs back when the test ends.
func deploy(t *testing.T, b *fleet.DeploymentBuilder) {
	t.Helper()
	d, err := b.Create(t.Context(), shared.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		if err := shared.Client().AppsV1().Deployments(d.Namespace).Delete(ctx, d.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		bed.WaitFor(t, wait, "the pods of "+d.Name+" to be gone", func() error {
			pods, err := shared.Client().CoreV1().Pods(d.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app=" + d.Name})
			if err != nil {
				return err
			}
			return bed.Want("number of pods", len(pods.Items), 0)
		})
	})
}

func waitReady(t *testing.T, ns, name string, n int32) {
	t.Helper()
	took := bed.WaitFor(t, wait, fmt.Sprintf("%d ready replicas of %s", n, name), func() error {
		d, err := shared.Client().AppsV1().Deployments(ns).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return bed.Want("status", [2]int32{d.Status.ReadyReplicas, d.Status.Replicas}, [2]int32{n, n})
	})
	t.Logf("%d ready replicas of %s after %s", n, name, took.Round(time.Millisecond))
}

// waitSeries waits until a query has n results and returns them.
func waitSeries(t *testing.T, expr string, n int) []prom.Sample {
	t.Helper()
	var samples []prom.Sample
	took := bed.WaitFor(t, wait, fmt.Sprintf("%d series of %s", n, expr), func() (err error) {
		if samples, err = prometheus.Query(t.Context(), expr); err != nil {
			return err
		}
		return bed.Want("number of series", len(samples), n)
	})
	t.Logf("%d series of %s after %s", n, expr, took.Round(time.Millisecond))
	return samples
}

func TestDeploymentIsScheduledLoadedAndMeasured(t *testing.T) {
	ns := namespace(t)
	gpus.Drive(ns, "llm", fleet.NewFixed(fleet.Reading{GPUUtilization: 83, Waiting: 7, Running: 3, KVCache: 0.5, GenerationTokens: 100}))
	deploy(t, fleet.Deployment(ns, "llm").Replicas(2).VLLM().LoadTime(50*time.Millisecond))
	waitReady(t, ns, "llm", 2)
	for expr, want := range map[string]float64{
		`DCGM_FI_DEV_GPU_UTIL{job="dcgm-exporter", exported_namespace="` + ns + `", exported_pod=~"llm-.*", namespace="gpu-operator"} > 0`: 83,
		`DCGM_FI_DEV_GPU_UTIL{job="dcgm-honored", namespace="` + ns + `", pod=~"llm-.*"} > 0`:                                              83,
		`vllm:num_requests_waiting{namespace="` + ns + `", pod=~"llm-.*", model_name="llm", engine="0"}`:                                   7,
		`vllm:kv_cache_usage_perc{namespace="` + ns + `"}`:                                                                                 0.5,
	} {
		for _, s := range waitSeries(t, expr, 2) {
			if s.Value != want {
				t.Errorf("%s = %v, want %v", expr, s.Value, want)
			}
		}
	}
	waitSeries(t, `count(DCGM_FI_DEV_GPU_UTIL{job="dcgm-exporter", exported_pod=""}) == 2`, 1)
	waitSeries(t, `rate(vllm:generation_tokens_total{namespace="`+ns+`"}[1s]) > 50 < 150`, 2)
}

func TestThirdPodBeyondTheGPUsIsUnschedulable(t *testing.T) {
	ns := namespace(t)
	deploy(t, fleet.Deployment(ns, "big").GPUs(2).Replicas(3))
	bed.WaitFor(t, wait, "an unschedulable pod", func() error {
		pods, err := shared.Client().CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			return err
		}
		ready, unschedulable := 0, 0
		for _, pod := range pods.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
					ready++
				}
				if c.Reason == corev1.PodReasonUnschedulable && strings.Contains(c.Message, "Insufficient nvidia.com/gpu") {
					unschedulable++
				}
			}
		}
		return bed.Want("ready and unschedulable", [2]int{ready, unschedulable}, [2]int{2, 1})
	})
	// A new node takes it.
	if err := gpus.AddNode(t.Context(), "spare", 2); err != nil {
		t.Fatal(err)
	}
	waitReady(t, ns, "big", 3)
	if err := gpus.RemoveNode(t.Context(), "spare"); err != nil {
		t.Fatal(err)
	}
}

func TestPrometheusAnswersThroughTheServiceProxy(t *testing.T) {
	config, err := shared.UserConfig("reader", nil)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	query := func() (string, error) {
		body, err := reader.CoreV1().RESTClient().Get().AbsPath("/api/v1/namespaces", promNamespace, "services",
			fmt.Sprintf("%s:%d", promService, promPort), "proxy/api/v1/query").
			Param("query", "count(up == 1)").DoRaw(t.Context())
		return string(body), err
	}
	if _, err := query(); !apierrors.IsForbidden(err) {
		t.Fatalf("without rights: %v, want forbidden", err)
	}
	grant(t, promNamespace, "reader", rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"services/proxy"}, Verbs: []string{"get"},
		ResourceNames: []string{fmt.Sprintf("%s:%d", promService, promPort)},
	})
	waitSeries(t, `up == 1`, 4) // two exporters, scraped by two jobs
	bed.WaitFor(t, wait, "an answer through the service proxy", func() error {
		body, err := query()
		if err != nil {
			return err
		}
		var reply struct{ Status string }
		if err := json.Unmarshal([]byte(body), &reply); err != nil {
			return fmt.Errorf("%q: %w", body, err)
		}
		return bed.Want("status", reply.Status, "success")
	})
	if err := prometheus.SetFault(prom.Refuse); err != nil {
		t.Fatal(err)
	}
	if _, err := query(); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("with Prometheus down: %v, want service unavailable", err)
	}
	if err := prometheus.SetFault(prom.Normal); err != nil {
		t.Fatal(err)
	}
	if _, err := query(); err != nil {
		t.Errorf("with Prometheus up again: %v", err)
	}
}

// grant gives a user rights in a namespace.
func grant(t *testing.T, ns, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	if err := shared.Grant(t.Context(), ns, user, rules...); err != nil {
		t.Fatal(err)
	}
}

func TestScalePatchIsFollowedAndAudited(t *testing.T) {
	ns := namespace(t)
	deploy(t, fleet.Deployment(ns, "web"))
	waitReady(t, ns, "web", 1)
	user := "scaler-" + ns
	grant(t, ns, user, rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments/scale"}, Verbs: []string{"patch"}})
	path, err := shared.UserKubeconfig(user, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	scaler, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	patch := []byte(`[{"op":"test","path":"/spec/replicas","value":1},{"op":"add","path":"/spec/replicas","value":3}]`)
	_, err = scaler.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: "me"}, "scale")
	if err != nil {
		t.Fatal(err)
	}
	if err := scaler.AppsV1().Deployments(ns).Delete(t.Context(), "web", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("deleting: %v, want forbidden", err)
	}
	_, err = scaler.AppsV1().Deployments(ns).Patch(t.Context(), "web", types.JSONPatchType,
		[]byte(`[{"op":"add","path":"/spec/replicas","value":4}]`), metav1.PatchOptions{DryRun: []string{"All"}}, "scale")
	if err != nil {
		t.Error(err)
	}
	waitReady(t, ns, "web", 3)
	events, err := shared.AuditMutations(user)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]string, len(events))
	for i, e := range events {
		at, err := url.Parse(e.URI)
		if err != nil {
			t.Fatal(err)
		}
		got[i] = fmt.Sprintf("%s %s %s/%s %s %d %s", e.Verb, e.Namespace, e.Resource, e.Subresource, e.Name, e.Code, at.Query().Get("fieldManager"))
	}
	want := []string{
		fmt.Sprintf("patch %s deployments/scale web 200 me", ns),
		fmt.Sprintf("delete %s deployments/ web 403 ", ns),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("audit log has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestServiceAccountHasItsOwnName(t *testing.T) {
	ns := namespace(t)
	path, err := shared.CreateServiceAccountKubeconfig(t.Context(), ns, "robot")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.CoreV1().Pods(ns).List(t.Context(), metav1.ListOptions{})
	if want := "system:serviceaccount:" + ns + ":robot"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("listing pods: %v, want a refusal of %s", err, want)
	}
}
