package doctor

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/pager"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// objects are what was listed, as much of it as matters.
type objects struct {
	mu          sync.Mutex
	deployments []*appsv1.Deployment
	// owners are the Deployments of ReplicaSets.
	owners map[types.UID]types.UID
	// living are the pods of each Deployment.
	living map[types.NamespacedName][]podFacts
	// pods are those of the namespaces that are looked at, all those that have not ended.
	// podsKnown says that they and their owners could be read.
	pods      []podFacts
	podsKnown bool
	nodes     []corev1.Node
	room      *controller.Room // nil if it is not known
	rivals    []unstructured.Unstructured
	quotas    []corev1.ResourceQuota
	ranges    []corev1.LimitRange
	// bound holds what is needed of pods to measure the room.
	bound []corev1.Pod
	// agents are the addresses of the NVML agents by node.
	agents map[string]netip.AddrPort
	unread []Unread
}

// podFacts are about one pod.
type podFacts struct {
	types.NamespacedName
	replicaSet    types.UID
	node          string
	ip            netip.Addr
	ready, placed bool
}

// What a Deployment's pods are known by.
const podsOf, replicaSets = "Pods", "ReplicaSets"

// list lists everything at once. What may not be listed is noted.
func list(ctx context.Context, o *Options) (*objects, error) {
	found := &objects{owners: map[types.UID]types.UID{}}
	var failed error
	var jobs []func()
	for _, ns := range scopes(o) {
		jobs = append(jobs, func() {
			if err := found.listDeployments(ctx, o, ns); err != nil {
				found.add(func() { failed = err })
			}
		})
		jobs = append(jobs, found.inNamespace(ctx, o, ns)...)
	}
	jobs = append(jobs, found.inCluster(ctx, o)...)
	few(len(jobs), len(jobs), func(i int) { jobs[i]() })
	if failed != nil {
		return nil, failed
	}
	slices.SortFunc(found.unread, func(a, b Unread) int { return strings.Compare(a.What, b.What) })
	found.podsKnown = !slices.ContainsFunc(found.unread, func(u Unread) bool { return u.What == podsOf || u.What == replicaSets })
	found.measure()
	return found, nil
}

// listDeployments lists the annotated Deployments, or gets the one. It fails if it cannot, for another reason than that it may not.
func (f *objects) listDeployments(ctx context.Context, o *Options, ns string) error {
	var err error
	if o.Deployment != "" {
		var d *appsv1.Deployment
		if d, err = o.Client.AppsV1().Deployments(ns).Get(ctx, o.Deployment, metav1.GetOptions{}); err == nil {
			f.add(func() { f.deployments = append(f.deployments, d) })
		}
	} else {
		err = each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return o.Client.AppsV1().Deployments(ns).List(ctx, options)
		}, func(d *appsv1.Deployment) {
			if policy.Annotated(d.Annotations) {
				f.add(func() { f.deployments = append(f.deployments, d) })
			}
		})
	}
	if apierrors.IsForbidden(err) {
		f.note("Deployments", "any of them", err)
		return nil
	}
	return err
}

// inNamespace lists what is of one namespace, or with "" of all.
func (f *objects) inNamespace(ctx context.Context, o *Options, ns string) []func() {
	core := o.Client.CoreV1()
	jobs := []func(){
		func() {
			err := each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return o.Client.AppsV1().ReplicaSets(ns).List(ctx, options)
			}, f.addReplicaSet)
			f.note(replicaSets, "which pods are a Deployment's, and whether they have samples", err)
		},
		func() {
			err := each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				return core.Pods(ns).List(ctx, options)
			}, f.addPod)
			f.note(podsOf, "whether they have samples", err)
		},
		func() {
			list, err := core.ResourceQuotas(ns).List(ctx, metav1.ListOptions{})
			f.note("ResourceQuotas", "whether they allow max-replicas", err)
			if err == nil {
				f.add(func() { f.quotas = append(f.quotas, list.Items...) })
			}
		},
		func() {
			list, err := core.LimitRanges(ns).List(ctx, metav1.ListOptions{})
			f.note("LimitRanges", "whether they allow the pods", err)
			if err == nil {
				f.add(func() { f.ranges = append(f.ranges, list.Items...) })
			}
		},
	}
	for _, kind := range controller.RivalKinds() {
		jobs = append(jobs, func() {
			list, err := o.Dynamic.Resource(kind).Namespace(ns).List(ctx, metav1.ListOptions{})
			if !apierrors.IsNotFound(err) { // a cluster without KEDA
				f.note(kind.GroupResource().String(), "whether they scale the same Deployments", err)
			}
			if err == nil {
				f.add(func() { f.rivals = append(f.rivals, list.Items...) })
			}
		})
	}
	return jobs
}

// boundPods selects those that hold a part of a node.
const boundPods = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"

// inCluster lists nodes and what is on them.
func (f *objects) inCluster(ctx context.Context, o *Options) []func() {
	const loses = "how many more pods fit on the nodes"
	return []func(){
		func() {
			list, err := o.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
			f.note("Nodes", loses, err)
			if err == nil {
				f.add(func() { f.nodes = append([]corev1.Node{}, list.Items...) })
			}
		},
		func() {
			list, err := o.Client.CoreV1().Pods(o.AgentNamespace).List(ctx, metav1.ListOptions{LabelSelector: controller.AgentLabel})
			f.note("NVML agents", "whether they answer", err)
			if err == nil {
				f.add(func() { f.agents = controller.Agents(list.Items) })
			}
		},
		func() {
			pods := []corev1.Pod{}
			err := each(ctx, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
				options.FieldSelector = boundPods
				return o.Client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, options)
			}, func(p *corev1.Pod) { pods = append(pods, *slim(p)) })
			f.note("Pods of all namespaces", loses, err)
			if err == nil {
				f.add(func() { f.bound = pods })
			}
		},
	}
}

// each hands over all objects of a list, page by page.
func each[T runtime.Object](ctx context.Context, list pager.ListPageFunc, f func(T)) error {
	return pager.New(list).EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		if object, ok := o.(T); ok {
			f(object)
		}
		return nil
	})
}

// note notes that something could not be read.
func (f *objects) note(what, loses string, err error) {
	if err != nil {
		f.add(func() { f.unread = append(f.unread, Unread{what, loses, err}) })
	}
}

// add changes what was found.
func (f *objects) add(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// addReplicaSet keeps whose it is.
func (f *objects) addReplicaSet(set *appsv1.ReplicaSet) {
	if owner := metav1.GetControllerOfNoCopy(set); owner != nil && owner.Kind == "Deployment" {
		f.add(func() { f.owners[set.UID] = owner.UID })
	}
}

// addPod keeps what matters of a pod that has not ended.
func (f *objects) addPod(p *corev1.Pod) {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed || p.DeletionTimestamp != nil {
		return
	}
	facts := podFacts{
		NamespacedName: types.NamespacedName{Namespace: p.Namespace, Name: p.Name}, node: p.Spec.NodeName, placed: p.Spec.NodeName != "",
	}
	facts.ip, _ = netip.ParseAddr(p.Status.PodIP) // the API server has checked it
	if owner := metav1.GetControllerOfNoCopy(p); owner != nil {
		facts.replicaSet = owner.UID
	}
	for _, c := range p.Status.Conditions {
		facts.ready = facts.ready || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}
	f.add(func() { f.pods = append(f.pods, facts) })
}

// slim drops most of a pod that does not matter to what it holds of its node. There may be many.
func slim(p *corev1.Pod) *corev1.Pod {
	p.ManagedFields, p.Annotations, p.Labels, p.Spec.Volumes = nil, nil, nil, nil
	for _, list := range [][]corev1.Container{p.Spec.Containers, p.Spec.InitContainers} {
		for i := range list {
			list[i].Env, list[i].VolumeMounts, list[i].Args, list[i].Command = nil, nil, nil, nil
		}
	}
	return p
}

// gpuNodes counts the nodes that offer GPUs.
func (f *objects) gpuNodes() int {
	n := 0
	for i := range f.nodes {
		for name, quantity := range f.nodes[i].Status.Allocatable {
			if strings.HasPrefix(string(name), "nvidia.com/") && !quantity.IsZero() {
				n++
				break
			}
		}
	}
	return n
}

// measure finds out what the nodes have free.
func (f *objects) measure() {
	if f.nodes == nil || f.bound == nil {
		return
	}
	f.room = controller.NewRoom(f.nodes)
	for i := range f.bound {
		f.room.Take(&f.bound[i])
	}
	f.bound = nil
}
