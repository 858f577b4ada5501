package main

import (
	"embed"
	"fmt"
	"iter"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// The shape of the cluster.
const (
	podsEach = 10 // of a Deployment
	// deploymentsPerNode makes nodes of 20 pods: 5,000 of them, Kubernetes' own limit, carry 100,000 pods. All pods of a
	// Deployment are on one node, so that Prometheus learns of a step of its load at once: no decision sees half of it.
	deploymentsPerNode = 2
	maxNamespaces      = 100
	// age is how long everything has been there, loadTime how long a pod took to become ready.
	age      = time.Hour
	loadTime = 2 * time.Minute
)

// cluster is what is seeded: Deployments that are settled, with all their pods ready.
type cluster struct {
	deployments int
	born        time.Time

	deployment appsv1.Deployment
	set        appsv1.ReplicaSet
	pod        corev1.Pod
	node       corev1.Node
}

//go:embed objects
var manifests embed.FS

// newCluster reads the manifests.
func newCluster(deployments int) (*cluster, error) {
	c := &cluster{deployments: deployments, born: time.Now().Add(-age).Truncate(time.Second)}
	for name, into := range map[string]any{"deployment": &c.deployment, "replicaset": &c.set, "pod": &c.pod, "node": &c.node} {
		text, err := manifests.ReadFile("objects/" + name + ".yaml")
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			return nil, fmt.Errorf("reading %s.yaml: %w", name, err)
		}
	}
	for _, template := range []*corev1.PodTemplateSpec{&c.deployment.Spec.Template, &c.set.Spec.Template} {
		template.Spec = *c.pod.Spec.DeepCopy()
	}
	c.date()
	return c, nil
}

// date fills in the times.
func (c *cluster) date() {
	born, ready := metav1.NewTime(c.born), metav1.NewTime(c.born.Add(loadTime))
	for _, m := range []*metav1.ObjectMeta{&c.deployment.ObjectMeta, &c.set.ObjectMeta, &c.pod.ObjectMeta, &c.node.ObjectMeta} {
		m.CreationTimestamp = born
		for i := range m.ManagedFields {
			m.ManagedFields[i].Time = &born
			if m.ManagedFields[i].Subresource == "status" {
				m.ManagedFields[i].Time = &ready
			}
		}
	}
	for i := range c.deployment.Status.Conditions {
		c.deployment.Status.Conditions[i].LastTransitionTime, c.deployment.Status.Conditions[i].LastUpdateTime = ready, ready
	}
	for i := range c.node.Status.Conditions {
		c.node.Status.Conditions[i].LastTransitionTime, c.node.Status.Conditions[i].LastHeartbeatTime = born, born
	}
	c.pod.Status.StartTime = &born
	for i := range c.pod.Status.Conditions {
		condition := &c.pod.Status.Conditions[i]
		condition.LastTransitionTime = born
		if condition.Type == corev1.PodReady || condition.Type == corev1.ContainersReady {
			condition.LastTransitionTime = ready
		}
	}
	for i := range c.pod.Status.ContainerStatuses {
		c.pod.Status.ContainerStatuses[i].State.Running.StartedAt = born
	}
}

func namespaceName(d int) string  { return fmt.Sprintf("team-%02d", d%maxNamespaces) }
func deploymentName(d int) string { return fmt.Sprintf("model-server-%05d", d) }
func setName(d int) string        { return deploymentName(d) + "-6c7f8d9b54" }
func podName(d, p int) string     { return fmt.Sprintf("%s-%05x", setName(d), (p*0x1a2b3+d)%0x100000) }
func nodeName(d int) string       { return fmt.Sprintf("gpu-node-%04d", d/deploymentsPerNode) }

func deploymentUID(d int) types.UID {
	return types.UID(fmt.Sprintf("%08x-1111-4222-8333-444444444444", d))
}

func setUID(d int) types.UID { return types.UID(fmt.Sprintf("%08x-5555-4666-8777-888888888888", d)) }

// objects are all of them, those that others refer to first.
func (c *cluster) objects() iter.Seq[runtime.Object] {
	return func(yield func(runtime.Object) bool) {
		for i := range min(maxNamespaces, c.deployments) {
			namespace := &corev1.Namespace{
				ObjectMeta: metav1.ObjectMeta{Name: namespaceName(i), Labels: map[string]string{corev1.LabelMetadataName: namespaceName(i)}},
				Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
				Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
			}
			if !yield(namespace) {
				return
			}
		}
		for d := range c.deployments {
			if d%deploymentsPerNode == 0 && !yield(c.nodeOf(d)) || !yield(c.deploymentAt(d)) || !yield(c.setOf(d)) {
				return
			}
			for p := range podsEach {
				if !yield(c.podOf(d, p)) {
					return
				}
			}
		}
	}
}

// settled are the Deployments alone, as they were at first.
func (c *cluster) settled() iter.Seq[runtime.Object] {
	return func(yield func(runtime.Object) bool) {
		for d := range c.deployments {
			if !yield(c.deploymentAt(d)) {
				return
			}
		}
	}
}

func (c *cluster) nodeOf(d int) *corev1.Node {
	n := c.node.DeepCopy()
	n.Name = nodeName(d)
	n.Labels[corev1.LabelHostname] = n.Name
	n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeIP(d)}, {Type: corev1.NodeHostName, Address: n.Name}}
	return n
}

func (c *cluster) deploymentAt(d int) *appsv1.Deployment {
	o := c.deployment.DeepCopy()
	o.Namespace, o.Name, o.UID = namespaceName(d), deploymentName(d), deploymentUID(d)
	o.Spec.Selector.MatchLabels = map[string]string{"app.kubernetes.io/instance": o.Name}
	o.Spec.Template.Labels["app.kubernetes.io/instance"] = o.Name
	request(&o.Spec.Template.Spec, d)
	return o
}

func (c *cluster) setOf(d int) *appsv1.ReplicaSet {
	o := c.set.DeepCopy()
	o.Namespace, o.Name, o.UID = namespaceName(d), setName(d), setUID(d)
	o.OwnerReferences = owner("Deployment", deploymentName(d), deploymentUID(d))
	o.Spec.Selector.MatchLabels = map[string]string{"app.kubernetes.io/instance": deploymentName(d), "pod-template-hash": "6c7f8d9b54"}
	o.Labels["app.kubernetes.io/instance"], o.Labels["pod-template-hash"] = deploymentName(d), "6c7f8d9b54"
	o.Spec.Template.Labels = o.Labels
	request(&o.Spec.Template.Spec, d)
	return o
}

func (c *cluster) podOf(d, p int) *corev1.Pod {
	o := c.pod.DeepCopy()
	o.Namespace, o.Name, o.GenerateName = namespaceName(d), podName(d, p), setName(d)+"-"
	o.UID = types.UID(fmt.Sprintf("%08x-9999-4aaa-8bbb-%012x", d, p))
	o.OwnerReferences = owner("ReplicaSet", setName(d), setUID(d))
	o.Labels["app.kubernetes.io/instance"], o.Labels["pod-template-hash"] = deploymentName(d), "6c7f8d9b54"
	request(&o.Spec, d)
	o.Spec.NodeName = nodeName(d)
	o.Status.HostIP, o.Status.PodIP = nodeIP(d), podIP(d, p)
	o.Status.HostIPs, o.Status.PodIPs = []corev1.HostIP{{IP: o.Status.HostIP}}, []corev1.PodIP{{IP: o.Status.PodIP}}
	return o
}

// request makes a few kinds of pods of one, so that not all of them fit the same places.
func request(spec *corev1.PodSpec, d int) {
	spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = *resource.NewQuantity(int64(2+d%6), resource.DecimalSI)
}

func owner(kind, name string, uid types.UID) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: kind, Name: name, UID: uid, Controller: &yes, BlockOwnerDeletion: &yes}}
}

func nodeIP(d int) string {
	n := d / deploymentsPerNode
	return fmt.Sprintf("10.0.%d.%d", n/250, 1+n%250)
}

func podIP(d, p int) string {
	n := d*podsEach + p
	return fmt.Sprintf("10.%d.%d.%d", 64+n/62500, n/250%250, 1+n%250)
}
