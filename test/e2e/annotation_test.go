package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
)

// annotate changes annotations of the Deployment as kubectl annotate does.
func (d deployment) annotate(key, value string) {
	d.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, prefix+key, value)
	_, err := cluster.Client().AppsV1().Deployments(d.namespace).Patch(d.t.Context(), d.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
}

// A bad annotation: one Event that names key, value and what is allowed; others are undisturbed.
func TestBadAnnotation(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "bad")
	l := newLoad(100)
	bad := create(t, ns, "bad", 2, gpuAnnotations("target.gpu-utilization", "lots", "min-replicas", "-1"), newLoad(200))
	good := create(t, ns, "good", 2, gpuAnnotations(), l)
	program := runs(t, ns, p.URL())
	bad.waitReason(program, "InvalidAnnotations")
	good.waitReason(program, "WithinTolerance")
	l.SetLoad(200)
	good.waitReplicas(4, 15*time.Second)
	bad.holdsReplicas(2, 4*time.Second)

	var events []string
	bed.WaitFor(t, 10*time.Second, "the Event", func() error {
		events = bad.events("InvalidAnnotations")
		return bed.Want("Events", len(events), 1)
	})
	for _, part := range []string{"gpuscaler.io/target.gpu-utilization", `"lots"`, "a number above 0 and at most 100", "gpuscaler.io/min-replicas", `"-1"`} {
		if !strings.Contains(events[0], part) {
			t.Errorf("the Event does not say %q: %s", part, events[0])
		}
	}

	// Mended, it is scaled; it takes no restart.
	bad.annotate("target.gpu-utilization", "50")
	bad.annotate("min-replicas", "1")
	bad.waitReplicas(4, 15*time.Second)
}

// A Deployment that was good goes on with its last good policy for raising only.
func TestAnnotationBreaksLater(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "later")
	l := newLoad(100)
	d := create(t, ns, "vision", 2, gpuAnnotations(), l)
	program := runs(t, ns, p.URL())
	d.waitReason(program, "WithinTolerance")
	d.annotate("scale-down.stabilization", "soon")
	bed.WaitFor(t, 10*time.Second, "the Event", func() error { return bed.Want("Events", len(d.events("InvalidAnnotations")), 1) })
	l.SetLoad(200)
	d.waitReplicas(4, 15*time.Second)
	l.SetLoad(20)
	d.holdsReplicas(4, 8*time.Second)
	// An error in a bound: nothing is written at all.
	d.annotate("max-replicas", "many")
	l.SetLoad(400)
	d.holdsReplicas(4, 5*time.Second)
}

func TestPausedAndDryRun(t *testing.T) {
	t.Parallel()
	p := startPrometheus(t, false)
	ns := namespace(t, "paused")
	l := newLoad(200)
	d := create(t, ns, "vision", 2, gpuAnnotations("paused", "true"), l)
	program := runs(t, ns, p.URL())
	d.waitReason(program, "Paused")
	d.annotate("paused", "false")
	d.annotate("dry-run", "true")
	bed.WaitFor(t, 10*time.Second, "a decision that is not written", func() error {
		w, err := program.workload(ns, "vision")
		if err != nil {
			return err
		}
		return bed.Want("desired", w.Desired, 4)
	})
	d.holdsReplicas(2, 4*time.Second)
	d.annotate("dry-run", "false")
	d.waitReplicas(4, 10*time.Second)
}
