package e2e

import (
	"context"
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

const prefix = "gpuscaler.io/"

// deployment is one Deployment under test.
type deployment struct {
	t               testing.TB
	namespace, name string
}

// namespace makes a new one.
func namespace(t testing.TB, name string) string {
	t.Helper()
	ns, err := cluster.Namespace(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return ns
}

// gpuAnnotations ask for 50 percent utilization and a scale-down window of 5 s, and for what is given.
func gpuAnnotations(more ...string) map[string]string {
	a := map[string]string{
		prefix + "enabled": "true", prefix + "max-replicas": "8", prefix + "target.gpu-utilization": "50",
		prefix + "scale-down.stabilization": "5s",
	}
	for i := 0; i < len(more); i += 2 {
		a[prefix+more[i]] = more[i+1]
	}
	return a
}

// create makes a Deployment, waits until its pods are ready, and then lets them read what the model says.
func create(t testing.TB, ns, name string, replicas int32, annotations map[string]string, model fleet.Model) deployment {
	t.Helper()
	builder := fleet.Deployment(ns, name).Replicas(replicas).Annotations(annotations)
	if slices.ContainsFunc(slices.Collect(maps.Keys(annotations)), func(k string) bool { return strings.HasSuffix(k, "queue-depth") }) {
		builder.VLLM()
	}
	return launch(t, builder, model)
}

// launch is create for a Deployment that is put together elsewhere.
func launch(t testing.TB, builder *fleet.DeploymentBuilder, model fleet.Model) deployment {
	t.Helper()
	d := begin(t, builder)
	d.waitReady(int(*builder.Object().Spec.Replicas))
	// Only now, so that no pod is ever read with the load of all.
	cluster.fleet.Drive(d.namespace, d.name, model)
	return d
}

// begin makes a Deployment and waits for none of its pods.
func begin(t testing.TB, builder *fleet.DeploymentBuilder) deployment {
	t.Helper()
	object, err := builder.Create(t.Context(), cluster.Client())
	if err != nil {
		t.Fatal(err)
	}
	d := deployment{t, object.Namespace, object.Name}
	t.Cleanup(func() {
		// Its GPUs are for other tests. The test's own context has ended by now.
		err := cluster.Client().AppsV1().Deployments(d.namespace).Delete(context.Background(), d.name, metav1.DeleteOptions{})
		if err != nil {
			t.Errorf("deleting the Deployment: %v", err)
		}
	})
	return d
}

// replicas returns spec.replicas.
func (d deployment) replicas() int {
	d.t.Helper()
	object, err := cluster.Client().AppsV1().Deployments(d.namespace).Get(d.t.Context(), d.name, metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return int(*object.Spec.Replicas)
}

// waitReady waits until that many pods are ready, and no others are left.
func (d deployment) waitReady(n int) {
	d.t.Helper()
	bed.WaitFor(d.t, 30*time.Second, fmt.Sprintf("%d ready pods of %s", n, d.name), func() error {
		object, err := cluster.Client().AppsV1().Deployments(d.namespace).Get(d.t.Context(), d.name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return bed.Want("ready replicas", int(object.Status.ReadyReplicas), n)
	})
}

// waitReplicas waits until spec.replicas has a value.
func (d deployment) waitReplicas(n int, timeout time.Duration) {
	d.t.Helper()
	bed.WaitFor(d.t, timeout, fmt.Sprintf("%d replicas of %s", n, d.name), func() error {
		return bed.Want("spec.replicas", d.replicas(), n)
	})
}

// holdsReplicas fails if spec.replicas is anything else within the time.
func (d deployment) holdsReplicas(n int, duration time.Duration) {
	d.t.Helper()
	bed.Holds(d.t, duration, fmt.Sprintf("%d replicas of %s", n, d.name), func() error {
		return bed.Want("spec.replicas", d.replicas(), n)
	})
}

// neverBelow fails if spec.replicas falls below a number within the time.
func (d deployment) neverBelow(n int, duration time.Duration) {
	d.t.Helper()
	bed.Holds(d.t, duration, fmt.Sprintf("at least %d replicas of %s", n, d.name), func() error {
		if got := d.replicas(); got < n {
			return fmt.Errorf("%d replicas", got)
		}
		return nil
	})
}

// scale changes the replicas as kubectl scale does.
func (d deployment) scale(n int) {
	d.t.Helper()
	patch := fmt.Sprintf(`{"spec":{"replicas":%d}}`, n)
	_, err := cluster.Client().AppsV1().Deployments(d.namespace).Patch(d.t.Context(), d.name, types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "kubectl"}, "scale")
	if err != nil {
		d.t.Fatal(err)
	}
}

// waitReason waits until the program tells that reason for the workload.
func (d deployment) waitReason(p *process, reason string) workload {
	d.t.Helper()
	var w workload
	bed.WaitFor(d.t, 30*time.Second, fmt.Sprintf("reason %s for %s", reason, d.name), func() (err error) {
		if w, err = p.workload(d.namespace, d.name); err != nil {
			return err
		}
		return bed.Want("reason", w.Reason, reason)
	})
	return w
}

// writes returns the requests by which the controller tried to change the Deployment's replicas, refused ones included.
func (d deployment) writes() []bed.AuditEvent {
	d.t.Helper()
	events, err := cluster.AuditMutations(controllerUser)
	if err != nil {
		d.t.Fatal(err)
	}
	return slices.DeleteFunc(events, func(e bed.AuditEvent) bool {
		return e.Namespace != d.namespace || e.Name != d.name || e.Subresource != "scale"
	})
}

// events returns the Events on the Deployment with a reason, as "COUNT NOTE".
func (d deployment) events(reason string) []string {
	d.t.Helper()
	list, err := cluster.Client().EventsV1().Events(d.namespace).List(d.t.Context(), metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	var notes []string
	for _, e := range list.Items {
		if e.Regarding.Name == d.name && e.Regarding.Kind == "Deployment" && e.Reason == reason {
			notes = append(notes, e.Note)
		}
	}
	return notes
}
