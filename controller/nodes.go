package controller

import (
	"cmp"
	"encoding/json"
	"hash/fnv"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// node is a node as far as placing pods on it goes.
type node struct {
	meta
	ready       bool
	labels      map[string]string
	taints      []corev1.Taint // those that keep pods away
	allocatable amounts
}

// newNode returns what is kept of a node.
func newNode(api runtime.Object) (n *node, keep bool) {
	from, ok := api.(*corev1.Node)
	if !ok {
		return nil, false
	}
	n = &node{meta: metaOf(from), labels: make(map[string]string, len(from.Labels)), allocatable: amountsOf(from.Status.Allocatable)}
	for k, v := range from.Labels {
		n.labels[shared(k)] = shared(v)
	}
	for _, c := range from.Status.Conditions {
		if c.Type == corev1.NodeReady {
			n.ready = c.Status == corev1.ConditionTrue
		}
	}
	for _, t := range from.Spec.Taints {
		if t.Effect != corev1.TaintEffectPreferNoSchedule {
			n.taints = append(n.taints, corev1.Taint{Key: t.Key, Value: t.Value, Effect: t.Effect})
		}
	}
	if from.Spec.Unschedulable {
		// The scheduler lets a toleration of this taint pass, whether or not the taint is there.
		n.taints = append(n.taints, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule})
	}
	return n, true
}

func (n *node) owner() types.UID { return "" }

// DeepCopyObject copies what can be changed: nothing.
func (n *node) DeepCopyObject() runtime.Object { c := *n; return &c }

// same reports whether two versions of a node differ in nothing that matters here, as with each sign of life of a kubelet.
func (n *node) same(other *node) bool {
	return n.ready == other.ready && maps.Equal(n.labels, other.labels) && maps.Equal(n.allocatable, other.allocatable) &&
		slices.Equal(n.taints, other.taints)
}

// boundPod is a pod that has a node. It lives only until it has been booked.
type boundPod struct {
	meta
	uid            types.UID
	node           string
	requests       amounts
	priority       int32
	class, runtime string
	overhead       amounts
}

// boundPods selects them: those that have ended hold nothing.
const boundPods = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"

// newBoundPod returns what matters of a pod; keep is false if it holds no part of a node. One that is terminating still does.
func newBoundPod(api runtime.Object) (p *boundPod, keep bool) {
	from, ok := api.(*corev1.Pod)
	if !ok {
		return nil, false
	}
	p = &boundPod{meta: metaOf(from), uid: from.UID, node: from.Spec.NodeName, class: from.Spec.PriorityClassName}
	if p.node == "" || from.Status.Phase == corev1.PodSucceeded || from.Status.Phase == corev1.PodFailed {
		return p, false
	}
	p.requests = podRequests(&from.Spec, &from.Status)
	if from.Spec.Priority != nil {
		p.priority = *from.Spec.Priority
	}
	if from.Spec.RuntimeClassName != nil {
		p.runtime, p.overhead = *from.Spec.RuntimeClassName, amountsOf(from.Spec.Overhead)
	}
	return p, true
}

func (p *boundPod) owner() types.UID { return "" }

// DeepCopyObject copies what can be changed: nothing.
func (p *boundPod) DeepCopyObject() runtime.Object { c := *p; return &c }

// podID is a digest of a pod's UID: a third of its size, and without a pointer.
type podID [16]byte

func podIDOf(uid types.UID) (id podID) {
	h := fnv.New128a()
	_, _ = h.Write([]byte(uid))
	h.Sum(id[:0])
	return id
}

// load is what pods of one kind take of a node. There are few different ones.
type load struct {
	key      string
	requests amounts
	priority int32
	pods     int // that share it
}

// loadKey writes down what makes two loads the same.
func loadKey(p *boundPod) string {
	text, _ := json.Marshal(struct { // numbers and strings: it cannot fail
		Requests amounts
		Priority int32
	}{p.requests, p.priority})
	return string(text)
}

// level is what the pods of one priority take of a node.
type level struct {
	priority int32
	pods     int64
	taken    amounts
}

// usage is what the pods on a node take, by priority.
type usage struct {
	node   string
	levels []level // lowest priority first
}

// change adds or, with sign -1, takes away a pod.
func (u *usage) change(l *load, sign int64) {
	i, found := slices.BinarySearchFunc(u.levels, l.priority, func(v level, priority int32) int { return cmp.Compare(v.priority, priority) })
	if !found {
		u.levels = slices.Insert(u.levels, i, level{priority: l.priority, taken: amounts{}})
	}
	v := &u.levels[i]
	v.pods += sign
	for name, n := range l.requests {
		v.taken[name] += sign * n
		if v.taken[name] == 0 {
			delete(v.taken, name)
		}
	}
	if v.pods == 0 {
		u.levels = slices.Delete(u.levels, i, i+1)
	}
}

// watchNodes watches the nodes.
func watchNodes(client kubernetes.Interface, into *store[*node]) *optional {
	from := &narrowed[*node, *corev1.NodeList]{client: client.CoreV1().Nodes(), clientset: client, convert: newNode}
	return optionally("Nodes", "how many more pods fit on them is not known", from, into)
}

// watchBoundPods watches all pods that have a node.
func watchBoundPods(client kubernetes.Interface, into *bookings) *optional {
	from := &narrowed[*boundPod, *corev1.PodList]{
		client: client.CoreV1().Pods(""), clientset: client, fields: boundPods, convert: newBoundPod,
	}
	return optionally(place("Pods", ""), "how many more fit on the nodes is not known", from, into)
}
