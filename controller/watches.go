package controller

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// watches keeps the caches: Deployments everywhere, their ReplicaSets and pods only in namespaces that have targets.
type watches struct {
	client kubernetes.Interface
	chosen func(namespace, name string) bool

	// sources are the watches that must have answered once before anything can be said. The first are those of the Deployments in
	// scopes: the namespaces, or "" for all.
	sources     []*watchSource
	scopes      []string
	deployments []*store[*deployment]
	// namespaces are the selected ones, nil if there is no selector.
	namespaces *store[*namespace]
	// everywhere says that pods may be watched in all namespaces at once.
	everywhere bool

	// places are how much room the nodes have, and rivals the other autoscalers; what watches them can be done without.
	places *places
	rivals []*store[*rival]
	// nodes and bound serve places, besides all others.
	nodes, bound *optional
	besides      []*optional
	// agents are the NVML agents, nil if nobody reads them.
	agents *store[*agent]

	startups startups
	// poke asks for a look at which namespaces need their pods watched.
	poke chan struct{}

	mu sync.RWMutex
	// members are the watches of ReplicaSets and pods by namespace; under "" that of all namespaces.
	members map[string]*members
}

// watchSource is one kind of object being watched in one place.
type watchSource struct {
	what string
	// run watches until the context ends.
	run func(context.Context)
	// synced reports whether the first list has arrived; problem tells why the last attempt failed, nil if it did not.
	synced  func() bool
	problem func() error
	// again, when it is sent to, has it listed anew. relisted is when that was last asked for.
	again    chan struct{}
	relisted time.Time
}

// members are the ReplicaSets and pods of a namespace, or of all.
type members struct {
	sets    *store[*replicaSet]
	pods    *store[*pod]
	sources []*watchSource
	stop    context.CancelFunc
}

// maxNamespaceWatches is how many namespaces are watched one by one. With more, two watches of everything cost less: one takes about
// 70 KiB while nothing happens.
const maxNamespaceWatches = 32

// newWatches prepares the watches of the Options; start starts them.
func newWatches(o *Options) *watches {
	w := &watches{client: o.Client, chosen: o.Select, poke: make(chan struct{}, 1), members: map[string]*members{}}
	scopes := slices.Compact(slices.Sorted(slices.Values(o.Namespaces))) // one listed twice must not make two targets of one Deployment
	if len(scopes) == 0 {
		scopes = []string{""}
		w.everywhere = true
	}
	w.scopes = scopes
	for _, ns := range scopes {
		deployments := &store[*deployment]{adopt: adoptDeployment, changed: w.look}
		w.deployments = append(w.deployments, deployments)
		w.sources = append(w.sources, watchDeployments(o.Client, ns, deployments))
	}
	if o.NamespaceSelector != nil {
		w.selectNamespaces(o.NamespaceSelector)
	}
	w.prepareBesides(o, scopes)
	return w
}

// selectNamespaces adds the watch of the namespaces that a selector matches.
func (w *watches) selectNamespaces(selector labels.Selector) {
	w.namespaces = &store[*namespace]{changed: w.look}
	from := &narrowed[*namespace, *corev1.NamespaceList]{
		client: w.client.CoreV1().Namespaces(), clientset: w.client, selector: selector.String(), convert: newNamespace,
	}
	w.sources = append(w.sources, watched("Namespaces", from, w.namespaces))
}

// watchDeployments watches the Deployments of a namespace, or with "" of all.
func watchDeployments(client kubernetes.Interface, ns string, into *store[*deployment]) *watchSource {
	from := &narrowed[*deployment, *appsv1.DeploymentList]{client: client.AppsV1().Deployments(ns), clientset: client, convert: newDeployment}
	return watched(place("Deployments", ns), from, into)
}

// watchSets watches the ReplicaSets of a namespace, or with "" of all.
func watchSets(client kubernetes.Interface, ns string, into *store[*replicaSet]) *watchSource {
	from := &narrowed[*replicaSet, *appsv1.ReplicaSetList]{client: client.AppsV1().ReplicaSets(ns), clientset: client, convert: newReplicaSet}
	return watched(place("ReplicaSets", ns), from, into)
}

// watchPods watches the pods of a namespace, or with "" of all.
func watchPods(client kubernetes.Interface, ns string, into *store[*pod]) *watchSource {
	from := &narrowed[*pod, *corev1.PodList]{client: client.CoreV1().Pods(ns), clientset: client, convert: newPod}
	return watched(place("Pods", ns), from, into)
}

// look asks for a look at the namespaces. It never blocks.
func (w *watches) look() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// start watches until the context ends.
func (w *watches) start(ctx context.Context) {
	for _, s := range w.sources {
		go s.run(ctx)
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.poke:
				w.reconcile(ctx)
			}
		}
	}()
}

// reconcile starts the watches of namespaces that have got a target and stops those of namespaces without any.
func (w *watches) reconcile(ctx context.Context) {
	if !synced(w.sources) {
		return
	}
	wanted := map[string]bool{}
	targets := w.targets(nil)
	for _, d := range targets {
		wanted[d.namespace] = true
	}
	w.wantBesides(ctx, targets)
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := w.members[""]; all != nil || w.everywhere && len(wanted) > maxNamespaceWatches {
		if all != nil && !all.synced() {
			return // the others serve until then
		}
		wanted = map[string]bool{"": true}
	}
	for ns := range wanted {
		if w.members[ns] == nil {
			w.members[ns] = w.watchMembers(ctx, ns)
		}
	}
	if all := w.members[""]; all != nil && !all.synced() {
		return
	}
	for ns, m := range w.members {
		if !wanted[ns] {
			m.stop()
			delete(w.members, ns)
		}
	}
}

// watchMembers starts to watch ReplicaSets and pods of a namespace, or with "" of all.
func (w *watches) watchMembers(ctx context.Context, ns string) *members {
	ctx, stop := context.WithCancel(ctx)
	m := &members{
		sets: &store[*replicaSet]{pack: packer(func(r *replicaSet) []*string {
			return []*string{&r.namespace, &r.name, (*string)(&r.uid), (*string)(&r.deployment)}
		})},
		pods: &store[*pod]{pack: packer(func(p *pod) []*string {
			return []*string{&p.namespace, &p.name, (*string)(&p.replicaSet)}
		}), adopt: w.startups.adopt},
		stop: stop,
	}
	if ns == "" {
		m.sets.changed, m.pods.changed = w.lookUntil(m), w.lookUntil(m)
	}
	m.sources = []*watchSource{watchSets(w.client, ns, m.sets), watchPods(w.client, ns, m.pods)}
	for _, s := range m.sources {
		go s.run(ctx)
	}
	return m
}

// lookUntil has the single namespaces stopped as soon as the watch of all has caught up.
func (w *watches) lookUntil(m *members) func() {
	var once sync.Once
	return func() {
		if m.synced() {
			once.Do(w.look)
		}
	}
}

// targets appends the Deployments that are to be scaled to a list, in no order.
func (w *watches) targets(list []*deployment) []*deployment {
	for _, s := range w.deployments {
		list = s.all(list)
	}
	if w.namespaces == nil && w.chosen == nil {
		return list
	}
	return slices.DeleteFunc(list, func(d *deployment) bool {
		return w.chosen != nil && !w.chosen(d.namespace, d.name) ||
			w.namespaces != nil && w.namespaces.get(key{"", d.namespace}) == nil
	})
}

// of returns the ReplicaSets and pods of a namespace, nil as long as they have not been listed.
func (w *watches) of(ns string) *members {
	w.mu.RLock()
	defer w.mu.RUnlock()
	m := w.members[ns]
	if m == nil {
		m = w.members[""]
	}
	if m == nil || !m.synced() {
		return nil
	}
	return m
}

// synced reports whether both have been listed.
func (m *members) synced() bool { return m.sets.synced.Load() && m.pods.synced.Load() }

// place names a namespace for people.
func place(kind, ns string) string {
	if ns == "" {
		return kind + " of all namespaces"
	}
	return strings.Join([]string{kind, "of namespace", ns}, " ")
}
