package e2e

import (
	"encoding/json"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/fleet"
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
		_, err := cluster.Client().AppsV1().Deployments(object.Namespace).Patch(t.Context(), object.Name, types.ApplyPatchType, manifest,
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
	p := startPrometheus(t, false)
	ns := namespace(t, "gitops")
	load := newLoad(100)
	builder := fleet.Deployment(ns, "vision").Replicas(2).Annotations(gpuAnnotations("scale-up.policies", "2 pods/20s"))
	apply := applied(t, builder)
	d := launch(t, builder, load)
	apply()
	program := runs(t, ns, p.URL(), "--max-sample-age", "5s")
	d.waitReason(program, "WithinTolerance")
	load.SetLoad(200)
	d.waitReplicas(4, 20*time.Second)

	for range 2 {
		d.waitReady(4)
		apply()
		d.waitReplicas(4, 20*time.Second)
	}
	d.waitEvent("ReplicasReset", "argocd-controller", "from 4 to 2")
	d.wantWrites(3)
	apply()
	d.waitEvent("Conflict", "argocd-controller")
	d.waitReason(program, "Conflict") // there is a budget again, and the load asks for more
	d.holdsReplicas(2, 5*time.Second)
	d.wantWrites(3)

	d.annotate("scale-up.policies", "20 pods/1s")
	d.waitReplicas(4, 30*time.Second)
}
