// Package hpa runs the HorizontalPodAutoscaler of Kubernetes itself, one tick at a time: the controller of
// k8s.io/kubernetes with all its code, and around it, instead of an API server and a metrics API, what the caller says
// that it sees. Its clock is time.Now, so that it belongs into a testing/synctest bubble.
package hpa

import (
	"context"
	"slices"
	"time"

	"github.com/go-logr/logr"
	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
)

// The names of the one object and the one Deployment that there are.
const (
	namespace = "default"
	name      = "workload"
)

// Sight is what the autoscaler gets to see at one tick.
type Sight struct {
	// Replicas is spec.replicas, and status.replicas too.
	Replicas int32
	// Pods are all pods that its selector finds.
	Pods []Pod
	// PodMetrics are the per-pod metrics by name, in thousandths. One that is not there cannot be read.
	PodMetrics map[string]metricsclient.PodMetricsInfo
	// External are the metrics of the whole workload by name, in thousandths. One that is not there cannot be read.
	External map[string]int64
	// RefuseWrite makes the write of this tick fail.
	RefuseWrite bool
}

// Pod is one pod of the workload.
type Pod struct {
	Name  string
	Phase corev1.PodPhase
	// Terminating pods have a deletion timestamp.
	Terminating bool
}

// Outcome is what the autoscaler did at one tick.
type Outcome struct {
	// Desired is the number of replicas that it wrote, or tried to, or left.
	Desired int32
	// Conditions are those that it set at this tick.
	Conditions []autoscaling.HorizontalPodAutoscalerCondition
	// Err is what it returned: also if one of several metrics was missing and it decided without.
	Err error
}

// Condition returns the condition of a type, nil if this tick did not set it.
func (o *Outcome) Condition(t autoscaling.HorizontalPodAutoscalerConditionType) *autoscaling.HorizontalPodAutoscalerCondition {
	for i := range o.Conditions {
		if o.Conditions[i].Type == t {
			return &o.Conditions[i]
		}
	}
	return nil
}

// Autoscaler is the controller. It is for one goroutine.
type Autoscaler struct {
	controller *podautoscaler.HorizontalController
	ctx        context.Context
	surrounds  *surrounds
	pods       cache.Indexer
	known      map[Pod]*corev1.Pod
	placed     []Pod
}

// New makes the controller with the settings of kube-controller-manager. Its goroutines end with the context and have
// nothing to do with any tick; make it outside of a synctest bubble.
func New(ctx context.Context) *Autoscaler {
	ctx = logr.NewContext(ctx, logr.Discard())
	s := &surrounds{}
	factory := informers.NewSharedInformerFactory(nil, 0) // never started: pods are put into its store directly
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: "apps", Version: "v1"}})
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	pods := factory.Core().V1().Pods()
	a := &Autoscaler{
		ctx:       ctx,
		surrounds: s,
		pods:      pods.Informer().GetIndexer(),
		known:     map[Pod]*corev1.Pod{},
		controller: podautoscaler.NewHorizontalController(ctx, s, s, s, mapper, s,
			factory.Autoscaling().V2().HorizontalPodAutoscalers(), pods,
			15*time.Second, 5*time.Minute, 0.1, 5*time.Minute, 30*time.Second),
	}
	forgetEvents(a.controller)
	enqueue(a.controller, a.Object())
	return a
}

// Object returns the object that Tick wants, with an empty Behavior, no metrics and no bounds.
func (a *Autoscaler) Object() *autoscaling.HorizontalPodAutoscaler {
	return &autoscaling.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: name, ResourceVersion: "1"},
		Spec: autoscaling.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscaling.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
		},
	}
}

// Tick lets the controller work on the object once, now. The status of the object is carried over to the next tick.
// What the controller remembers between ticks it remembers under the key.
func (a *Autoscaler) Tick(key string, object *autoscaling.HorizontalPodAutoscaler, seen *Sight) Outcome {
	object.Status.Conditions = scaledToZero(object.Status.Conditions)
	a.place(seen.Pods)
	a.surrounds.look(seen)
	err := reconcile(a.controller, a.ctx, object, key)
	if status := a.surrounds.status; status != nil {
		object.Status = *status
	}
	return Outcome{Desired: a.surrounds.desired, Conditions: object.Status.Conditions, Err: err}
}

// scaledToZero keeps the only condition that the controller itself reads.
func scaledToZero(conditions []autoscaling.HorizontalPodAutoscalerCondition) []autoscaling.HorizontalPodAutoscalerCondition {
	for i := range conditions {
		if conditions[i].Type == autoscaling.ScaledToZero {
			return []autoscaling.HorizontalPodAutoscalerCondition{conditions[i]}
		}
	}
	return nil
}

// place makes the store hold exactly these pods.
func (a *Autoscaler) place(pods []Pod) {
	if slices.Equal(pods, a.placed) {
		return
	}
	a.placed = pods
	objects := make([]any, len(pods))
	for i, p := range pods {
		object := a.known[p]
		if object == nil {
			object = p.object()
			a.known[p] = object
		}
		objects[i] = object
	}
	if err := a.pods.Replace(objects, ""); err != nil {
		panic(err) // a pod without a name
	}
}

// object returns the pod as the API server would.
func (p Pod) object() *corev1.Pod {
	object := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: p.Name, Labels: map[string]string{"app": name}},
		Status:     corev1.PodStatus{Phase: p.Phase},
	}
	ready := corev1.ConditionFalse
	if p.Phase == corev1.PodRunning {
		ready = corev1.ConditionTrue
	}
	object.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	if p.Terminating {
		object.DeletionTimestamp = &metav1.Time{Time: time.Now()}
	}
	return object
}
