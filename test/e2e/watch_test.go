package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// always checks every state that the Deployment goes through from now until the test ends, however short it lasts.
func (d deployment) always(holds func(*appsv1.Deployment) error) {
	d.t.Helper()
	states, err := cluster.Client().AppsV1().Deployments(d.namespace).Watch(d.t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + d.name})
	if err != nil {
		d.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range states.ResultChan() {
			object, ok := event.Object.(*appsv1.Deployment)
			if d.t.Context().Err() != nil {
				return
			}
			if !ok {
				d.t.Errorf("watching %s: %v", d.name, event.Object)
				return
			}
			if err := holds(object); err != nil {
				d.t.Errorf("at %s: %s: %v", time.Now().Format(time.StampMilli), d.name, err)
				return
			}
		}
		if d.t.Context().Err() == nil {
			d.t.Errorf("the watch of %s ended before the test", d.name)
		}
	}()
	d.t.Cleanup(func() {
		states.Stop()
		<-done
	})
}

// atMost is for always: never more replicas than the function allows at the time.
func atMost(most func() int) func(*appsv1.Deployment) error {
	return func(object *appsv1.Deployment) error {
		if got, most := int(*object.Spec.Replicas), most(); got > most {
			return fmt.Errorf("%d replicas, want at most %d", got, most)
		}
		return nil
	}
}

// told reports whether the program says that reason of the workload, as the reason of the decision or beside it.
func (w *workload) told(reason string) bool {
	return w.Reason == reason || slices.ContainsFunc(w.Notes, func(n struct{ Reason, Text string }) bool { return n.Reason == reason })
}

// waitTold waits until the program says that reason of the workload, as the reason of the decision or beside it, and all those words.
func (d deployment) waitTold(p *process, reason string, words ...string) {
	d.t.Helper()
	bed.WaitFor(d.t, 30*time.Second, fmt.Sprintf("reason %s for %s with the words %q", reason, d.name, words), func() error {
		w, err := p.workload(d.namespace, d.name)
		if err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(w.Message, word) {
				return fmt.Errorf("the message is %q", w.Message)
			}
		}
		if !w.told(reason) {
			return fmt.Errorf("the reason is %s, the notes are %v", w.Reason, w.Notes)
		}
		return nil
	})
}

// waitEvent waits for an Event on the Deployment that says all those words.
func (d deployment) waitEvent(reason string, words ...string) {
	d.t.Helper()
	bed.WaitFor(d.t, 30*time.Second, fmt.Sprintf("an Event %s on %s with the words %q", reason, d.name, words), func() error {
		events := d.events(reason)
		says := func(note string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(note, word) })
		}
		if !slices.ContainsFunc(events, says) {
			return fmt.Errorf("the Events are %q", events)
		}
		return nil
	})
}

// pods returns the Deployment's pods, those that end among them.
func (d deployment) pods() []corev1.Pod {
	d.t.Helper()
	list, err := cluster.Client().CoreV1().Pods(d.namespace).List(d.t.Context(), metav1.ListOptions{LabelSelector: "app=" + d.name})
	if err != nil {
		d.t.Fatal(err)
	}
	return list.Items
}

// count counts the pods that have a condition with a status, and with a reason if one is given.
func count(pods []corev1.Pod, condition corev1.PodConditionType, status corev1.ConditionStatus, reason string) int {
	n := 0
	for i := range pods {
		for _, c := range pods[i].Status.Conditions {
			if c.Type == condition && c.Status == status && (reason == "" || c.Reason == reason) {
				n++
			}
		}
	}
	return n
}

// waitUnschedulable waits until that many pods have no node.
func (d deployment) waitUnschedulable(n int) {
	d.t.Helper()
	bed.WaitFor(d.t, 30*time.Second, fmt.Sprintf("%d unschedulable pods of %s", n, d.name), func() error {
		return bed.Want("unschedulable pods", count(d.pods(), corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable), n)
	})
}

// loadsForever is a load time after which no test is still there: release ends it.
const loadsForever = time.Hour

// release lets the pods that there are now have loaded.
func (d deployment) release() {
	d.t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"0s"}}}`, fleet.LoadTime)
	for _, pod := range d.pods() {
		if pod.Annotations[fleet.LoadTime] == "0s" {
			continue
		}
		_, err := cluster.Client().CoreV1().Pods(d.namespace).Patch(d.t.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			d.t.Fatal(err)
		}
	}
}

// releaseUntil lets all pods that come have loaded until that many are ready.
func (d deployment) releaseUntil(n int) {
	d.t.Helper()
	bed.WaitFor(d.t, 30*time.Second, fmt.Sprintf("%d ready pods of %s", n, d.name), func() error {
		d.release()
		return bed.Want("ready pods", count(d.pods(), corev1.PodReady, corev1.ConditionTrue, ""), n)
	})
}

// held makes a Deployment whose pods load until they are released. The first ones are.
func held(t *testing.T, builder *fleet.DeploymentBuilder, model fleet.Model) deployment {
	t.Helper()
	d := begin(t, builder.LoadTime(loadsForever))
	d.releaseUntil(int(*builder.Object().Spec.Replicas))
	cluster.fleet.Drive(d.namespace, d.name, model)
	return d
}

// change patches the Deployment as kubectl patch does.
func (d deployment) change(patch string) {
	d.t.Helper()
	_, err := cluster.Client().AppsV1().Deployments(d.namespace).Patch(d.t.Context(), d.name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "kubectl-patch"})
	if err != nil {
		d.t.Fatal(err)
	}
}

// changePods changes annotations of the pod template, which rolls out new pods. The value null takes one away.
func (d deployment) changePods(annotation, value string) {
	d.t.Helper()
	d.change(fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%s}}}}}`, annotation, value))
}

// rolledOut tells what a rollout still lacks.
func (d deployment) rolledOut() error {
	d.t.Helper()
	object, err := cluster.Client().AppsV1().Deployments(d.namespace).Get(d.t.Context(), d.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	s, want := object.Status, *object.Spec.Replicas
	if s.ObservedGeneration < object.Generation {
		return fmt.Errorf("generation %d of %d is observed", s.ObservedGeneration, object.Generation)
	}
	return bed.Want("updated, available and all pods", [3]int32{s.UpdatedReplicas, s.AvailableReplicas, s.Replicas}, [3]int32{want, want, want})
}
