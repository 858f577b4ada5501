package fleet

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Network makes pod addresses reachable for the API server. bed.Egress is one.
type Network interface {
	// Map makes a loopback "host:port" answer for a port of a pod address.
	Map(podIP string, port int, addr string)
	// Unmap takes it away.
	Unmap(podIP string, port int)
}

// Scraper is told what there is to scrape. prom.Server is one.
type Scraper interface {
	// SetTargets replaces the targets of a source: SourceDCGM, SourceVLLM, SourceAgent or SourceGateway.
	SetTargets(source string, targets []Target)
}

// Options configure a Fleet. The zero value works: pods are ready at once and nobody scrapes.
type Options struct {
	// Network maps the addresses of servers; nil if the API server need not reach them.
	Network Network
	// Scraper learns of the exporters and engines as they come and go; nil if nobody scrapes.
	Scraper Scraper
	// StartDelay is how long a container is ContainerCreating.
	StartDelay time.Duration
	// LoadTime is how long a container runs until it is ready, unless its pod says otherwise.
	LoadTime time.Duration
	// StopDelay is how long a container takes to end, at most its pod's grace period.
	StopDelay time.Duration
	// CrashAfter is how long a container with the Crash annotation runs, 20ms if zero, unless its pod says otherwise;
	// CrashBackOff is the pause before its second restart, doubled each time up to eightfold, 1s if zero. The first is at
	// once.
	CrashAfter, CrashBackOff time.Duration
	// Tick is how often models advance; 100ms if zero.
	Tick time.Duration
	// GPU is the product of all nodes; an H100 if zero.
	GPU GPUProduct
	// AgentProgram, if not nil, runs in the agents' pods in place of the agent of this package. Of the values of Hostile it
	// knows HostileRefuse, HostileStale and, when it starts, HostileNoDriver.
	AgentProgram *AgentProgram
	// HostPID lets agents see the processes of their node: of a time-sliced GPU they tell what each pod uses.
	HostPID bool
	// Log receives what goes wrong; nil discards it.
	Log func(format string, args ...any)
}

func (o *Options) setDefaults() {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&o.CrashAfter, 20*time.Millisecond)
	set(&o.CrashBackOff, time.Second)
	set(&o.Tick, 100*time.Millisecond)
	if o.GPU == (GPUProduct{}) {
		o.GPU = H100
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
}

// Fleet is a running simulation.
type Fleet struct {
	opts    Options
	client  kubernetes.Interface
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	// block is the second byte of loopback addresses; claim holds it against other fleets of this machine.
	block int
	claim *net.UnixListener

	mu     sync.Mutex
	nodes  map[string]*node
	made   int // nodes ever made
	pods   map[types.UID]*podRun
	models map[types.NamespacedName]Model
	// gateways are by namespace.
	gateways map[string]*Gateway

	publishing sync.Mutex
}

// Start begins to play kubelet for the nodes that AddNode makes. It needs the rights to create and delete nodes and
// pods and to patch their status, and for AddAgent to create namespaces.
func Start(ctx context.Context, config *rest.Config, opts Options) (*Fleet, error) {
	config = rest.CopyConfig(config)
	config.UserAgent = "kubelet/v1.37.2" // the name by which its writes are known
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making the fleet's client: %w", err)
	}
	f, err := newFleet(client, opts)
	if err != nil {
		return nil, err
	}
	if err := f.watch(ctx); err != nil {
		f.Stop()
		return nil, err
	}
	f.running.Go(f.tick)
	return f, nil
}

func newFleet(client kubernetes.Interface, opts Options) (*Fleet, error) {
	opts.setDefaults()
	block, claim, err := claimBlock()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Fleet{
		opts: opts, client: client, ctx: ctx, cancel: cancel, block: block, claim: claim,
		nodes: map[string]*node{}, pods: map[types.UID]*podRun{}, models: map[types.NamespacedName]Model{},
		gateways: map[string]*Gateway{},
	}, nil
}

// Stop ends all servers and the kubelet and leaves nodes and pods as they are.
func (f *Fleet) Stop() {
	f.cancel()
	f.running.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.nodes {
		n.stop()
	}
	for _, g := range f.gateways {
		g.server.stop()
	}
	_ = f.claim.Close()
}

// watch follows all pods that are bound to a node.
func (f *Fleet) watch(ctx context.Context) error {
	source := cache.NewListWatchFromClient(f.client.CoreV1().RESTClient(), "pods", "",
		fields.OneTermNotEqualSelector("spec.nodeName", ""))
	_, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: source,
		ObjectType:    &corev1.Pod{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { f.update(obj.(*corev1.Pod)) },
			UpdateFunc: func(_, obj any) { f.update(obj.(*corev1.Pod)) },
			DeleteFunc: f.gone,
		},
	})
	f.running.Go(func() { controller.RunWithContext(f.ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), controller.HasSynced) {
		return fmt.Errorf("waiting for the list of pods: %w", ctx.Err())
	}
	return nil
}

// update starts a pod that is new on one of our nodes, or tells its run what has changed.
func (f *Fleet) update(pod *corev1.Pod) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if run := f.pods[pod.UID]; run != nil {
		run.set(pod)
		return
	}
	n := f.nodes[pod.Spec.NodeName]
	if n == nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return
	}
	f.startLocked(n, pod)
}

func (f *Fleet) startLocked(n *node, pod *corev1.Pod) {
	run := newPodRun(f, n, pod)
	f.pods[pod.UID] = run
	f.running.Go(func() {
		run.run()
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.pods, pod.UID)
	})
}

// gone ends the run of a pod that was deleted without waiting for its kubelet.
func (f *Fleet) gone(obj any) {
	if last, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = last.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if run := f.pods[pod.UID]; run != nil {
		run.cancel()
	}
}
