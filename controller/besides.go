package controller

import (
	"context"
	"slices"
	"time"
)

// prepareBesides prepares the watches that can be done without: other autoscalers in the namespaces that are watched, the NVML agents, and
// the nodes with the pods on them, which are the whole cluster's even where only some namespaces are watched: their pods share the nodes with
// all others.
func (w *watches) prepareBesides(o *Options, scopes []string) {
	w.places = newPlaces(w.look)
	w.nodes = watchNodes(o.Client, w.places.nodes)
	w.bound = watchBoundPods(o.Client, w.places.bookings)
	if o.Direct != nil && o.AgentNamespace != "" {
		w.agents = &store[*agent]{}
		w.besides = append(w.besides, watchAgents(o.Client, o.AgentNamespace, w.agents))
	}
	if o.Dynamic == nil {
		return
	}
	for _, kind := range rivalKinds {
		for _, ns := range scopes {
			into := &store[*rival]{}
			w.rivals = append(w.rivals, into)
			w.besides = append(w.besides, watchRivals(o.Client, o.Dynamic, kind, ns, into))
		}
	}
}

// wantBesides starts them when there is a target that needs them and stops them when there is none. The pods are of use only
// together with the nodes.
func (w *watches) wantBesides(ctx context.Context, targets []*deployment) {
	places := needPlaces(targets)
	w.nodes.want(ctx, places)
	w.bound.want(ctx, places && w.places.nodes.isSynced())
	for _, o := range w.besides {
		o.want(ctx, len(targets) > 0)
	}
}

// needPlaces reports whether the nodes are of any use: the template of at least one target can be judged.
func needPlaces(targets []*deployment) bool {
	return slices.ContainsFunc(targets, func(d *deployment) bool { return d.judged })
}

// besidesPatience is how long the first tick waits for the watches that can be done without.
const besidesPatience = 5 * time.Second

// waitBesides returns when there is nothing more to wait for among the watches that can be done without, or after a while.
func (w *watches) waitBesides(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, besidesPatience)
	defer cancel()
	_ = w.wait(ctx, w.besidesSettled)
}

// besidesSettled reports whether each of them that is needed has been listed or is refused.
func (w *watches) besidesSettled() bool {
	targets := w.targets(nil)
	if len(targets) == 0 {
		return true
	}
	if needPlaces(targets) && (!w.nodes.settled() || w.places.nodes.isSynced() && !w.bound.settled()) {
		return false
	}
	return !slices.ContainsFunc(w.besides, func(o *optional) bool { return !o.settled() })
}
