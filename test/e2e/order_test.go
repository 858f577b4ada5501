package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/test/bed"
	"github.com/gpuscaler/gpuscaler/test/fleet"
	"github.com/gpuscaler/gpuscaler/test/stage"
)

// engines makes a Deployment of vLLM servers that asks for 50 percent on each GPU and to be lowered by the least busy ones. Its pods
// are all at 50 percent.
func engines(t *testing.T, ns, name string, replicas int32) (d stage.Deployment, model *fleet.Fixed, pods []string) {
	t.Helper()
	_, err := fleet.Deployment(ns, name).Replicas(replicas).VLLM().Annotations(stage.GPUAnnotations("scale-down.order", "least-busy")).
		Create(t.Context(), stage.Cluster.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stage.Cluster.Client().AppsV1().Deployments(ns).Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("deleting the Deployment: %v", err)
		}
	})
	d = stage.Of(t, ns, name)
	d.WaitReady(int(replicas))
	model = fleet.NewFixed(fleet.Reading{GPUUtilization: 50})
	stage.Cluster.Fleet.Drive(ns, name, model)
	for _, pod := range living(d) {
		pods = append(pods, pod.Name)
	}
	return d, model, pods
}

// living returns the pods that do not end.
func living(d stage.Deployment) []corev1.Pod {
	return slices.DeleteFunc(d.Pods(), func(p corev1.Pod) bool { return p.DeletionTimestamp != nil })
}

// costs returns the deletion costs of the living pods, by name.
func costs(d stage.Deployment) map[string]string {
	costs := map[string]string{}
	for _, pod := range living(d) {
		costs[pod.Name] = pod.Annotations[corev1.PodDeletionCost]
	}
	return costs
}

// The emptiest pods are deleted, one to which someone gave a cost stays as that says, and those that are left bear no mark. Without
// the right to patch pods the replicas are lowered all the same.
func TestLeastBusyPodsGo(t *testing.T) {
	t.Parallel()
	p := stage.StartPrometheus(t, false)
	ns := stage.Namespace(t, "order")

	forbidden, idle, _ := engines(t, ns, "forbidden", 4)
	program := stage.Runs(t, ns, p.URL())
	forbidden.WaitReason(program, "WithinTolerance")
	idle.SetAll(fleet.Reading{GPUUtilization: 25, Running: 3})
	forbidden.WaitReplicas(2, 20*time.Second)
	bed.WaitFor(t, 10*time.Second, "the Event", func() error { return bed.Want("Events", len(forbidden.Events("InvalidAnnotations")), 1) })

	mayPatchPods(t)
	d, model, pods := engines(t, ns, "engines", 6)
	bed.WaitFor(t, 20*time.Second, "the decision to leave all as it is", func() error {
		w, err := program.Workload(ns, d.Name)
		if err != nil {
			return err
		}
		return bed.Want("reason", w.Reason, "WithinTolerance")
	})
	// Busy are 0 and 3. 5 is idle, but someone wants it to stay.
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"1000"}}}`, corev1.PodDeletionCost)
	_, err := stage.Cluster.Client().CoreV1().Pods(ns).Patch(t.Context(), pods[5], types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "kubectl-annotate"})
	if err != nil {
		t.Fatal(err)
	}
	model.SetAll(fleet.Reading{GPUUtilization: 25, Running: 1})
	model.Set(pods[0], fleet.Reading{GPUUtilization: 25, Running: 9})
	model.Set(pods[3], fleet.Reading{GPUUtilization: 25, Running: 7})
	model.Set(pods[5], fleet.Reading{GPUUtilization: 25})
	d.WaitReplicas(3, 30*time.Second)
	d.WaitReady(3)
	bed.WaitFor(t, 10*time.Second, "the busy pods and no mark of ours", func() error {
		return bed.Want("costs", fmt.Sprint(costs(d)), fmt.Sprint(map[string]string{pods[0]: "", pods[3]: "", pods[5]: "1000"}))
	})
	if events := d.Events("InvalidAnnotations"); len(events) > 0 {
		t.Errorf("Events %q, want none: the right was there", events)
	}
}

// mayPatchPods applies deploy/rbac/least-busy and waits until it acts.
func mayPatchPods(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("../../deploy/rbac/least-busy/cluster*.yaml")
	if err != nil || len(files) != 2 {
		t.Fatalf("manifests %q, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := stage.Cluster.Apply(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = stage.Cluster.WaitAllowed(ctx, stage.ControllerUser, nil, authorizationv1.ResourceAttributes{Namespace: "default", Resource: "pods", Verb: "patch"})
	if err != nil {
		t.Fatal(err)
	}
}
