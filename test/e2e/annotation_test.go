package e2e

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

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
