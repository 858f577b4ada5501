package fleet

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// workloadOf returns the workload of a pod: its Deployment, by the name of its ReplicaSet, or itself.
func workloadOf(pod *corev1.Pod) types.NamespacedName {
	name := pod.Name
	if owner := metav1.GetControllerOf(pod); owner != nil {
		name = owner.Name
		if hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]; hash != "" {
			name = strings.TrimSuffix(name, "-"+hash)
		}
	}
	return types.NamespacedName{Namespace: pod.Namespace, Name: name}
}

// gpusOf returns how many GPUs a pod wants, and the container that has them.
func gpusOf(pod *corev1.Pod) (n int, container string) {
	for _, c := range pod.Spec.Containers {
		if q, ok := c.Resources.Limits[GPUResource]; ok && !q.IsZero() {
			n += int(q.Value())
			if container == "" {
				container = c.Name
			}
		}
	}
	return n, container
}

// DeploymentBuilder puts a Deployment together.
type DeploymentBuilder struct{ object *appsv1.Deployment }

// Deployment begins a Deployment of one replica, one GPU, no engine and a grace period of 1s.
func Deployment(namespace, name string) *DeploymentBuilder {
	labels := map[string]string{"app": name}
	replicas, grace := int32(1), int64(1)
	b := &DeploymentBuilder{object: &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels, Annotations: map[string]string{}},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: map[string]string{}},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: &grace,
					Containers: []corev1.Container{{
						Name: "server", Image: "example.com/" + name + ":1",
						Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: enginePort}},
					}},
				},
			},
		},
	}}
	return b.GPUs(1)
}

// Replicas sets the number of replicas.
func (b *DeploymentBuilder) Replicas(n int32) *DeploymentBuilder {
	b.object.Spec.Replicas = &n
	return b
}

// GPUs sets how many GPUs a replica wants.
func (b *DeploymentBuilder) GPUs(n int64) *DeploymentBuilder {
	quantity := *resource.NewQuantity(n, resource.DecimalSI)
	b.object.Spec.Template.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Limits: corev1.ResourceList{GPUResource: quantity}, Requests: corev1.ResourceList{GPUResource: quantity},
	}
	return b
}

// Annotations adds annotations of the Deployment.
func (b *DeploymentBuilder) Annotations(a map[string]string) *DeploymentBuilder {
	maps.Copy(b.object.Annotations, a)
	return b
}

// PodAnnotations adds annotations of its pods.
func (b *DeploymentBuilder) PodAnnotations(a map[string]string) *DeploymentBuilder {
	maps.Copy(b.object.Spec.Template.Annotations, a)
	return b
}

// VLLM lets its pods be vLLM servers.
func (b *DeploymentBuilder) VLLM() *DeploymentBuilder {
	return b.PodAnnotations(map[string]string{Engine: EngineVLLM})
}

// Loopback gives its pods addresses of this machine, see Address.
func (b *DeploymentBuilder) Loopback() *DeploymentBuilder {
	return b.PodAnnotations(map[string]string{Address: AddressLoopback})
}

// LoadTime sets how long its pods load.
func (b *DeploymentBuilder) LoadTime(d time.Duration) *DeploymentBuilder {
	return b.PodAnnotations(map[string]string{LoadTime: d.String()})
}

// Pool puts its pods on the nodes of a pool and on no others.
func (b *DeploymentBuilder) Pool(pool string) *DeploymentBuilder {
	spec := &b.object.Spec.Template.Spec
	spec.NodeSelector = map[string]string{Pool: pool}
	spec.Tolerations = []corev1.Toleration{{Key: Pool, Value: pool, Effect: corev1.TaintEffectNoSchedule}}
	return b
}

// Object returns the Deployment, for changes that have no method here.
func (b *DeploymentBuilder) Object() *appsv1.Deployment { return b.object }

// Create creates the Deployment and returns what the API server made of it.
func (b *DeploymentBuilder) Create(ctx context.Context, client kubernetes.Interface) (*appsv1.Deployment, error) {
	d, err := client.AppsV1().Deployments(b.object.Namespace).Create(ctx, b.object, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating Deployment %s/%s: %w", b.object.Namespace, b.object.Name, err)
	}
	return d, nil
}
