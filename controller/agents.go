package controller

import (
	"net/netip"
	"unique"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// The NVML agents are the pods with AgentLabel in one namespace: whoever may run pods elsewhere must not be able to make up what GPUs
// do.
const (
	AgentLabel = "app.kubernetes.io/name=gpuscaler-nvml-agent"
	// AgentPort is where they serve /metrics, unless a container port of theirs is named "metrics".
	AgentPort = 9401
)

// agent is the NVML agent of a node.
type agent struct {
	meta
	node    unique.Handle[string]
	address netip.AddrPort
}

// newAgent returns what is kept of an agent; keep is false if it does not serve.
func newAgent(api runtime.Object) (a *agent, keep bool) {
	from, ok := api.(*corev1.Pod)
	if !ok {
		return nil, false
	}
	ip := ipOf(from)
	a = &agent{meta: metaOf(from), node: nodeOf(from), address: netip.AddrPortFrom(ip, agentPort(&from.Spec))}
	ready := false
	for i := range from.Status.Conditions {
		c := &from.Status.Conditions[i]
		ready = ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	return a, ready && ip.IsValid() && from.Spec.NodeName != "" && from.DeletionTimestamp == nil
}

// agentPort is the container port named "metrics".
func agentPort(spec *corev1.PodSpec) uint16 {
	for i := range spec.Containers {
		for _, port := range spec.Containers[i].Ports {
			if port.Name == "metrics" {
				return uint16(port.ContainerPort)
			}
		}
	}
	return AgentPort
}

func (a *agent) owner() types.UID { return "" }

// DeepCopyObject copies what can be changed: nothing.
func (a *agent) DeepCopyObject() runtime.Object { c := *a; return &c }

// watchAgents watches the agents of a namespace.
func watchAgents(client kubernetes.Interface, ns string, into *store[*agent]) *optional {
	from := &narrowed[*agent, *corev1.PodList]{
		client: client.CoreV1().Pods(ns), clientset: client, selector: AgentLabel, convert: newAgent,
	}
	return optionally(place("NVML agents", ns), "GPUs are read through Prometheus only", from, into)
}

// Agents returns the addresses of the NVML agents among some pods, by node.
func Agents(pods []corev1.Pod) map[string]netip.AddrPort {
	var found []*agent
	for i := range pods {
		if a, keep := newAgent(&pods[i]); keep {
			found = append(found, a)
		}
	}
	named := map[string]netip.AddrPort{}
	for node, address := range agentsByNode(found) {
		named[node.Value()] = address
	}
	return named
}

// agentsByNode finds the agent of each node. Of two on one node, as during a rollout, the one that is later by name answers.
func agentsByNode(found []*agent) map[unique.Handle[string]]netip.AddrPort {
	byNode := make(map[unique.Handle[string]]netip.AddrPort, len(found))
	names := make(map[unique.Handle[string]]string, len(found))
	for _, a := range found {
		if a.name > names[a.node] {
			names[a.node], byNode[a.node] = a.name, a.address
		}
	}
	return byNode
}
