package controller

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// nodesAre makes places whose nodes are those given and on which nothing runs.
func nodesAre(nodes ...*corev1.Node) *places {
	p := newPlaces(func() {})
	p.list(nodes...)
	_ = p.bookings.Replace(nil, "1")
	return p
}

// list replaces the nodes.
func (p *places) list(nodes ...*corev1.Node) {
	var list []any
	for _, api := range nodes {
		n, _ := newNode(api)
		list = append(list, n)
	}
	_ = p.nodes.Replace(list, "1")
}

// bind books a pod on a node; change adjusts it.
func (p *places) bind(name, node string, spec corev1.PodSpec, change ...func(*corev1.Pod)) {
	api := &corev1.Pod{Spec: spec}
	api.Namespace, api.Name, api.UID, api.Spec.NodeName = "ns", name, types.UID("uid-"+name), node
	for _, f := range change {
		f(api)
	}
	if pod, keep := newBoundPod(api); keep {
		_ = p.bookings.Update(pod)
	} else {
		_ = p.bookings.Delete(pod)
	}
}

// wants makes a specification of one container with requests.
func wants(pairs ...string) corev1.PodSpec {
	return corev1.PodSpec{Containers: []corev1.Container{container(pairs...)}}
}

// wantFree compares what is free for pods now.
func (p *places) wantFree(t *testing.T, spec corev1.PodSpec, want string) {
	t.Helper()
	n, unknown := p.ledger().free(shapeOf(spec))
	got := fmt.Sprint(n)
	if unknown != "" {
		got = unknown
	}
	if got != want && (unknown == "" || !strings.Contains(got, want)) {
		t.Errorf("free %q, want %q", got, want)
	}
}

func TestFreePlaces(t *testing.T) {
	big := list("cpu", "64", "memory", "512Gi", "pods", "110", gpu, "8")
	p := nodesAre(
		apiNode("n1", big, "zone=a"), apiNode("n2", big, "zone=b"),
		apiNode("cpu", list("cpu", "4", "memory", "8Gi", "pods", "3")),
		apiNode("mig", list("cpu", "64", "memory", "64Gi", "pods", "110", "nvidia.com/mig-1g.10gb", "7")),
	)
	two := wants(gpu, "2", "cpu", "1")
	p.wantFree(t, two, "8")
	p.wantFree(t, wants(gpu, "3"), "4") // two of them are left over on each node
	p.wantFree(t, wants(gpu, "9"), "0")
	p.wantFree(t, wants("nvidia.com/mig-1g.10gb", "1"), "7")
	p.wantFree(t, wants(gpu, "1", "memory", "200Gi"), "4")
	p.wantFree(t, wants(gpu, "1", "cpu", "20500m"), "6")
	p.wantFree(t, wants("cpu", "1"), "195")
	p.wantFree(t, wants(), "333")
	p.wantFree(t, wants("example.com/fpga", "1"), "no node offers example.com/fpga")

	p.bind("a", "n1", wants(gpu, "5", "cpu", "1"))
	p.wantFree(t, two, "5")
	p.bind("a", "n1", wants(gpu, "5", "cpu", "1")) // the same again
	p.wantFree(t, two, "5")
	p.bind("a", "n1", wants(gpu, "4", "cpu", "1"))
	p.wantFree(t, two, "6")
	p.bind("b", "n2", wants(gpu, "8"), func(pod *corev1.Pod) { pod.DeletionTimestamp = ptr.To(pod.CreationTimestamp) })
	p.wantFree(t, two, "2") // what is terminating still holds its devices
	p.bind("b", "n2", wants(gpu, "8"), func(pod *corev1.Pod) { pod.Status.Phase = corev1.PodSucceeded })
	p.wantFree(t, two, "6")
	p.bind("c", "gone", wants(gpu, "8"))
	p.wantFree(t, two, "6")
	p.bind("d", "cpu", wants())
	p.wantFree(t, wants(), "331")

	n1 := apiNode("n1", big, "zone=a")
	n1.Spec.Unschedulable = true
	p.list(n1, apiNode("n2", big, "zone=b"), apiNode("gone", big))
	p.wantFree(t, two, "4")
	_ = p.bookings.Replace(nil, "2")
	p.wantFree(t, two, "8")
	if n := len(p.bookings.pods) + len(p.bookings.loads) + len(p.bookings.nodes); n != 0 {
		t.Errorf("%d bookings are left of no pods", n)
	}
	p.bookings.reset()
	if p.ledger() != nil {
		t.Error("places are counted though the pods are not known")
	}
}

// Nothing is left of a pod that has come and gone, however it went.
func TestBookingsBalance(t *testing.T) {
	p := nodesAre(apiNode("n1", list("pods", "110", gpu, "8")), apiNode("n2", list("pods", "110", gpu, "8")))
	for i := range 8 {
		p.bind(fmt.Sprint(i), "n1", wants(gpu, fmt.Sprint(i%3)))
	}
	for i := range 8 {
		p.bind(fmt.Sprint(i), "n2", wants(gpu, "1")) // created anew under its name elsewhere
	}
	p.wantFree(t, wants(gpu, "1"), "8")
	for i := range 8 {
		p.bind(fmt.Sprint(i), "", wants())
	}
	p.wantFree(t, wants(gpu, "1"), "16")
	if n := len(p.bookings.pods) + len(p.bookings.loads) + len(p.bookings.nodes); n != 0 {
		t.Errorf("%d bookings are left of no pods", n)
	}
}

func TestPodsThatMayEvict(t *testing.T) {
	priority := func(n int32, class string) func(*corev1.Pod) {
		return func(pod *corev1.Pod) { pod.Spec.Priority, pod.Spec.PriorityClassName = &n, class }
	}
	one := wants(gpu, "1")
	high, polite := wants(gpu, "1"), wants(gpu, "1")
	high.PriorityClassName, polite.PriorityClassName = "high", "high"
	polite.PreemptionPolicy = ptr.To(corev1.PreemptNever)
	low := wants(gpu, "1")
	low.PriorityClassName = "balloon"

	p := nodesAre(apiNode("n1", list("cpu", "64", "pods", "110", gpu, "8")))
	p.wantFree(t, high, "no pod with priority class high runs")
	p.bind("agent", "n1", wants("cpu", "1"), priority(2_000_001_000, "system-node-critical"))
	p.bind("high", "n1", one, priority(1000, "high"))
	p.wantFree(t, one, "7")
	p.wantFree(t, high, "7")

	p.bind("web", "n1", wants("cpu", "8"), priority(0, ""))
	p.wantFree(t, high, "7") // cpu is not what there is too little of
	p.bind("batch", "n1", one, priority(0, ""))
	p.wantFree(t, one, "6")
	p.wantFree(t, high, "its pods may evict others from node n1")
	p.wantFree(t, polite, "6")

	p.bind("batch", "", one)
	p.bind("balloon", "n1", one, priority(-10, "balloon"))
	p.wantFree(t, one, "its pods may evict others from node n1")
	p.wantFree(t, low, "6")
}

func TestOverheadOfARuntime(t *testing.T) {
	p := nodesAre(apiNode("n1", list("cpu", "8", "pods", "110")))
	kata := wants("cpu", "1500m")
	kata.RuntimeClassName = ptr.To("kata")
	p.wantFree(t, kata, "no pod with runtime class kata runs")
	p.bind("a", "n1", kata, func(pod *corev1.Pod) { pod.Spec.Overhead = list("cpu", "500m") })
	p.wantFree(t, kata, "3")
}

// A heartbeat changes nothing, so that nothing is computed anew.
func TestHeartbeatOfANode(t *testing.T) {
	p := nodesAre(apiNode("n1", list("pods", "110", gpu, "8"), "zone=a"))
	p.wantFree(t, wants(gpu, "1"), "8")
	before := p.rooms
	again, _ := newNode(apiNode("n1", list("pods", "110", gpu, "8"), "zone=a"))
	_ = p.nodes.Update(again)
	if p.ledger(); p.rooms != before {
		t.Error("a node that is as it was makes new rooms")
	}
	p.wantFree(t, wants(gpu, "1"), "8")
	changed, _ := newNode(apiNode("n1", list("pods", "110", gpu, "7"), "zone=a"))
	_ = p.nodes.Update(changed)
	p.wantFree(t, wants(gpu, "1"), "7")
}

func TestLedger(t *testing.T) {
	p := nodesAre(apiNode("n1", list("pods", "110", gpu, "3")), apiNode("n2", list("pods", "110", gpu, "4")))
	one, two := shapeOf(wants(gpu, "1")), shapeOf(wants(gpu, "2"))
	a, b := &deployment{uid: "a"}, &deployment{uid: "b"}
	a.shape, b.shape = two, one
	free := func(l *ledger, d *deployment) string {
		n, known := l.forDeployment(d)
		return fmt.Sprint(n, known)
	}
	l := p.ledger()
	if got := free(l, a); got != "3 true" {
		t.Errorf("free for a: %s, want 3", got)
	}
	l.promise(a, 2) // one on each node
	if got := free(l, a); got != "3 true" {
		t.Errorf("free for a: %s, want 3: what is promised is its own", got)
	}
	if got := free(l, b); got != "3 true" {
		t.Errorf("free for b: %s, want what is not promised: 1 on n1 and 2 on n2", got)
	}
	if got := l.take(one, 5); got != 3 {
		t.Errorf("took %d, want the 3 there are", got)
	}
	if got := free(l, a) + ", " + free(l, b); got != "2 true, 0 true" {
		t.Errorf("free for a and b: %s, want what is promised and nothing", got)
	}
	if got := free(p.ledger(), b); got != "7 true" {
		t.Errorf("free in the next tick: %s, want all again", got)
	}
	few := nodesAre(apiNode("n1", list("pods", "3", gpu, "8"))).ledger()
	if got := few.take(two, 1) + few.take(one, 9); got != 3 {
		t.Errorf("took %d, want as many as a node takes pods", got)
	}
	cordoned := apiNode("n1", list("pods", "3", gpu, "8"))
	cordoned.Spec.Unschedulable = true
	for want, l := range map[string]*ledger{
		"pods": few, gpu: p.ledger(), "": nil, "a node that its selector, affinity and tolerations admit": nodesAre(cordoned).ledger(),
	} {
		if got := l.lacking(a); got != want {
			t.Errorf("lacking %q, want %q", got, want)
		}
	}
	if got := free(nil, a); got != "0 false" {
		t.Errorf("without a ledger: %s, want that it is not known", got)
	}
	if got := free(l, &deployment{}); got != "0 false" {
		t.Errorf("without a template: %s, want that it is not known", got)
	}
}

func TestPlacingOfADeployment(t *testing.T) {
	d := apiDeployment("ns", "a", 3, asks("running-requests"))
	d.Generation = 2
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, ReadyReplicas: 3}
	if p := newPlacing(d); !p.settled || !p.judged {
		t.Errorf("got %+v, want settled and judged", p)
	}
	for name, change := range map[string]func(){
		"not observed yet": func() { d.Status.ObservedGeneration = 1 },
		"not ready":        func() { d.Status.ReadyReplicas = 2 },
		"surge":            func() { d.Status.Replicas = 4 },
	} {
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, ReadyReplicas: 3}
		change()
		if p := newPlacing(d); p.settled {
			t.Errorf("%s: got %+v", name, p)
		}
	}
	d.Spec.Template.Spec.SchedulerName = "volcano"
	if newPlacing(d).judged {
		t.Error("a template for another scheduler is judged")
	}
}
