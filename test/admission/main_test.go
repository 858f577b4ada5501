// Package admission holds the ValidatingAdmissionPolicy of deploy/admission equal to the parser, on a real API server.
package admission

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typed "k8s.io/client-go/kubernetes/typed/apps/v1"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/bed"
)

const manifest = "../../deploy/admission/policy.yaml"

// What all tests share.
var (
	cluster     *bed.Bed
	deployments typed.DeploymentInterface // of one namespace
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	cluster, err = bed.Start(ctx, bed.Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, "starting the cluster:", err)
		return 1
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the cluster:", err)
		}
	}()
	if err := prepare(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "preparing the cluster:", err)
		return 1
	}
	return m.Run()
}

// ofBefore are the annotations of Deployments that were created before the policy, by name.
var ofBefore = map[string]map[string]string{
	"two-mistakes": {"enabled": "true", "max-replicas": "4", "target.queue-depth": "x", "colour": "green"},
	"crossed":      {"enabled": "true", "max-replicas": "4", "min-replicas": "8", "target.queue-depth": "4"},
}

// prepare creates Deployments with mistakes, then the policy, and waits until it acts.
func prepare(ctx context.Context) error {
	namespace, err := cluster.Namespace(ctx, "admission")
	if err != nil {
		return err
	}
	config := cluster.AdminConfig()
	config.ContentType = runtime.ContentTypeProtobuf // thousands of requests
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	deployments = client.AppsV1().Deployments(namespace)
	for name, annotations := range ofBefore {
		if _, err := deployments.Create(ctx, deployment(name, ours(annotations)), metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	text, err := os.ReadFile(manifest)
	if err != nil {
		return err
	}
	if err := cluster.Apply(ctx, text); err != nil {
		return err
	}
	return bed.Until(ctx, func() (bool, error) { return refused(ctx, ours(map[string]string{"colour": "green"})) != nil, nil })
}

// refused asks the API server whether it would create a Deployment with such annotations.
func refused(ctx context.Context, annotations map[string]string) error {
	_, err := deployments.Create(ctx, deployment("tried", annotations), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// ours adds the prefix to keys.
func ours(keys map[string]string) map[string]string {
	annotations := map[string]string{}
	for k, v := range keys {
		annotations[policy.Prefix+k] = v
	}
	return annotations
}

// deployment has no replicas: nothing here is about pods.
func deployment(name string, annotations map[string]string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(0)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "engine", Image: "engine"}}},
			},
		},
	}
}
