package e2e

import (
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/utils/ptr"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// rivalHPA is a HorizontalPodAutoscaler of the Deployment vision. It never gets a metric here, so that it changes nothing itself.
func rivalHPA() *autoscalingv2.HorizontalPodAutoscaler {
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "vision"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "vision"},
			MinReplicas:    ptr.To[int32](1), MaxReplicas: 8,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To[int32](80)},
				},
			}},
		},
	}
}

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
