package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	appslisters "k8s.io/client-go/listers/apps/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/gpuscaler/gpuscaler/test/bench/hpa/report"
)

// watcher sees every change of replicas.
type watcher struct {
	deployments appslisters.DeploymentNamespaceLister

	mu    sync.Mutex
	moves []moved
}

// moved is a change of the replicas of a Deployment.
type moved struct {
	app string
	// seen is when it was seen here, a moment after it happened.
	seen time.Time
	report.Move
}

func startWatcher(ctx context.Context, client kubernetes.Interface) (*watcher, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	deployments := factory.Apps().V1().Deployments()
	w := &watcher{deployments: deployments.Lister().Deployments(namespace)}
	if _, err := deployments.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{UpdateFunc: w.update}); err != nil {
		return nil, err
	}
	factory.Start(ctx.Done())
	for _, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			return nil, errors.New("the list of Deployments does not come")
		}
	}
	return w, nil
}

func (w *watcher) update(from, to any) {
	before, after := from.(*appsv1.Deployment), to.(*appsv1.Deployment)
	if before.UID != after.UID || *before.Spec.Replicas == *after.Spec.Replicas {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.moves = append(w.moves, moved{after.Name, time.Now(), report.Move{From: int(*before.Spec.Replicas), To: int(*after.Spec.Replicas)}})
}

// since returns the moves after a time, by Deployment.
func (w *watcher) since(from time.Time) map[string][]report.Move {
	moves := map[string][]report.Move{}
	for _, m := range w.all(from) {
		moves[m.app] = append(moves[m.app], m.Move)
	}
	return moves
}

// all returns the moves after a time, in their order.
func (w *watcher) all(from time.Time) (moves []moved) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.moves {
		if m.seen.After(from) {
			moves = append(moves, m)
		}
	}
	return moves
}

// reached returns when each Deployment first had the replicas that it needs, or more, by a move after a time.
func (w *watcher) reached(from time.Time, needed map[string]int) map[string]time.Time {
	first := map[string]time.Time{}
	for _, m := range w.all(from) {
		n, wanted := needed[m.app]
		if _, already := first[m.app]; wanted && !already && m.To >= n && m.From < n {
			first[m.app] = m.seen
		}
	}
	return first
}

// replicas returns what a Deployment asks for, and an error while not all of them are ready.
func (w *watcher) replicas(app string) (int, error) {
	d, err := w.deployments.Get(app)
	if err != nil {
		return 0, err
	}
	n := int(*d.Spec.Replicas)
	if int(d.Status.ReadyReplicas) != n || int(d.Status.Replicas) != n {
		return n, fmt.Errorf("%s has %d pods, %d of them ready, and wants %d", app, d.Status.Replicas, d.Status.ReadyReplicas, n)
	}
	return n, nil
}
