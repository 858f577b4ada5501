package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/doctor"
	"github.com/gpuscaler/gpuscaler/metrics"
)

const (
	// doctorPatience is how long a person is kept waiting for all answers together; doctorRequest for one of Prometheus'.
	doctorPatience, doctorRequest = 20 * time.Second, 10 * time.Second
)

// doctorOptions are what the flags and arguments of doctor say.
type doctorOptions struct {
	planOptions
	leaseNamespace string
}

func newDoctorCommand(g *globals) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor [deployment/NAME]",
		Short: "Check the way from the GPUs to the replicas and say what to do about each finding",
		Example: `  gpuscaler doctor -n prod
  gpuscaler doctor deployment/llm -n prod
  gpuscaler doctor -A -o json | jq '.findings[] | select(.severity == "error")'
  gpuscaler doctor -A --as system:serviceaccount:gpuscaler-system:gpuscaler   # are the controller's rights right?`,
		Long: `Looks at everything that scaling depends on: rights, Prometheus, the series of each signal and whose
pods they name, how old they are and whether they follow the load, GPUs and quotas against
max-replicas, and whoever else sets the replicas. It needs the rights to read (deploy/rbac/viewer)
and changes nothing; what it may not read it calls not-checked.
Exit code 0 if nothing is wrong, 1 if there is an error, 3 if there is nothing worse than a warning.`,
		RunE: g.onCluster(o.problems, func(cmd *cobra.Command, c *cluster) error { return o.run(cmd, g, c) }),
	}
	g.takeDeployment(cmd, &o.deployment)
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "look at all namespaces")
	cmd.Flags().StringVar(&o.leaseNamespace, "leader-elect-resource-namespace", defaultLeaseNamespace, "`namespace` of the controller's lease and checkpoint, for its rights")
	return cmd
}

// problems returns everything that is wrong with the options.
func (o *doctorOptions) problems() []error {
	problems := o.planOptions.problems()
	if !isLabel(o.leaseNamespace) {
		problems = append(problems, fmt.Errorf("--leader-elect-resource-namespace %q is no name of a namespace: %s", o.leaseNamespace, labelRule))
	}
	return problems
}

// run looks at everything and prints what was found.
func (o *doctorOptions) run(cmd *cobra.Command, g *globals, c *cluster) error {
	errOut := cmd.ErrOrStderr()
	files, err := o.admin.read()
	if err != nil {
		return err
	}
	fmt.Fprintf(errOut, "Looking at %s of %s\n", o.scope(c), c.describe())
	facts, err := o.gather(cmd.Context(), errOut, g, c, &files)
	if err != nil {
		return err
	}
	report := doctor.Judge(facts)
	if g.output != tableOutput {
		err = printValue(cmd.OutOrStdout(), g.output, report)
	} else {
		err = doctor.Print(cmd.OutOrStdout(), &report, terminalWidth(cmd.OutOrStdout()), colour(cmd.OutOrStdout()))
	}
	return errors.Join(err, outcome(&report))
}

// gather looks at everything, for no longer than a person waits.
func (o *doctorOptions) gather(ctx context.Context, errOut io.Writer, g *globals, c *cluster, files *adminFiles) (*doctor.Facts, error) {
	stop := progress(errOut, isTerminal(errOut), "asking the cluster and Prometheus")
	defer stop()
	within, cancel := context.WithTimeoutCause(ctx, doctorPatience, fmt.Errorf("not everything was answered within %v", doctorPatience))
	defer cancel()
	facts, err := doctor.Gather(within, o.doctorOptions(g, c, files))
	switch {
	case err == nil:
		return facts, ctx.Err()
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no Deployment %q in namespace %q: `gpuscaler doctor -A` looks at all, -n NAMESPACE in another", o.deployment, c.namespace)
	case ctx.Err() == nil && within.Err() != nil:
		return nil, fmt.Errorf("reading %s: %w; -n NAMESPACE asks for less", o.scope(c), context.Cause(within))
	}
	return nil, clusterError(err, c)
}

// doctorOptions are what is looked at.
func (o *doctorOptions) doctorOptions(g *globals, c *cluster, files *adminFiles) *doctor.Options {
	options := &doctor.Options{
		Name: c.describe(), Scope: o.scope(c), Config: c.config, Client: c.client, Dynamic: c.dynamic,
		Namespaces: o.namespaces(c), Deployment: o.deployment,
		Settings: files.settings(o.interval, o.maxSampleAge), Queries: files.queries,
		AgentNamespace: cmp.Or(o.agentNamespace, defaultAgentNamespace), Direct: newDirectReader(o.interval, o.maxSampleAge, c.inCluster),
		Writes: c.inCluster || *g.kube.Impersonate != "", LeaseNamespace: o.leaseNamespace,
		Open: func(ctx context.Context) (*metrics.Prometheus, string, error) {
			settings := prometheusOptions(o.interval, o.maxSampleAge)
			settings.Timeout = doctorRequest
			s, err := o.source.open(ctx, c, settings)
			if err != nil {
				return nil, "", err
			}
			return s.prometheus, s.name, nil
		},
	}
	if endpoint, err := metrics.ParseURL(o.source.url); err == nil { // it has been checked before
		options.Auto, options.Proxied = endpoint.Kind == metrics.AutoEndpoint, endpoint.Kind == metrics.KubeEndpoint
		options.ProxyNamespace = endpoint.Namespace
	}
	return options
}

// outcome is nil if nothing is wrong, else what the exit code is made of.
func outcome(report *doctor.Report) error {
	bad, doubtful := report.Count(doctor.Error), report.Count(doctor.Warning)
	switch {
	case bad > 0 && doubtful > 0:
		return fmt.Errorf("%s and %s", count(bad, "error"), count(doubtful, "warning"))
	case bad > 0:
		return errors.New(count(bad, "error"))
	case doubtful > 0:
		return warnings(count(doubtful, "warning") + ", no error")
	}
	return nil
}
