package controller

import (
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// pod is a living pod of a ReplicaSet. There may be 100,000 of them, so every field counts.
type pod struct {
	meta
	replicaSet types.UID
	// scheduled is when a node was found and since when the present phase began, in Unix seconds; 0 if not known.
	scheduled, since int64
	gpus             int32
	phase            policy.Phase
	// served says that the pod has been Ready before.
	served bool
	// cost tells who has set the order in which the pods go.
	cost cost
}

// newPod returns what is kept of a pod; keep is false if it serves nobody: terminating, finished, or no ReplicaSet's.
func newPod(api runtime.Object) (p *pod, keep bool) {
	from, ok := api.(*corev1.Pod)
	if !ok {
		return nil, false
	}
	p = &pod{meta: metaOf(from), replicaSet: controllerOf(from, "ReplicaSet")}
	finished := from.Status.Phase == corev1.PodSucceeded || from.Status.Phase == corev1.PodFailed
	if p.replicaSet == "" || finished || from.DeletionTimestamp != nil {
		return p, false
	}
	p.gpus = gpus(&from.Spec)
	p.cost = costOf(from)
	p.phase = policy.Loading
	for i := range from.Status.Conditions {
		p.condition(&from.Status.Conditions[i])
	}
	if p.phase == policy.Loading {
		p.since = p.scheduled
	}
	return p, true
}

// condition takes phase and times from a condition.
func (p *pod) condition(c *corev1.PodCondition) {
	at := c.LastTransitionTime.Unix()
	if c.LastTransitionTime.IsZero() {
		at = 0
	}
	switch {
	case c.Type == corev1.PodScheduled && c.Status == corev1.ConditionTrue:
		p.scheduled = at
	case c.Type == corev1.PodScheduled && (c.Reason == corev1.PodReasonUnschedulable || c.Reason == corev1.PodReasonSchedulingGated):
		p.phase, p.since = policy.Unschedulable, at
	case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
		p.phase, p.since, p.served = policy.Ready, at, true
	}
}

func (p *pod) owner() types.UID { return p.replicaSet }

// DeepCopyObject copies what can be changed: nothing.
func (p *pod) DeepCopyObject() runtime.Object { c := *p; return &c }

// gpus counts the NVIDIA devices that a pod requests, whole ones and MIG slices alike. Init containers run before the
// others, those that stay (sidecars) beside them.
func gpus(spec *corev1.PodSpec) int32 {
	var running, starting int64
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		n := containerGPUs(c)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			running += n
			n = 0
		}
		starting = max(starting, running+n)
	}
	for i := range spec.Containers {
		running += containerGPUs(&spec.Containers[i])
	}
	return int32(min(max(running, starting), 1<<20))
}

// containerGPUs counts the devices of one container. For devices the limit is the request where only one is given.
func containerGPUs(c *corev1.Container) int64 {
	list := c.Resources.Requests
	if len(list) == 0 {
		list = c.Resources.Limits
	}
	var n int64
	for name, quantity := range list {
		if strings.HasPrefix(string(name), "nvidia.com/") {
			n += max(quantity.Value(), 0)
		}
	}
	return n
}

// startups collects how long pods took that were seen becoming Ready for the first time.
type startups struct {
	mu    sync.Mutex
	count int
	// took is by ReplicaSet, from the node to Ready.
	took map[types.UID][]time.Duration
}

// maxStartups bounds what is kept while nobody asks: a standby watches too.
const maxStartups = 1024

// adopt finishes a pod before it is stored: it shares the strings of its siblings, and is remembered if it just started.
func (s *startups) adopt(fresh, old, peer *pod) {
	if peer != nil {
		fresh.namespace, fresh.replicaSet = peer.namespace, peer.replicaSet
	}
	fresh.version = "" // the reflector has read it, nobody else does
	if old == nil || old.replicaSet != fresh.replicaSet {
		return
	}
	if fresh.phase == policy.Ready && !old.served && fresh.scheduled > 0 {
		s.add(fresh.replicaSet, time.Duration(fresh.since-fresh.scheduled)*time.Second)
	}
	fresh.served = fresh.served || old.served
}

// add keeps a startup unless there are too many.
func (s *startups) add(replicaSet types.UID, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == maxStartups {
		return
	}
	if s.took == nil {
		s.took = map[types.UID][]time.Duration{}
	}
	s.took[replicaSet] = append(s.took[replicaSet], took)
	s.count++
}

// drain returns what was collected since the last time.
func (s *startups) drain() map[types.UID][]time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	took := s.took
	s.took, s.count = nil, 0
	return took
}
