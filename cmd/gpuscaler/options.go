package main

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The settings of a controller that nobody changed, and the limits of the interval: a shorter one would flood
// Prometheus, and a longer one is no control.
const (
	defaultInterval     = 5 * time.Second
	defaultMaxSampleAge = 90 * time.Second
	minInterval         = 100 * time.Millisecond
	maxInterval         = 10 * time.Minute

	// defaultAgentNamespace is where deploy/nvml-agent puts the agents. A controller in the cluster is told so when it is installed
	// with them: where there are none, somebody else could make that namespace, and agents that it believes.
	defaultAgentNamespace = "gpuscaler-nvml-agent"
)

// tickFlags are what every command needs that decides: where signals are read from, how often, and how annotations are read.
type tickFlags struct {
	source       sourceFlags
	admin        adminFlags
	interval     time.Duration
	maxSampleAge time.Duration
	// agentNamespace is where the NVML agents are, empty for the default.
	agentNamespace string
}

func (f *tickFlags) addFlags(flags *pflag.FlagSet) {
	f.source.addFlags(flags)
	f.admin.addFlags(flags)
	flags.DurationVar(&f.interval, "interval", defaultInterval, "time between two decisions")
	flags.DurationVar(&f.maxSampleAge, "max-sample-age", defaultMaxSampleAge, "age beyond which a sample counts as missing")
}

// addAgentFlag adds the flag of those that read agents.
func (f *tickFlags) addAgentFlag(flags *pflag.FlagSet) {
	flags.StringVar(&f.agentNamespace, "nvml-agent-namespace", "", "`namespace` of the NVML agents (default "+defaultAgentNamespace+", in a cluster the controller's own)")
}

// problems returns what is wrong with the flags.
func (f *tickFlags) problems() []error {
	problems := f.source.problems()
	if f.interval < minInterval || f.interval > maxInterval {
		problems = append(problems, fmt.Errorf("--interval %v must be from %v to %v", f.interval, minInterval, maxInterval))
	}
	if f.agentNamespace != "" && !isLabel(f.agentNamespace) {
		problems = append(problems, fmt.Errorf("--nvml-agent-namespace %q is no name of a namespace: %s", f.agentNamespace, labelRule))
	}
	if f.maxSampleAge < f.interval {
		problems = append(problems, fmt.Errorf("--max-sample-age %v must not be below --interval %v: every sample would be missing at times", f.maxSampleAge, f.interval))
	}
	return problems
}

// runOptions are what the flags of run say.
type runOptions struct {
	tickFlags
	namespaces        []string
	namespaceSelector string
	controllerName    string
	dryRun            bool
	leaderElect       bool
	leaseNamespace    string
	listen            string
	secure            secureFlags
	// spare says that another address will do as well, or none.
	spare bool
}

func (o *runOptions) addFlags(flags *pflag.FlagSet) {
	o.tickFlags.addFlags(flags)
	o.addAgentFlag(flags)
	flags.StringArrayVar(&o.namespaces, "watch-namespace", nil, "`namespace` to look at; repeatable (default all)")
	flags.StringVar(&o.namespaceSelector, "watch-namespace-selector", "", "label `selector` of the namespaces to look at, as with kubectl get -l")
	flags.StringVar(&o.controllerName, "controller-name", "", "`name` of this installation, so that two of them do not compete for one lease")
	flags.BoolVar(&o.dryRun, "dry-run", false, "decide and tell, and write nothing")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "let only the holder of a lease decide and write (default true in a cluster)")
	flags.StringVar(&o.leaseNamespace, "leader-elect-resource-namespace", "", "`namespace` of the lease (default the pod's own, else "+defaultLeaseNamespace+")")
	flags.StringVar(&o.listen, "listen", ":8080", "`address` to serve the dashboard, health, metrics and the API at; empty for none (default :8080, with --secure-listen none, with --dry-run outside of a cluster "+loopback+", or a free port)")
	flags.Lookup("listen").DefValue = "" // the text tells it
	o.secure.addFlags(flags)
}

// loopback is where a dry run on somebody's own machine shows its dashboard, which is nobody else's business.
const loopback = "127.0.0.1:8080"

// settle fills in the defaults that depend on where the program runs. changed tells which flags were given.
func (o *runOptions) settle(c *cluster, changed func(flag string) bool) error {
	if !changed("leader-elect") {
		o.leaderElect = c.inCluster && !o.dryRun
	}
	switch {
	case changed("listen"):
	case o.secure.listen != "":
		o.listen = ""
	case o.dryRun && !c.inCluster:
		o.listen, o.spare = loopback, true
	}
	if o.leaseNamespace == "" {
		o.leaseNamespace = defaultLeaseNamespace
		if c.inCluster {
			o.leaseNamespace = podNamespace(c)
		}
	}
	if !c.explicit {
		return nil
	}
	if same := slices.Equal(o.namespaces, []string{c.namespace}); o.namespaceSelector != "" || len(o.namespaces) > 0 && !same {
		return usagef("--namespace %s is the one namespace to look at, and --watch-namespace or --watch-namespace-selector name others: give one of them", c.namespace)
	}
	o.namespaces = []string{c.namespace}
	return nil
}

// podNamespace is the namespace of the pod that the program runs in, found as client-go does: where --namespace names the one
// to look at, the cluster's is another.
func podNamespace(c *cluster) string {
	if !c.explicit {
		return c.namespace
	}
	if ns := os.Getenv("POD_NAMESPACE"); ns != "" {
		return ns
	}
	text, _ := os.ReadFile("/var/run/secrets/kubernetes.io/serviceaccount/namespace") // without it the default is as good as any
	return cmp.Or(strings.TrimSpace(string(text)), defaultLeaseNamespace)
}

// problems returns everything that is wrong with the options.
func (o *runOptions) problems() []error {
	problems := o.tickFlags.problems()
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			problems = append(problems, fmt.Errorf(format, args...))
		}
	}
	for _, ns := range o.namespaces {
		complain(!isLabel(ns), "--watch-namespace %q is no name of a namespace: %s", ns, labelRule)
	}
	_, err := labels.Parse(o.namespaceSelector)
	complain(err != nil, "--watch-namespace-selector %q: %v", o.namespaceSelector, err)
	complain(o.namespaceSelector != "" && len(o.namespaces) > 0, "--watch-namespace and --watch-namespace-selector exclude each other")
	complain(o.controllerName != "" && !isLabel(o.controllerName), "--controller-name %q is no name: %s", o.controllerName, labelRule)
	complain(o.leaseNamespace != "" && !isLabel(o.leaseNamespace), "--leader-elect-resource-namespace %q is no name of a namespace: %s", o.leaseNamespace, labelRule)
	complain(o.dryRun && o.leaderElect, "--dry-run and --leader-elect exclude each other: a dry run writes no lease")
	complain(!isAddress(o.listen), "--listen %q is no address: it looks like :8080 or 127.0.0.1:8080", o.listen)
	return append(problems, o.secure.problems()...)
}

// usage makes one error of all problems with flags, nil if there is none.
func usage(problems []error) error {
	if len(problems) == 0 {
		return nil
	}
	return usageError{errors.Join(problems...)}
}

// labelRule is what Kubernetes wants of names of namespaces.
const labelRule = "it consists of lower-case letters, digits and -, begins and ends with a letter or digit, and has at most 63 characters"

func isLabel(name string) bool { return len(validation.IsDNS1123Label(name)) == 0 }

// isAddress reports whether a server can listen there, as far as the text tells. Empty is for none.
func isAddress(address string) bool {
	if address == "" {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	n, numberErr := strconv.ParseUint(port, 10, 16)
	return err == nil && numberErr == nil && strconv.FormatUint(n, 10) == port && !strings.ContainsAny(host, " /")
}
