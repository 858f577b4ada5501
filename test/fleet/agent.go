package fleet

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the controller knows an agent's pod by, and where the agent listens.
const (
	AgentNamespace = "gpuscaler-nvml-agent"
	AgentName      = "gpuscaler-nvml-agent"
	AgentPort      = 9401
)

// AddAgent makes a pod on a node as the DaemonSet of the NVML agents would, with the label app.kubernetes.io/name. It has
// a loopback address, becomes ready like other pods, and exposes on AgentPort what an agent sees of the node's GPUs; it
// obeys the annotations of pods, such as Hostile. It may have an agent already. The namespace is made if there is none.
func (f *Fleet) AddAgent(ctx context.Context, node string) error {
	if _, err := f.node(node); err != nil {
		return fmt.Errorf("adding an agent: %w", err)
	}
	_, err := f.client.CoreV1().Namespaces().Create(ctx,
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: AgentNamespace}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("adding an agent to node %s: %w", node, err)
	}
	if err := f.createAgent(ctx, node); err != nil {
		return fmt.Errorf("adding an agent to node %s: %w", node, err)
	}
	return nil
}

// createAgent waits for the default service account, without which pods of a new namespace are refused.
func (f *Fleet) createAgent(ctx context.Context, node string) error {
	for {
		_, err := f.client.CoreV1().Pods(AgentNamespace).Create(ctx, agentPod(node, f.opts.HostPID), metav1.CreateOptions{})
		if err == nil || !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "service account") {
			return err
		}
		if !pause(ctx, 20*time.Millisecond) {
			return err
		}
	}
}

// StopAgent deletes a node's agents at once, as if they had been killed.
func (f *Fleet) StopAgent(ctx context.Context, node string) error {
	now := int64(0)
	err := f.client.CoreV1().Pods(AgentNamespace).DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: &now},
		metav1.ListOptions{LabelSelector: agentLabel + "=" + AgentName, FieldSelector: "spec.nodeName=" + node})
	if err != nil {
		return fmt.Errorf("stopping the agent of node %s: %w", node, err)
	}
	return nil
}

const agentLabel = "app.kubernetes.io/name"

// agentPod is already bound to its node, as the scheduler leaves a DaemonSet's pod.
func agentPod(node string, hostPID bool) *corev1.Pod {
	grace := int64(1)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: AgentNamespace, GenerateName: AgentName + "-", Labels: map[string]string{agentLabel: AgentName},
			Annotations: map[string]string{Address: AddressLoopback, Engine: EngineAgent, LoadTime: "0s"},
		},
		Spec: corev1.PodSpec{
			NodeName: node, HostPID: hostPID, TerminationGracePeriodSeconds: &grace,
			Tolerations: []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			Containers: []corev1.Container{{
				Name: "nvml-agent", Image: "example.com/nvml-agent:1",
				Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: AgentPort}},
			}},
		},
	}
}
