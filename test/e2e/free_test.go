package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// poolTaint keeps the pods of all other tests off the nodes of this one.
var poolTaint = corev1.Taint{Key: "pool", Value: "free", Effect: corev1.TaintEffectNoSchedule}

// quantities makes a list from names and quantities in turn.
func quantities(pairs ...string) corev1.ResourceList {
	list := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

// poolNode makes a Ready node that nobody plays kubelet for: pods are placed on it, which is all that is looked at.
func poolNode(t *testing.T, name string, offers corev1.ResourceList, labels map[string]string, change func(*corev1.NodeSpec)) {
	t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": "free"}},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{poolTaint}},
		Status: corev1.NodeStatus{
			Capacity: offers, Allocatable: offers,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}},
		},
	}
	maps.Copy(n.Labels, labels)
	if change != nil {
		change(&n.Spec)
	}
	if _, err := stage.Cluster.Client().CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// neighbour makes a pod that is already on a node.
func neighbour(t *testing.T, ns, name, node string, requests corev1.ResourceList) {
	t.Helper()
	_, err := stage.Cluster.Client().CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "c", Image: "example.com/c:1", Resources: corev1.ResourceRequirements{Requests: requests, Limits: requests},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// told is how many pods the program says could be placed, and how many stand where.
func told(p *stage.Process, d stage.Deployment) (string, error) {
	text, err := stage.Get("http://" + p.Listen + "/api/v1/workloads/" + d.Namespace + "/" + d.Name)
	if err != nil {
		return "", err
	}
	var w struct{ Pods struct{ Free *int } }
	if err := json.Unmarshal(text, &w); err != nil {
		return "", err
	}
	if w.Pods.Free == nil {
		return "unknown", nil
	}
	return fmt.Sprint(*w.Pods.Free), nil
}

// bound counts the pods of a Deployment that have a node, and those that the scheduler has given up on for now.
func bound(d stage.Deployment) (bound, unschedulable int, err error) {
	pods, err := stage.Cluster.Client().CoreV1().Pods(d.Namespace).List(d.T.Context(), metav1.ListOptions{LabelSelector: "app=" + d.Name})
	if err != nil {
		return 0, 0, err
	}
	for i := range pods.Items {
		if pods.Items[i].Spec.NodeName != "" {
			bound++
			continue
		}
		for _, c := range pods.Items[i].Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Reason == corev1.PodReasonUnschedulable {
				unschedulable++
			}
		}
	}
	return bound, unschedulable, nil
}

// What is said to fit is what the scheduler then places, for nodes and templates of several kinds, one after the other.
func TestFreeIsWhatTheSchedulerPlaces(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "free")
	gpu := string(fleet.GPUResource)
	poolNode(t, "free-large", quantities("cpu", "32", "memory", "64Gi", "pods", "110", gpu, "8"), map[string]string{"kind": "h100", "memory": "80"}, nil)
	poolNode(t, "free-slim", quantities("cpu", "5", "memory", "64Gi", "pods", "110", gpu, "8"), map[string]string{"kind": "a100", "memory": "40"}, nil)
	poolNode(t, "free-few", quantities("cpu", "32", "memory", "64Gi", "pods", "3", gpu, "8"), map[string]string{"kind": "a100", "memory": "80"}, nil)
	poolNode(t, "free-cordoned", quantities("cpu", "32", "memory", "64Gi", "pods", "110", gpu, "8"), map[string]string{"kind": "h100"},
		func(s *corev1.NodeSpec) { s.Unschedulable = true })
	poolNode(t, "free-reserved", quantities("cpu", "32", "memory", "64Gi", "pods", "110", gpu, "8"), map[string]string{"kind": "h100"},
		func(s *corev1.NodeSpec) {
			s.Taints = append(s.Taints, corev1.Taint{Key: "reserved", Effect: corev1.TaintEffectNoExecute})
		})
	poolNode(t, "free-plain", quantities("cpu", "32", "memory", "64Gi", "pods", "110"), nil, nil)
	neighbour(t, ns, "other", "free-large", quantities("cpu", "1", gpu, "3"))
	neighbour(t, ns, "agent", "free-few", quantities("cpu", "1"))

	program := stage.Runs(t, ns, "http://127.0.0.1:1") // nothing listens there
	requires := func(terms ...corev1.NodeSelectorRequirement) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: terms}},
		}}}
	}
	for _, tt := range []struct {
		name     string
		requests corev1.ResourceList
		change   func(*corev1.PodSpec)
		want     string
	}{
		{"one", quantities(gpu, "1", "cpu", "1"), nil, "12"}, // 5 and 5 and 2
		{"two", quantities(gpu, "2"), nil, "8"},              // 2 and 4 and 2
		{"cpu", quantities(gpu, "1", "cpu", "4"), nil, "8"},  // 5 and 1 and 2
		{"selected", quantities(gpu, "1"), func(s *corev1.PodSpec) { s.NodeSelector["kind"] = "h100" }, "5"},
		{"affine", quantities(gpu, "1"), func(s *corev1.PodSpec) {
			s.Affinity = requires(
				corev1.NodeSelectorRequirement{Key: "memory", Operator: corev1.NodeSelectorOpGt, Values: []string{"40"}},
				corev1.NodeSelectorRequirement{Key: "kind", Operator: corev1.NodeSelectorOpNotIn, Values: []string{"h100"}},
			)
		}, "2"},
		{"named", quantities(gpu, "3"), func(s *corev1.PodSpec) {
			s.Affinity = requires()
			s.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms[0].MatchFields = []corev1.NodeSelectorRequirement{
				{Key: "metadata.name", Operator: corev1.NodeSelectorOpIn, Values: []string{"free-slim"}},
			}
		}, "2"},
		{"tolerant", quantities(gpu, "4"), func(s *corev1.PodSpec) {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Operator: corev1.TolerationOpExists})
		}, "9"}, // 1 and 2 and 2, cordoned 2, reserved 2
		{"starting", quantities(gpu, "1", "cpu", "1"), func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "fetch", Image: "example.com/f:1", Resources: corev1.ResourceRequirements{Requests: quantities("cpu", "5")}}}
		}, "8"}, // as many as with 5 cpus: 5 and 1 and 2
		{"too-large", quantities(gpu, "9"), nil, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			builder := fleet.Deployment(ns, tt.name).Replicas(0).Annotations(stage.GPUAnnotations("paused", "true"))
			spec := &builder.Object().Spec.Template.Spec
			spec.NodeSelector = map[string]string{"pool": "free"}
			spec.Tolerations = []corev1.Toleration{{Key: poolTaint.Key, Value: poolTaint.Value}}
			spec.TerminationGracePeriodSeconds = ptr.To[int64](0) // there is no kubelet that would end them
			spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: tt.requests, Limits: quantities(gpu, tt.requests.Name(fleet.GPUResource, "").String())}
			if tt.change != nil {
				tt.change(spec)
			}
			object, err := builder.Create(t.Context(), stage.Cluster.Client())
			if err != nil {
				t.Fatal(err)
			}
			agrees(t, program, object, tt.want)
		})
	}
}

// agrees wants the program to say how many pods can be placed, and the scheduler to place just so many.
func agrees(t *testing.T, program *stage.Process, object *appsv1.Deployment, want string) {
	t.Helper()
	d := stage.Of(t, object.Namespace, object.Name)
	says := func(when, want string) {
		t.Helper()
		bed.WaitFor(t, 15*time.Second, "what is free "+when, func() error {
			got, err := told(program, d)
			if err != nil {
				return err
			}
			return bed.Want("free", got, want)
		})
	}
	says("before", want)
	var places int
	if _, err := fmt.Sscan(want, &places); err != nil {
		t.Fatal(err)
	}
	d.Scale(places + 2)
	bed.WaitFor(t, 30*time.Second, "the scheduler", func() error {
		bound, unschedulable, err := bound(d)
		if err != nil {
			return err
		}
		return bed.Want("bound and unschedulable", [2]int{bound, unschedulable}, [2]int{places, 2})
	})
	says("when all is taken", "0")
	d.Scale(0)
	bed.WaitFor(t, 30*time.Second, "the end of its pods", func() error {
		bound, unschedulable, err := bound(d)
		if err != nil {
			return err
		}
		return bed.Want("pods", bound+unschedulable, 0)
	})
	says("in the end", want)
}
