package promql

import (
	"fmt"
	"slices"
	"testing"

	"github.com/gpuscaler/gpuscaler/metrics"
)

// TestKubeState asks for a Deployment's past as kube-state-metrics exports it: pods of two ReplicaSets, of another Deployment, and of
// one of the same name in another namespace.
func TestKubeState(t *testing.T) {
	owner := func(namespace, pod, set string) string {
		return fmt.Sprintf(`kube_pod_owner{namespace=%q,pod=%q,owner_kind="ReplicaSet",owner_name=%q,owner_is_controller="true",job="ksm"}`, namespace, pod, set)
	}
	set := func(namespace, set, deployment string) string {
		return fmt.Sprintf(`kube_replicaset_owner{namespace=%q,replicaset=%q,owner_kind="Deployment",owner_name=%q,owner_is_controller="true",job="ksm"}`, namespace, set, deployment)
	}
	ready := func(pod, condition string) string {
		return fmt.Sprintf(`kube_pod_status_ready{namespace="ml",pod=%q,condition=%q,job="ksm"}`, pod, condition)
	}
	p := newServer(t, database{
		owner("ml", "llm-1-a", "llm-1"): last(1), owner("ml", "llm-2-b", "llm-2"): last(1), owner("ml", "llm-chat-1-c", "llm-chat-1"): last(1),
		owner("other", "llm-1-z", "llm-1"): last(1),
		set("ml", "llm-1", "llm"):          last(1), set("ml", "llm-2", "llm"): last(1), set("ml", "llm-chat-1", "llm-chat"): last(1),
		set("other", "llm-1", "llm"): last(1),
		ready("llm-1-a", "true"):     last(1), ready("llm-1-a", "false"): last(0), ready("llm-2-b", "true"): last(0), ready("llm-2-b", "false"): last(1),
		`kube_deployment_spec_replicas{namespace="ml",deployment="llm",job="ksm"}`:                                                                      last(3),
		`kube_deployment_spec_replicas{namespace="other",deployment="llm",job="ksm"}`:                                                                   last(9),
		`gpuscaler_current_replicas{namespace="gpuscaler-system",exported_namespace="ml",workload_kind="Deployment",workload="llm",job="gpuscaler"}`:    last(4),
		`gpuscaler_current_replicas{namespace="gpuscaler-system",exported_namespace="other",workload_kind="Deployment",workload="llm",job="gpuscaler"}`: last(8),
	}, false).reader(false)
	for _, c := range []struct {
		query metrics.Query
		want  string
	}{
		{metrics.OwnedPods, "[llm-1-a llm-2-b]"},
		{metrics.ReadyPods, "[llm-1-a]"},
		{metrics.SpecReplicas, "3"},
		{metrics.CurrentReplicas, "4"},
	} {
		result, err := p.ReadQuery(t.Context(), c.query, "ml", "llm")
		if err != nil {
			t.Errorf("%s: %v", c.query.Query, err)
			continue
		}
		got := fmt.Sprint(result.Value.Value)
		if result.PerPod {
			var pods []string
			for key := range result.Samples.All() {
				pods = append(pods, key.Pod)
			}
			slices.Sort(pods)
			got = fmt.Sprint(pods)
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.query.Query, got, c.want)
		}
	}
}
