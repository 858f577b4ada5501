package e2e

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// scaledObjects is a CustomResourceDefinition that takes what KEDA's does.
const scaledObjects = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: scaledobjects.keda.sh},
spec: {group: keda.sh, scope: Namespaced, names: {plural: scaledobjects, singular: scaledobject, kind: ScaledObject, listKind: ScaledObjectList},
versions: [{name: v1alpha1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`

// KEDA is installed while the program runs: its ScaledObjects are noticed. Without any of them nothing is told.
func TestConflictWithAScaledObject(t *testing.T) {
	t.Parallel()
	ns := stage.Namespace(t, "keda")
	d := stage.Create(t, ns, "vision", 1, stage.GPUAnnotations("min-replicas", "1"), stage.NewLoad(0))
	program := stage.Runs(t, ns, "http://127.0.0.1:1") // nothing listens there: only the bounds are kept
	d.WaitReason(program, "NoData")

	if err := stage.Cluster.Apply(t.Context(), []byte(scaledObjects)); err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(stage.Cluster.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	objects := client.Resource(schema.GroupVersionResource{Group: "keda.sh", Version: "v1alpha1", Resource: "scaledobjects"}).Namespace(ns)
	bed.WaitFor(t, 20*time.Second, "the new kind", func() error {
		_, err := objects.Create(t.Context(), scaledObject(ns), metav1.CreateOptions{})
		return err
	})
	importsScaledObject(t, ns)
	bed.WaitFor(t, 80*time.Second, "the Event", func() error { // an unknown kind is looked for once a minute
		return bed.Want("Conflict Events", len(d.Events("Conflict")), 1)
	})
	d.Scale(12) // above the maximum, which counts without metrics
	d.WaitReason(program, "Conflict")
	d.HoldsReplicas(12, 3*time.Second)
	crds := client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	if err := crds.Delete(t.Context(), "scaledobjects.keda.sh", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.WaitReplicas(8, 30*time.Second)
	if out := program.Output(); strings.Contains(out, "right is missing") || strings.Contains(out, "Watching fails") {
		t.Error("the program complains about a kind that is not there")
	}
}
