package bed

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

// runScheduler starts kube-scheduler with the default profile until runCtx ends. Its back-off is shortened: with the
// default of 1s to 10s a pod that waits for a node notices it late.
func runScheduler(ctx, runCtx context.Context, config *rest.Config, running *sync.WaitGroup) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("making the scheduler's client: %w", err)
	}
	plain, err := dynamic.NewForConfig(metadata.ConfigFor(config))
	if err != nil {
		return fmt.Errorf("making the scheduler's dynamic client: %w", err)
	}
	informers := scheduler.NewInformerFactory(client, 0, nil)
	dynamics := dynamicinformer.NewDynamicSharedInformerFactory(plain, 0)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	if err := broadcaster.StartRecordingToSinkWithContext(runCtx); err != nil {
		return fmt.Errorf("starting the scheduler's events: %w", err)
	}
	running.Go(func() {
		<-runCtx.Done()
		broadcaster.Shutdown()
	})
	sched, err := scheduler.New(runCtx, client, informers, dynamics, profile.NewRecorderFactory(broadcaster),
		scheduler.WithKubeConfig(config),
		scheduler.WithPodInitialBackoffSeconds(0), scheduler.WithPodMaxBackoffSeconds(1))
	if err != nil {
		return fmt.Errorf("making the scheduler: %w", err)
	}
	informers.Start(runCtx.Done())
	dynamics.Start(runCtx.Done())
	informers.WaitForCacheSync(ctx.Done())
	dynamics.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		return fmt.Errorf("waiting for the scheduler's caches: %w", err)
	}
	running.Go(func() { sched.Run(runCtx) })
	return nil
}
