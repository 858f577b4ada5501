package stage

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

// Always checks every state that the Deployment goes through from now until the test ends, however short it lasts.
func (d Deployment) Always(holds func(*appsv1.Deployment) error) {
	d.T.Helper()
	states, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Watch(d.T.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + d.Name})
	if err != nil {
		d.T.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for event := range states.ResultChan() {
			object, ok := event.Object.(*appsv1.Deployment)
			if d.T.Context().Err() != nil {
				return
			}
			if !ok {
				d.T.Errorf("watching %s: %v", d.Name, event.Object)
				return
			}
			if err := holds(object); err != nil {
				d.T.Errorf("at %s: %s: %v", time.Now().Format(time.StampMilli), d.Name, err)
				return
			}
		}
		if d.T.Context().Err() == nil {
			d.T.Errorf("the watch of %s ended before the test", d.Name)
		}
	}()
	d.T.Cleanup(func() {
		states.Stop()
		<-done
	})
}

// AtMost is for always: never more replicas than the function allows at the time.
func AtMost(most func() int) func(*appsv1.Deployment) error {
	return func(object *appsv1.Deployment) error {
		if got, most := int(*object.Spec.Replicas), most(); got > most {
			return fmt.Errorf("%d replicas, want at most %d", got, most)
		}
		return nil
	}
}

// Told reports whether the program says that reason of the workload, as the reason of the decision or beside it.
func (w *Workload) Told(reason string) bool {
	return w.Reason == reason || slices.ContainsFunc(w.Notes, func(n struct{ Reason, Text string }) bool { return n.Reason == reason })
}

// WaitTold waits until the program says that reason of the workload, as the reason of the decision or beside it, and all those words.
func (d Deployment) WaitTold(p *Process, reason string, words ...string) {
	d.T.Helper()
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("reason %s for %s with the words %q", reason, d.Name, words), func() error {
		w, err := p.Workload(d.Namespace, d.Name)
		if err != nil {
			return err
		}
		for _, word := range words {
			if !strings.Contains(w.Message, word) {
				return fmt.Errorf("the message is %q", w.Message)
			}
		}
		if !w.Told(reason) {
			return fmt.Errorf("the reason is %s, the notes are %v", w.Reason, w.Notes)
		}
		return nil
	})
}

// WaitSays waits until the program's message about the workload has those words.
func (d Deployment) WaitSays(p *Process, words string) {
	d.T.Helper()
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("the words %q about %s", words, d.Name), func() error {
		w, err := p.Workload(d.Namespace, d.Name)
		if err == nil && !strings.Contains(w.Message, words) {
			err = fmt.Errorf("the message is %q", w.Message)
		}
		return err
	})
}

// WaitEvent waits for an Event on the Deployment that says all those words.
func (d Deployment) WaitEvent(reason string, words ...string) {
	d.T.Helper()
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("an Event %s on %s with the words %q", reason, d.Name, words), func() error {
		events := d.Events(reason)
		says := func(note string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(note, word) })
		}
		if !slices.ContainsFunc(events, says) {
			return fmt.Errorf("the Events are %q", events)
		}
		return nil
	})
}

// Pods returns the Deployment's pods, those that end among them.
func (d Deployment) Pods() []corev1.Pod {
	d.T.Helper()
	list, err := Cluster.Client().CoreV1().Pods(d.Namespace).List(d.T.Context(), metav1.ListOptions{LabelSelector: "app=" + d.Name})
	if err != nil {
		d.T.Fatal(err)
	}
	return list.Items
}

// Count counts the pods that have a condition with a status, and with a reason if one is given.
func Count(pods []corev1.Pod, condition corev1.PodConditionType, status corev1.ConditionStatus, reason string) int {
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

// WaitUnschedulable waits until that many pods have no node.
func (d Deployment) WaitUnschedulable(n int) {
	d.T.Helper()
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("%d unschedulable pods of %s", n, d.Name), func() error {
		return bed.Want("unschedulable pods", Count(d.Pods(), corev1.PodScheduled, corev1.ConditionFalse, corev1.PodReasonUnschedulable), n)
	})
}

// LoadsForever is a load time after which no test is still there: release ends it.
const LoadsForever = time.Hour

// Release lets the pods that there are now have loaded.
func (d Deployment) Release() {
	d.T.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"0s"}}}`, fleet.LoadTime)
	for _, pod := range d.Pods() {
		if pod.Annotations[fleet.LoadTime] == "0s" {
			continue
		}
		_, err := Cluster.Client().CoreV1().Pods(d.Namespace).Patch(d.T.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			d.T.Fatal(err)
		}
	}
}

// ReleaseUntil lets all pods that come have loaded until that many are ready.
func (d Deployment) ReleaseUntil(n int) {
	d.T.Helper()
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("%d ready pods of %s", n, d.Name), func() error {
		d.Release()
		return bed.Want("ready pods", Count(d.Pods(), corev1.PodReady, corev1.ConditionTrue, ""), n)
	})
}

// Held makes a Deployment whose pods load until they are released. The first ones are.
func Held(t testing.TB, builder *fleet.DeploymentBuilder, model fleet.Model) Deployment {
	t.Helper()
	d := Begin(t, builder.LoadTime(LoadsForever))
	d.ReleaseUntil(int(*builder.Object().Spec.Replicas))
	Cluster.Fleet.Drive(d.Namespace, d.Name, model)
	return d
}

// Change patches the Deployment as kubectl patch does.
func (d Deployment) Change(patch string) {
	d.T.Helper()
	_, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Patch(d.T.Context(), d.Name, types.StrategicMergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "kubectl-patch"})
	if err != nil {
		d.T.Fatal(err)
	}
}

// ChangePods changes annotations of the pod template, which rolls out new pods. The value null takes one away.
func (d Deployment) ChangePods(annotation, value string) {
	d.T.Helper()
	d.Change(fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{%q:%s}}}}}`, annotation, value))
}

// RolledOut tells what a rollout still lacks.
func (d Deployment) RolledOut() error {
	d.T.Helper()
	object, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Get(d.T.Context(), d.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	s, want := object.Status, *object.Spec.Replicas
	if s.ObservedGeneration < object.Generation {
		return fmt.Errorf("generation %d of %d is observed", s.ObservedGeneration, object.Generation)
	}
	return bed.Want("updated, available and all pods", [3]int32{s.UpdatedReplicas, s.AvailableReplicas, s.Replicas}, [3]int32{want, want, want})
}
