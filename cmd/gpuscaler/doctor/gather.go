package doctor

import (
	"context"
	"sync"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// Options say what is looked at and how.
type Options struct {
	// Name tells people which cluster it is, Scope what of it is looked at.
	Name, Scope string
	Config      *rest.Config
	Client      kubernetes.Interface
	Dynamic     dynamic.Interface
	// Namespaces are the ones to look at, none for all. Deployment is the only one to look at, empty for all.
	Namespaces []string
	Deployment string

	// Open finds Prometheus. It returns nil where none is configured.
	Open func(context.Context) (p *metrics.Prometheus, name string, err error)
	// Direct reads pods and NVML agents past Prometheus.
	Direct controller.DirectReader
	// AgentNamespace is where the agents are.
	AgentNamespace string
	// Auto says that Open looks through the Services, Proxied that Prometheus is asked through the API server; ProxyNamespace is
	// where, empty if that is not known beforehand.
	Auto, Proxied  bool
	ProxyNamespace string

	Settings policy.Settings
	Queries  metrics.Queries
	// Writes says that the user is the controller, and LeaseNamespace where it keeps its lease.
	Writes         bool
	LeaseNamespace string
}

// Gather looks at everything, as much of it at once as can be. It fails only if the Deployments cannot be listed for another reason
// than that the user may not: then there is nothing to say about anything.
func Gather(ctx context.Context, o *Options) (*Facts, error) {
	facts := &Facts{Cluster: ClusterFacts{Name: o.Name, Scope: o.Scope, One: o.Deployment != "", Writes: o.Writes}, MaxSampleAge: o.Settings.MaxSampleAge, AgentNamespace: o.AgentNamespace}
	var prometheus *metrics.Prometheus
	var found *objects
	var err error
	together(
		func() { askAPIServer(ctx, o, &facts.Cluster) },
		func() { prometheus = meetPrometheus(ctx, o, &facts.Prometheus) },
		func() { found, err = list(ctx, o) },
	)
	if err != nil {
		return nil, err
	}
	facts.Unread = found.unread
	facts.Workloads = found.workloads(o)
	facts.Agents, facts.GPUNodes = len(found.agents), found.gpuNodes()
	rights := needs(o, facts.Workloads)
	var direct []directRead
	together(
		func() { facts.Cluster.Rights, facts.Cluster.RightsErr = askRights(ctx, o, rights) },
		func() {
			if prometheus != nil {
				readSignals(ctx, o, prometheus, found, facts)
			}
		},
		func() { direct = readDirect(ctx, o, found, facts.Workloads) },
	)
	handOutDirect(direct, facts.Workloads)
	return facts, nil
}

// together runs functions at the same time and waits for all.
func together(all ...func()) {
	var wg sync.WaitGroup
	for _, f := range all {
		wg.Go(f)
	}
	wg.Wait()
}

// few runs a function for 0..n-1, some at a time.
func few(n, atOnce int, f func(int)) {
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			f(i)
		})
	}
	wg.Wait()
}
