package stage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
)

// Prefix is that of all annotations.
const Prefix = "gpuscaler.io/"

// Deployment is one Deployment under test.
type Deployment struct {
	T               testing.TB
	Namespace, Name string
}

// Of is a Deployment that is there, or will be.
func Of(t testing.TB, namespace, name string) Deployment { return Deployment{t, namespace, name} }

// Namespace makes a new one.
func Namespace(t testing.TB, name string) string {
	t.Helper()
	ns, err := Cluster.Namespace(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// GPUAnnotations ask for 50 percent utilization and a scale-down window of 5 s, and for what is given.
func GPUAnnotations(more ...string) map[string]string {
	a := map[string]string{
		Prefix + "enabled": "true", Prefix + "max-replicas": "8", Prefix + "target.gpu-utilization": "50",
		Prefix + "scale-down.stabilization": "5s",
	}
	for i := 0; i < len(more); i += 2 {
		a[Prefix+more[i]] = more[i+1]
	}
	return a
}

// Create makes a Deployment, waits until its pods are ready, and then lets them read what the model says.
func Create(t testing.TB, ns, name string, replicas int32, annotations map[string]string, model fleet.Model) Deployment {
	t.Helper()
	builder := fleet.Deployment(ns, name).Replicas(replicas).Annotations(annotations)
	if slices.ContainsFunc(slices.Collect(maps.Keys(annotations)), func(k string) bool { return strings.HasSuffix(k, "queue-depth") }) {
		builder.VLLM()
	}
	return Launch(t, builder, model)
}

// Launch is create for a Deployment that is put together elsewhere.
func Launch(t testing.TB, builder *fleet.DeploymentBuilder, model fleet.Model) Deployment {
	t.Helper()
	d := Begin(t, builder)
	d.WaitReady(int(*builder.Object().Spec.Replicas))
	// Only now, so that no pod is ever read with the load of all.
	Cluster.Fleet.Drive(d.Namespace, d.Name, model)
	return d
}

// Begin makes a Deployment and waits for none of its pods.
func Begin(t testing.TB, builder *fleet.DeploymentBuilder) Deployment {
	t.Helper()
	object, err := builder.Create(t.Context(), Cluster.Client())
	if err != nil {
		t.Fatal(err)
	}
	d := Deployment{t, object.Namespace, object.Name}
	t.Cleanup(func() {
		// Its GPUs are for other tests. The test's own context has ended by now.
		err := Cluster.Client().AppsV1().Deployments(d.Namespace).Delete(context.Background(), d.Name, metav1.DeleteOptions{})
		if err != nil {
			t.Errorf("deleting the Deployment: %v", err)
		}
	})
	return d
}

// Replicas returns spec.replicas.
func (d Deployment) Replicas() int {
	d.T.Helper()
	object, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Get(d.T.Context(), d.Name, metav1.GetOptions{})
	if err != nil {
		d.T.Fatal(err)
	}
	return int(*object.Spec.Replicas)
}

// WaitReady waits until that many pods are ready, and no others are left.
func (d Deployment) WaitReady(n int) {
	d.T.Helper()
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("%d ready pods of %s", n, d.Name), func() error {
		object, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Get(d.T.Context(), d.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return bed.Want("ready replicas", int(object.Status.ReadyReplicas), n)
	})
}

// WaitReplicas waits until spec.replicas has a value.
func (d Deployment) WaitReplicas(n int, timeout time.Duration) {
	d.T.Helper()
	bed.WaitFor(d.T, timeout, fmt.Sprintf("%d replicas of %s", n, d.Name), func() error {
		return bed.Want("spec.replicas", d.Replicas(), n)
	})
}

// HoldsReplicas fails if spec.replicas is anything else within the time.
func (d Deployment) HoldsReplicas(n int, duration time.Duration) {
	d.T.Helper()
	bed.Holds(d.T, duration, fmt.Sprintf("%d replicas of %s", n, d.Name), func() error {
		return bed.Want("spec.replicas", d.Replicas(), n)
	})
}

// NeverBelow fails if spec.replicas falls below a number within the time.
func (d Deployment) NeverBelow(n int, duration time.Duration) {
	d.T.Helper()
	bed.Holds(d.T, duration, fmt.Sprintf("at least %d replicas of %s", n, d.Name), func() error {
		if got := d.Replicas(); got < n {
			return fmt.Errorf("%d replicas", got)
		}
		return nil
	})
}

// Scale changes the replicas as kubectl scale does.
func (d Deployment) Scale(n int) {
	d.T.Helper()
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, n)
	_, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Patch(d.T.Context(), d.Name, types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "kubectl"}, "scale")
	if err != nil {
		d.T.Fatal(err)
	}
}

// WaitReason waits until the program tells that reason for the workload.
func (d Deployment) WaitReason(p *Process, reason string) Workload {
	d.T.Helper()
	var w Workload
	bed.WaitFor(d.T, 30*time.Second, fmt.Sprintf("reason %s for %s", reason, d.Name), func() (err error) {
		if w, err = p.Workload(d.Namespace, d.Name); err != nil {
			return err
		}
		return bed.Want("reason", w.Reason, reason)
	})
	return w
}

// Writes returns the requests by which the controller tried to change the Deployment's replicas, refused ones included.
func (d Deployment) Writes() []bed.AuditEvent {
	d.T.Helper()
	events, err := Cluster.AuditMutations(ControllerUser)
	if err != nil {
		d.T.Fatal(err)
	}
	return slices.DeleteFunc(events, func(e bed.AuditEvent) bool {
		return e.Namespace != d.Namespace || e.Name != d.Name || e.Subresource != "scale"
	})
}

// Events returns the Events on the Deployment with a reason, as "COUNT NOTE".
func (d Deployment) Events(reason string) []string {
	d.T.Helper()
	list, err := Cluster.Client().EventsV1().Events(d.Namespace).List(d.T.Context(), metav1.ListOptions{})
	if err != nil {
		d.T.Fatal(err)
	}
	var notes []string
	for _, e := range list.Items {
		if e.Regarding.Name == d.Name && e.Regarding.Kind == "Deployment" && e.Reason == reason {
			notes = append(notes, e.Note)
		}
	}
	return notes
}

// Annotate changes annotations of the Deployment as kubectl annotate does.
func (d Deployment) Annotate(key, value string) {
	d.T.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, Prefix+key, value)
	_, err := Cluster.Client().AppsV1().Deployments(d.Namespace).Patch(d.T.Context(), d.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		d.T.Fatal(err)
	}
}

// AnnotatePods sets an annotation of the pods that there are.
func (d Deployment) AnnotatePods(key, value string) {
	d.T.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{key: value}}})
	if err != nil {
		d.T.Fatal(err)
	}
	pods := Cluster.Client().CoreV1().Pods(d.Namespace)
	list, err := pods.List(d.T.Context(), metav1.ListOptions{LabelSelector: "app=" + d.Name})
	if err != nil || len(list.Items) == 0 {
		d.T.Fatalf("pods of %s: %d, %v", d.Name, len(list.Items), err)
	}
	for _, pod := range list.Items {
		if _, err := pods.Patch(d.T.Context(), pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			d.T.Fatal(err)
		}
	}
}

// WantWrites wants that many writes in the audit log, which may come after the reply, and no more.
func (d Deployment) WantWrites(n int) {
	d.T.Helper()
	check := func() error {
		if writes := d.Writes(); len(writes) != n {
			return fmt.Errorf("%d writes, want %d: %v", len(writes), n, writes)
		}
		return nil
	}
	bed.WaitFor(d.T, 5*time.Second, "the writes", check)
	bed.Holds(d.T, time.Second, "no further write", check)
}
