package e2e

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// applied returns a function that applies the Deployment's manifest, its replicas included, as Argo CD does with server-side apply.
func applied(t *testing.T, builder *fleet.DeploymentBuilder) func() {
	t.Helper()
	object := builder.Object()
	object.APIVersion, object.Kind = "apps/v1", "Deployment"
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	delete(fields, "status")
	manifest, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	force := true
	return func() {
		t.Helper()
		_, err := stage.Cluster.Client().AppsV1().Deployments(object.Namespace).Patch(t.Context(), object.Name, types.ApplyPatchType, manifest,
			metav1.PatchOptions{FieldManager: "argocd-controller", Force: &force})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A GitOps controller that puts the replicas of its manifest back each time: what it took away is restored at once, though no budget is
// left; the third time is the last, and whoever fights is named. Edited annotations begin anew.
func TestGitOpsResetsTheReplicas(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "gitops")
	load := stage.NewLoad(100)
	builder := fleet.Deployment(ns, "vision").Replicas(2).Annotations(stage.GPUAnnotations("scale-up.policies", "2 pods/20s"))
	apply := applied(t, builder)
	d := stage.Launch(t, builder, load)
	apply()
	program := stage.Runs(t, ns, p.URL(), "--max-sample-age", "5s")
	d.WaitReason(program, "WithinTolerance")
	load.SetLoad(200)
	d.WaitReplicas(4, 20*time.Second)

	for range 2 {
		d.WaitReady(4)
		apply()
		d.WaitReplicas(4, 20*time.Second)
	}
	d.WaitEvent("ReplicasReset", "argocd-controller", "from 4 to 2")
	d.WantWrites(3)
	apply()
	d.WaitEvent("Conflict", "argocd-controller")
	d.WaitReason(program, "Conflict") // there is a budget again, and the load asks for more
	d.HoldsReplicas(2, 5*time.Second)
	d.WantWrites(3)

	d.Annotate("scale-up.policies", "20 pods/1s")
	d.WaitReplicas(4, 30*time.Second)
}
