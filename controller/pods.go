package controller

import (
	"net/netip"
	"strings"
	"sync"
	"time"
	"unique"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gpuscaler/gpuscaler/policy"
)

// pod is a living pod of a ReplicaSet. There may be 100,000 of them, so every field counts.
type pod struct {
	meta
	replicaSet types.UID
	// scheduled is when a node was found. since is that of policy.Pod, but for a pod that has never been Ready it is when the kubelet
	// took it on, and without that when a node was found. Both are in Unix seconds; 0 if not known.
	scheduled, since int64
	// lacking is what the scheduler misses for an unschedulable pod; the zero Handle if it said nothing. Pods that wait for the
	// same share it.
	lacking unique.Handle[string]
	// node is the name of its node, the zero Handle if it has none; ip its own address.
	node  unique.Handle[string]
	ip    netip.Addr
	gpus  int32
	phase policy.Phase
	// served says that the pod has been Ready before.
	served bool
	// crash says why its containers do not come up, restarts how often they were restarted, up to 255.
	crash    crash
	restarts uint8
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
	p.node, p.ip = nodeOf(from), ipOf(from)
	p.conditions(from.Status.Conditions)
	p.crash, p.restarts = crashOf(&from.Status)
	p.cost = costOf(from)
	return p, true
}

// nodeOf is the name of the pod's node, shared by all pods there.
func nodeOf(from *corev1.Pod) (node unique.Handle[string]) {
	if from.Spec.NodeName != "" {
		node = unique.Make(from.Spec.NodeName)
	}
	return node
}

// ipOf is the pod's own address, the zero Addr if it has none yet.
func ipOf(from *corev1.Pod) netip.Addr {
	ip, _ := netip.ParseAddr(from.Status.PodIP) // the API server has checked it
	return ip
}

// conditions takes phase and times from the conditions.
func (p *pod) conditions(list []corev1.PodCondition) {
	p.phase = policy.Loading
	var unready, initialized int64
	for i := range list {
		c := &list[i]
		at, holds := seconds(c.LastTransitionTime), c.Status == corev1.ConditionTrue
		switch {
		case c.Type == corev1.PodScheduled && holds:
			p.scheduled = at
		case c.Type == corev1.PodScheduled && (c.Reason == corev1.PodReasonUnschedulable || c.Reason == corev1.PodReasonSchedulingGated):
			p.phase, p.since = policy.Unschedulable, at
			if c.Message != "" {
				p.lacking = unique.Make(missing(c.Message))
			}
		case c.Type == corev1.PodReady && holds:
			p.phase, p.since, p.served = policy.Ready, at, true
		case c.Type == corev1.PodReady:
			unready = at
		case c.Type == corev1.PodInitialized && holds:
			initialized = at
		}
	}
	if p.phase == policy.Loading {
		p.since = max(p.scheduled, unready)
		// A kubelet begins with Ready=False and Initialized in one report, or has Initialized follow. If Ready is younger than that,
		// by more than the second to which times are cut, it has been true in between.
		p.served = initialized > 0 && unready > initialized+1
	}
}

// seconds are those since the epoch, 0 for the zero time.
func seconds(t metav1.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// took is the time from the node to the last transition to Ready, 0 if that is not known.
func (p *pod) took() time.Duration {
	if p.phase != policy.Ready || p.scheduled == 0 {
		return 0
	}
	return time.Duration(p.since-p.scheduled) * time.Second
}

// seen is the pod as policy sees it.
func (p *pod) seen() policy.Pod {
	return policy.Pod{
		Name: p.name, Phase: p.phase, Since: unix(p.since), Scheduled: unix(p.scheduled), Served: p.served, Restarts: int(p.restarts),
	}
}

// before is the pod as policy would have seen it at an earlier time, as far as its last transitions tell.
func (p *pod) before(at time.Time) policy.Pod {
	seen := p.seen()
	switch changed := seen.Since.After(at); {
	case changed && p.phase == policy.Ready:
		seen.Phase, seen.Served, seen.Since = policy.Loading, false, time.Time{}
	case changed && p.phase == policy.Loading && p.served:
		seen.Phase, seen.Since = policy.Ready, time.Time{}
	}
	if seen.Scheduled.After(at) {
		seen.Scheduled = time.Time{}
	}
	return seen
}

func (p *pod) owner() types.UID { return p.replicaSet }

// DeepCopyObject copies what can be changed: nothing.
func (p *pod) DeepCopyObject() runtime.Object { c := *p; return &c }

// GPUsOf counts the NVIDIA devices that a pod of a template holds.
func GPUsOf(spec *corev1.PodSpec) int { return int(gpus(spec)) }

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
		if strings.HasPrefix(string(name), gpuResource) {
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
	if took := fresh.took(); took > 0 && !old.served {
		s.add(fresh.replicaSet, took)
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
