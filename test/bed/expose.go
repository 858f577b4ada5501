package bed

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// hostNode is the node of the pods that stand for servers outside the cluster. It has no GPUs and takes no other pods.
const hostNode = "bed-host"

// Service is a server in this process that shall appear in the cluster.
type Service struct {
	// Namespace is made if it does not exist.
	Namespace, Name string
	// Port is the port of the Service and of its pod; PortName names it and may be empty.
	Port     int
	PortName string
	// Addr is where the server really listens, a loopback "host:port".
	Addr string
	// Labels are put on the Service and its pod, in addition to app.kubernetes.io/name.
	Labels map[string]string
}

// Expose makes a Service with one ready pod behind it that stands for a server in this process, and waits until the API
// server's service proxy has an endpoint for it: kube://NAMESPACE/NAME:PORT then reaches the server.
func (b *Bed) Expose(ctx context.Context, s Service) error {
	if err := b.expose(ctx, s); err != nil {
		return fmt.Errorf("exposing %s as service %s/%s: %w", s.Addr, s.Namespace, s.Name, err)
	}
	return nil
}

func (b *Bed) expose(ctx context.Context, s Service) error {
	namespaces := b.client.CoreV1().Namespaces()
	_, err := namespaces.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	if err := b.waitServiceAccount(ctx, s.Namespace); err != nil {
		return err
	}
	if err := b.ensureHostNode(ctx); err != nil {
		return err
	}
	labels := map[string]string{"app.kubernetes.io/name": s.Name}
	for key, value := range s.Labels {
		labels[key] = value
	}
	b.mu.Lock()
	b.serial++
	ip := fmt.Sprintf("10.244.255.%d", b.serial%250+1)
	b.mu.Unlock()
	b.egress.Map(ip, s.Port, s.Addr)
	if err := b.createService(ctx, s, labels); err != nil {
		return err
	}
	if err := b.createHostPod(ctx, s, labels, ip); err != nil {
		return err
	}
	return b.waitEndpoint(ctx, s, ip)
}

func (b *Bed) ensureHostNode(ctx context.Context) error {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: hostNode},
		Spec:       corev1.NodeSpec{Unschedulable: true},
		Status:     corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}},
	}
	_, err := b.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (b *Bed) createService(ctx context.Context, s Service, labels map[string]string) error {
	_, err := b.client.CoreV1().Services(s.Namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name, Labels: labels},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app.kubernetes.io/name": s.Name},
			Ports:    []corev1.ServicePort{{Name: s.PortName, Port: int32(s.Port), TargetPort: intstr.FromInt(s.Port)}},
		},
	}, metav1.CreateOptions{})
	return err
}

func (b *Bed) createHostPod(ctx context.Context, s Service, labels map[string]string, ip string) error {
	pods := b.client.CoreV1().Pods(s.Namespace)
	pod, err := pods.Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-0", Labels: labels},
		Spec: corev1.PodSpec{
			NodeName: hostNode,
			Containers: []corev1.Container{{
				Name: s.Name, Image: s.Name,
				Ports: []corev1.ContainerPort{{Name: s.PortName, ContainerPort: int32(s.Port)}},
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	now := metav1.Now()
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status": corev1.PodStatus{
			Phase: corev1.PodRunning, StartTime: &now, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: now},
				{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: now},
			},
		},
	})
	if err != nil {
		return err
	}
	_, err = pods.Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// waitEndpoint waits until the service proxy answers at all: it reads the endpoints from a cache of its own.
func (b *Bed) waitEndpoint(ctx context.Context, s Service, ip string) error {
	return Until(ctx, func() (bool, error) {
		slices, err := b.client.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx,
			metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + s.Name})
		if err != nil {
			return false, err
		}
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if len(endpoint.Addresses) > 0 && endpoint.Addresses[0] == ip {
					return b.proxyKnows(ctx, s), nil
				}
			}
		}
		return false, nil
	})
}

// proxyKnows tells whether the service proxy has an endpoint. What the server behind it answers does not matter.
func (b *Bed) proxyKnows(ctx context.Context, s Service) bool {
	_, err := b.client.CoreV1().RESTClient().Get().Namespace(s.Namespace).Resource("services").
		Name(s.Name + ":" + strconv.Itoa(s.Port)).SubResource("proxy").DoRaw(ctx)
	return !apierrors.IsServiceUnavailable(err)
}
