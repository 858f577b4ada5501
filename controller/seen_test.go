package controller

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// TestRoom measures once what the controller follows.
func TestRoom(t *testing.T) {
	d := &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: wants(gpu, "2", "cpu", "1")}}}
	room := NewRoom([]corev1.Node{*apiNode("n1", list("cpu", "64", "memory", "512Gi", "pods", "110", gpu, "8"))})
	if n, unknown := room.For(d); n != 4 || unknown != "" {
		t.Errorf("an empty node: got %d, %q, want 4", n, unknown)
	}
	taker := corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "taker"}, Spec: wants(gpu, "3")}
	room.Take(&taker) // it has no node yet
	if n, _ := room.For(d); n != 4 {
		t.Errorf("a pod without a node: got %d, want 4", n)
	}
	taker.Spec.NodeName = "n1"
	room.Take(&taker)
	if n, _ := room.For(d); n != 2 {
		t.Errorf("beside a pod: got %d, want 2", n)
	}
	if _, unknown := NewRoom(nil).For(d); unknown == "" {
		t.Error("without nodes: want to be told that none offers a GPU")
	}
	if got := Requests(d)[gpu]; got != 2 {
		t.Errorf("requests %d GPUs, want 2", got)
	}
}

// TestRivalsOfAList names an HPA by what made it.
func TestRivalsOfAList(t *testing.T) {
	rival := func(kind, name, uid, maker string) unstructured.Unstructured {
		u := unstructured.Unstructured{Object: map[string]any{
			"kind": kind, "spec": map[string]any{"scaleTargetRef": map[string]any{"kind": "Deployment", "name": "llm"}},
		}}
		u.SetNamespace("ml")
		u.SetName(name)
		u.SetUID(types.UID(uid))
		if maker != "" {
			yes := true
			u.SetOwnerReferences([]metav1.OwnerReference{{Kind: "ScaledObject", Name: "keda", UID: types.UID(maker), Controller: &yes}})
		}
		return u
	}
	got := Rivals([]unstructured.Unstructured{rival("HorizontalPodAutoscaler", "keda-hpa", "1", "2"), rival("ScaledObject", "keda", "2", "")})
	if name := got[types.NamespacedName{Namespace: "ml", Name: "llm"}]; len(got) != 1 || name != "ScaledObject ml/keda" {
		t.Errorf("got %v", got)
	}
	if len(RivalKinds()) != len(rivalKinds) {
		t.Error("want all kinds")
	}
}
