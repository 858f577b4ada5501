package controller

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// What a controller judges from its watches, for those who list the cluster once: they must come to the same judgement.

// HandOf tells who has set spec.replicas last, as far as the API server has noted it.
func HandOf(d *appsv1.Deployment) policy.Hand {
	hand, _ := handOf(d)
	return hand
}

// RivalKinds are the other autoscalers that are looked for.
func RivalKinds() []schema.GroupVersionResource { return slices.Clone(rivalKinds) }

// Rivals returns the names of the other autoscalers among some objects, by the Deployment that they scale.
func Rivals(objects []unstructured.Unstructured) map[types.NamespacedName]string {
	var found []*rival
	for i := range objects {
		if r, keep := newRival(&objects[i]); keep {
			found = append(found, r)
		}
	}
	names := map[types.NamespacedName]string{}
	for at, name := range namesOf(found) {
		names[types.NamespacedName{Namespace: at.namespace, Name: at.name}] = name
	}
	return names
}

// Room is what the nodes of a cluster have free. It is not safe for concurrent use.
type Room struct{ places *places }

// NewRoom returns the room on some nodes that no pod has.
func NewRoom(nodes []corev1.Node) *Room {
	p := newPlaces(func() {})
	var list []any
	for i := range nodes {
		if n, keep := newNode(&nodes[i]); keep {
			list = append(list, n)
		}
	}
	_ = p.nodes.Replace(list, "1") // these two fail only on objects of another kind
	_ = p.bookings.Replace(nil, "1")
	return &Room{p}
}

// Take takes what a pod holds of its node, if it has one.
func (r *Room) Take(pod *corev1.Pod) {
	if p, keep := newBoundPod(pod); keep {
		_ = r.places.bookings.Update(p)
	}
}

// For tells how many more pods of a Deployment the nodes can place now, and why that is not known, empty if it is.
func (r *Room) For(d *appsv1.Deployment) (n int, unknown string) {
	return r.places.ledger().free(newPlacing(d).shape)
}

// Requests is what the scheduler sees a pod of a Deployment request by resource: cpu in thousandths, all else in whole units.
func Requests(d *appsv1.Deployment) map[corev1.ResourceName]int64 {
	return podRequests(&d.Spec.Template.Spec, &corev1.PodStatus{})
}
