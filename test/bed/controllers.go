package bed

import (
	"context"
	"fmt"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/scale"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/deployment"
	"k8s.io/kubernetes/pkg/controller/endpointslice"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/podautoscaler"
	hpametrics "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
	resourceclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	custommetrics "k8s.io/metrics/pkg/client/custom_metrics"
	externalmetrics "k8s.io/metrics/pkg/client/external_metrics"
)

// The users as which the components act; the audit log leaves them out.
const (
	managerUser   = "system:kube-controller-manager"
	schedulerUser = "system:kube-scheduler"
	kubeletUser   = "system:kubelet"
)

// workers is how many objects each controller handles at once.
const workers = 8

// manager is what the controllers of kube-controller-manager share.
type manager struct {
	config   *rest.Config
	client   kubernetes.Interface
	metadata metadata.Interface
	mapper   *restmapper.DeferredDiscoveryRESTMapper
	typed    informers.SharedInformerFactory
	partial  metadatainformer.SharedInformerFactory
	// started is closed once the informers run: the garbage collector waits for it.
	started chan struct{}
	running sync.WaitGroup
}

// startControllers starts all controllers and the scheduler and returns what stops them.
func (b *Bed) startControllers(ctx context.Context, opts Options) (func(), error) {
	runCtx, cancel := context.WithCancel(context.Background())
	m, err := b.newManager()
	if err != nil {
		cancel()
		return func() {}, err
	}
	stop := func() {
		cancel()
		m.running.Wait()
	}
	if err := m.runAll(runCtx, opts); err != nil {
		return stop, err
	}
	schedulerConfig, err := b.componentConfig(schedulerUser, "kube-scheduler")
	if err != nil {
		return stop, err
	}
	return stop, runScheduler(ctx, runCtx, schedulerConfig, &m.running)
}

// componentConfig returns the client configuration of a component of the control plane. Its user agent is the field
// manager by which its writes are known.
func (b *Bed) componentConfig(user, agent string) (*rest.Config, error) {
	config, err := b.UserConfig(user, []string{mastersGroup})
	if err != nil {
		return nil, err
	}
	config.UserAgent = agent + "/" + Version
	return config, nil
}

func (b *Bed) newManager() (*manager, error) {
	config, err := b.componentConfig(managerUser, "kube-controller-manager")
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the controllers' client: %w", err)
	}
	partial, err := metadata.NewForConfig(metadata.ConfigFor(config))
	if err != nil {
		return nil, fmt.Errorf("making the controllers' metadata client: %w", err)
	}
	return &manager{
		config:   config,
		client:   client,
		metadata: partial,
		mapper:   restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery())),
		typed:    informers.NewSharedInformerFactory(client, 0),
		partial:  metadatainformer.NewSharedInformerFactory(partial, 0),
		started:  make(chan struct{}),
	}, nil
}

// runAll starts the controllers, then the informers they asked for.
func (m *manager) runAll(ctx context.Context, opts Options) error {
	controllers := map[string]func(context.Context) error{
		"deployment":        m.runDeployments,
		"garbage-collector": m.runGarbageCollector,
		"serviceaccount":    m.runServiceAccounts,
	}
	if !opts.WithoutHPA {
		controllers["horizontal-pod-autoscaler"] = func(ctx context.Context) error { return m.runAutoscaler(ctx, opts.HPASync) }
	}
	for name, start := range controllers {
		if err := start(ctx); err != nil {
			return fmt.Errorf("starting the %s controller: %w", name, err)
		}
	}
	m.runReplicaSets(ctx)
	m.runEndpointSlices(ctx)
	m.runNamespaces(ctx)
	m.typed.Start(ctx.Done())
	m.partial.Start(ctx.Done())
	close(m.started)
	return nil
}

// run runs a controller until ctx ends and lets the stop of the bed wait for it.
func (m *manager) run(f func()) {
	m.running.Go(f)
}

func (m *manager) runDeployments(ctx context.Context) error {
	apps, core := m.typed.Apps().V1(), m.typed.Core().V1()
	c, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), core.Pods(), m.client)
	if err != nil {
		return err
	}
	m.run(func() { c.Run(ctx, workers) })
	return nil
}

func (m *manager) runReplicaSets(ctx context.Context) {
	c := replicaset.NewReplicaSetController(ctx, m.typed.Apps().V1().ReplicaSets(), m.typed.Core().V1().Pods(), m.client,
		replicaset.BurstReplicas)
	m.run(func() { c.Run(ctx, workers) })
}

func (m *manager) runEndpointSlices(ctx context.Context) {
	core := m.typed.Core().V1()
	c := endpointslice.NewController(ctx, core.Pods(), core.Services(), core.Nodes(),
		m.typed.Discovery().V1().EndpointSlices(), 100, m.client, 0)
	m.run(func() { c.Run(ctx, workers) })
}

func (m *manager) runNamespaces(ctx context.Context) {
	c := namespace.NewNamespaceController(ctx, m.client, m.metadata, m.client.Discovery().ServerPreferredNamespacedResources,
		m.typed.Core().V1().Namespaces(), 5*time.Minute, v1.FinalizerKubernetes)
	m.run(func() { c.Run(ctx, workers) })
}

func (m *manager) runServiceAccounts(ctx context.Context) error {
	core := m.typed.Core().V1()
	c, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(), core.Namespaces(),
		m.client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	m.run(func() { c.Run(ctx, workers) })
	return nil
}

func (m *manager) runGarbageCollector(ctx context.Context) error {
	c, err := garbagecollector.NewGarbageCollector(ctx, m.client, m.metadata, m.mapper,
		garbagecollector.DefaultIgnoredResources(), informerfactory.NewInformerFactory(m.typed, m.partial), m.started)
	if err != nil {
		return err
	}
	m.run(func() { c.Run(ctx, workers, 30*time.Second) })
	m.run(func() { c.Sync(ctx, discovery.NewDiscoveryClient(m.client.Discovery().RESTClient()), 30*time.Second) })
	return nil
}

// runAutoscaler starts the real HPA controller: bounds work at once; metrics only if a test serves a metrics API.
func (m *manager) runAutoscaler(ctx context.Context, sync time.Duration) error {
	plain := metadata.ConfigFor(m.config) // these clients speak JSON only
	scales, err := scale.NewForConfig(plain, m.mapper, dynamic.LegacyAPIPathResolverFunc,
		scale.NewDiscoveryScaleKindResolver(m.client.Discovery()))
	if err != nil {
		return err
	}
	resources, err := resourceclient.NewForConfig(plain)
	if err != nil {
		return err
	}
	external, err := externalmetrics.NewForConfig(plain)
	if err != nil {
		return err
	}
	versions := custommetrics.NewAvailableAPIsGetter(m.client.Discovery())
	readings := hpametrics.NewRESTMetricsClient(resources, custommetrics.NewForConfig(plain, m.mapper, versions), external)
	c := podautoscaler.NewHorizontalController(ctx, m.client.CoreV1(), scales, m.client.AutoscalingV2(), m.mapper, readings,
		m.typed.Autoscaling().V2().HorizontalPodAutoscalers(), m.typed.Core().V1().Pods(),
		sync, 5*time.Minute, 0.1, 5*time.Minute, 30*time.Second)
	m.run(func() { custommetrics.PeriodicallyInvalidate(versions, sync, ctx.Done()) })
	m.run(func() { c.Run(ctx, workers) })
	return nil
}
