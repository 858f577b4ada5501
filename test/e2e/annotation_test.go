package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// A bad annotation: one Event that names key, value and what is allowed; others are undisturbed.
func TestBadAnnotation(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "bad")
	l := stage.NewLoad(100)
	bad := stage.Create(t, ns, "bad", 2, stage.GPUAnnotations("target.gpu-utilization", "lots", "min-replicas", "-1"), stage.NewLoad(200))
	good := stage.Create(t, ns, "good", 2, stage.GPUAnnotations(), l)
	program := stage.Runs(t, ns, p.URL())
	bad.WaitReason(program, "InvalidAnnotations")
	good.WaitReason(program, "WithinTolerance")
	l.SetLoad(200)
	good.WaitReplicas(4, 15*time.Second)
	bad.HoldsReplicas(2, 4*time.Second)

	var events []string
	bed.WaitFor(t, 10*time.Second, "the Event", func() error {
		events = bad.Events("InvalidAnnotations")
		return bed.Want("Events", len(events), 1)
	})
	for _, part := range []string{"gpuscaler.io/target.gpu-utilization", `"lots"`, "a number above 0 and at most 100", "gpuscaler.io/min-replicas", `"-1"`} {
		if !strings.Contains(events[0], part) {
			t.Errorf("the Event does not say %q: %s", part, events[0])
		}
	}

	// Mended, it is scaled; it takes no restart.
	bad.Annotate("target.gpu-utilization", "50")
	bad.Annotate("min-replicas", "1")
	bad.WaitReplicas(4, 15*time.Second)
}

// A Deployment that was good goes on with its last good policy for raising only.
func TestAnnotationBreaksLater(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "later")
	l := stage.NewLoad(100)
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations(), l)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "WithinTolerance")
	d.Annotate("scale-down.stabilization", "soon")
	bed.WaitFor(t, 10*time.Second, "the Event", func() error { return bed.Want("Events", len(d.Events("InvalidAnnotations")), 1) })
	l.SetLoad(200)
	d.WaitReplicas(4, 15*time.Second)
	l.SetLoad(20)
	d.HoldsReplicas(4, 8*time.Second)
	// An error in a bound: nothing is written at all.
	d.Annotate("max-replicas", "many")
	l.SetLoad(400)
	d.HoldsReplicas(4, 5*time.Second)
}

func TestPausedAndDryRun(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "paused")
	l := stage.NewLoad(200)
	d := stage.Create(t, ns, "vision", 2, stage.GPUAnnotations("paused", "true"), l)
	program := stage.Runs(t, ns, p.URL())
	d.WaitReason(program, "Paused")
	d.Annotate("paused", "false")
	d.Annotate("dry-run", "true")
	bed.WaitFor(t, 10*time.Second, "a decision that is not written", func() error {
		w, err := program.Workload(ns, "vision")
		if err != nil {
			return err
		}
		return bed.Want("desired", w.Desired, 4)
	})
	d.HoldsReplicas(2, 4*time.Second)
	d.Annotate("dry-run", "false")
	d.WaitReplicas(4, 10*time.Second)
}
