package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gpuscaler/gpuscaler/policy"
)

// herd is a bed whose pods are in a fake API server too, so that they can be marked.
type herd struct {
	*bed
	client *fake.Clientset
	mu     sync.Mutex
	log    []string
	// busy are the running requests of each pod. The other signals are others' to read.
	busy   map[string]float64
	others SignalReader
}

// Read tells how busy each pod is.
func (h *herd) Read(ctx context.Context, signal policy.Signal, namespaces []string) (Readings, error) {
	if signal != policy.RunningRequests {
		return h.others.Read(ctx, signal, namespaces)
	}
	return Readings{Pod: func(_, name string) (policy.Sample, string) {
		value, ok := h.busy[name]
		return policy.Sample{Value: value, OK: ok}, "vllm:num_requests_running"
	}}, nil
}

// newHerd makes a Deployment a with five ready pods, of which a-3 is the least busy, then a-1 and then a-4. It asks for 50 percent
// on each GPU.
func newHerd(t *testing.T, more ...string) *herd {
	h := &herd{client: fake.NewClientset(), busy: map[string]float64{"a-0": 9, "a-1": 2, "a-2": 8, "a-3": 1, "a-4": 3}}
	for n := range 5 {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("a-%d", n)}}
		if err := h.client.Tracker().Add(pod); err != nil {
			t.Fatal(err)
		}
	}
	h.bed = newBed(t, func(o *Options) {
		o.Client, o.Events = h.client, true
		h.others, o.Signals = o.Signals, h
		o.Logger = funcr.New(func(_, text string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.log = append(h.log, text)
		}, funcr.Options{})
	})
	t.Cleanup(h.recorder.stop)
	h.reader.set(policy.GPUUtilization, 50)
	more = append([]string{"scale-down.stabilization", "0s", "scale-down.policies", "100%/1s", "scale-down.order", "least-busy"}, more...)
	h.deploy("a", 5, asks(policy.GPUUtilization, more...))
	return h
}

// costs returns the pods' costs as the API server has them, and lets the cache see them.
func (h *herd) costs() string {
	h.t.Helper()
	synctest.Wait()
	list, err := h.client.CoreV1().Pods("ns").List(h.t.Context(), metav1.ListOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	var costs []string
	for i := range list.Items {
		from := &list.Items[i]
		if value, set := from.Annotations[corev1.PodDeletionCost]; set {
			costs = append(costs, from.Name+"="+value)
		}
		if seen := h.members.pods.get(key{"ns", from.Name}); seen != nil {
			changed := *seen
			changed.cost = costOf(from)
			_ = h.members.pods.Update(&changed)
		}
	}
	return strings.Join(costs, " ")
}

// remove takes pods away.
func (h *herd) remove(pods ...string) {
	for _, name := range pods {
		_ = h.client.CoreV1().Pods("ns").Delete(h.t.Context(), name, metav1.DeleteOptions{})
		_ = h.members.pods.Delete(h.members.pods.get(key{"ns", name}))
	}
}

// annotate sets a cost as someone else does.
func (h *herd) annotate(pod, cost string) {
	h.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, corev1.PodDeletionCost, cost)
	_, err := h.client.CoreV1().Pods("ns").Patch(h.t.Context(), pod, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-annotate"})
	if err != nil {
		h.t.Fatal(err)
	}
}

// step ticks and returns the costs after it.
func (h *herd) step(n int) string {
	h.Tick(h.t.Context(), noon.Add(time.Duration(n)*5*time.Second))
	return h.costs()
}
