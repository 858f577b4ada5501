package controller

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
)

// Options are what a Controller is made of.
type Options struct {
	// Client watches, and writes the scale subresource and Events. ClientFor makes one with the right settings.
	Client kubernetes.Interface
	// Dynamic watches other autoscalers, so that no Deployment is scaled by two. DynamicFor makes one. Nil looks for none.
	Dynamic dynamic.Interface
	// Signals reads the built-in signals, of all targets at once. Nil if there is no Prometheus; then Direct is required.
	Signals SignalReader
	// Direct reads them straight from pods and agents. Nil reads none of these.
	Direct DirectReader
	// AgentNamespace is where the NVML agents are looked for; empty for none.
	AgentNamespace string
	// Times reads when samples were taken. Without it that is known only where Signals tells.
	Times TimeReader
	// Queries reads custom signals. Without it they are missing.
	Queries QueryReader
	// Settings are handed to policy.Parse. Its Interval is the time between two ticks.
	Settings policy.Settings
	// Classes, if not nil, is asked at each tick whether the classes of the Settings have changed, and for the new ones.
	Classes func() (classes map[string]map[string]string, changed bool)

	// Namespaces are the only ones to be watched; empty means all.
	Namespaces []string
	// NamespaceSelector, if not nil, selects the namespaces to be watched by their labels. Not together with Namespaces.
	NamespaceSelector labels.Selector
	// Select, if not nil, narrows the targets further: `plan deployment/NAME` looks at one.
	Select func(namespace, name string) bool

	// DryRun decides and reports and writes nothing: no scale, no Event, no Lease.
	DryRun bool
	// LeaderElection, if not nil, lets only the holder of a Lease decide and write, and write down what it remembers for the next one.
	// Not together with DryRun.
	LeaderElection *LeaderElection
	// Events writes Events on the Deployments. DryRun overrules it.
	Events bool

	// Registry gets the metrics. Nil keeps none.
	Registry prometheus.Registerer
	// Gatherer is served at /metrics. Nil serves none.
	Gatherer prometheus.Gatherer
	// Chart draws what a workload's page shows of the last hours, as SVG for a light or a dark ground. Nil draws nothing.
	Chart func(c chart.Chart, width int, dark bool) ([]byte, error)
	// Logger takes the log. The zero Logger discards it.
	Logger logr.Logger
	// QueryTimeout bounds each query of a tick; 0 means four fifths of the interval.
	QueryTimeout time.Duration
	// Workers is how many targets are decided at once; 0 means 8.
	Workers int
}

// LeaderElection says which Lease is the leader's, and how the others reach the leader.
type LeaderElection struct {
	// Client is used for the Lease only, so that scale writes cannot starve it. LeaseClientFor makes one whose requests time out.
	Client kubernetes.Interface
	// Namespace and Name are the Lease's. LeaseName gives the name. The ConfigMaps of the checkpoint are beside it: NAME-checkpoint-N.
	Namespace, Name string
	// Identity is unique to this process and tells its address. Identity makes one.
	Identity string
}

// validate returns everything that is wrong with the Options.
func (o *Options) validate() error {
	var problems []error
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	complain(o.Client == nil, "a Kubernetes client is required")
	complain(o.Signals == nil && o.Direct == nil, "a reader of signals is required")
	complain(o.Settings.Interval < minInterval, "interval %v is too short: at least %v is needed", o.Settings.Interval, minInterval)
	complain(o.Settings.MaxSampleAge <= 0, "max-sample-age %v must be above 0", o.Settings.MaxSampleAge)
	complain(o.Workers < 0, "workers %d must not be negative", o.Workers)
	complain(len(o.Namespaces) > 0 && o.NamespaceSelector != nil, "namespaces are either listed (%q) or selected by label (%q), not both", o.Namespaces, o.NamespaceSelector)
	complain(o.DryRun && o.LeaderElection != nil, "a dry run takes part in no leader election")
	if e := o.LeaderElection; e != nil {
		complain(e.Client == nil, "leader election needs a Kubernetes client of its own")
		complain(e.Namespace == "", "leader election needs the namespace of its Lease")
		complain(e.Name == "", "leader election needs the name of its Lease")
		complain(e.Identity == "", "leader election needs an identity")
	}
	return errors.Join(problems...)
}

// minInterval keeps a mistyped interval from flooding Prometheus.
const minInterval = 100 * time.Millisecond

// defaultWorkers is how many targets are decided at once.
const defaultWorkers = 8
