package e2e

import (
	"testing"
	"time"

	"github.com/gpuscaler/gpuscaler/test/stage"
)

// From zero a JSON Patch cannot test the number, since the member is absent then.
func TestBoundsWithoutMetrics(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "bounds")
	d := stage.Create(t, ns, "vision", 1, stage.GPUAnnotations("min-replicas", "3"), stage.NewLoad(0))
	stage.Runs(t, ns, "http://127.0.0.1:1") // nothing listens there
	d.WaitReplicas(3, 15*time.Second)
	d.Scale(12)
	d.WaitReplicas(8, 15*time.Second)
	d.Scale(0)
	d.HoldsReplicas(0, 5*time.Second) // a person's zero
}
