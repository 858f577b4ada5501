package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// syncPatience is how long a person is kept waiting for the API server's lists.
const syncPatience = 30 * time.Second

// planOptions are what the flags and arguments of plan say.
type planOptions struct {
	tickFlags
	allNamespaces bool
	watch         bool
	// deployment is the only one to look at, empty for all.
	deployment string
	// controllerURL is where the running controller is asked what it remembers, empty not to ask.
	controllerURL string
	// silent is why the running controller is known not to answer, nil if that is not known.
	silent error
}

func newPlanCommand(g *globals) *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use:   "plan [deployment/NAME]",
		Short: "Decide once and show what would be done and why; write nothing",
		Example: `  gpuscaler plan deployment/llm -n prod
  gpuscaler plan -A -o json | jq '.workloads[] | select(.desired != .current)'
  gpuscaler plan -n prod --watch`,
		Long: `Makes one pass over the Deployments that opted in and shows what the controller would do now. It
needs the rights to read and sends no write of any kind. What happened in the last minutes it asks
of the running controller; where there is none, it is filled in from Prometheus' history, and the
plan is called approximate.`,
		RunE: g.onCluster(o.problems, func(cmd *cobra.Command, c *cluster) error { return o.plan(cmd, g, c) }),
	}
	g.takeDeployment(cmd, &o.deployment)
	o.addFlags(cmd.Flags())
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "look at all namespaces")
	addControllerURL(cmd.Flags(), &o.controllerURL)
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "decide again at every interval")
	return cmd
}

// addFlags adds the flags of every command that decides about what is seen now.
func (o *planOptions) addFlags(flags *pflag.FlagSet) {
	o.tickFlags.addFlags(flags)
	o.addAgentFlag(flags)
}

// takeDeployment has a command take the name of one Deployment at most, and complete it.
func (g *globals) takeDeployment(cmd *cobra.Command, name *string) {
	cmd.ValidArgsFunction = g.completeDeployments
	cmd.Args = func(_ *cobra.Command, args []string) (err error) {
		*name, err = deploymentName(args)
		return err
	}
}

// deploymentName reads the argument: NAME, or deployment/NAME in any of kubectl's spellings.
func deploymentName(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	if len(args) > 1 {
		return "", fmt.Errorf("one Deployment at most: got %q", args)
	}
	kind, name, found := strings.Cut(args[0], "/")
	if !found {
		kind, name = "deployment", args[0]
	}
	switch strings.ToLower(kind) {
	case "deployment", "deployments", "deploy", "deployment.apps", "deployments.apps", "deploy.apps":
	default:
		return "", fmt.Errorf("%q is a %s: only Deployments are scaled, as in deployment/NAME", args[0], kind)
	}
	if name == "" || strings.Contains(name, "/") {
		return "", fmt.Errorf("%q names no Deployment: write deployment/NAME", args[0])
	}
	return name, nil
}

// problems returns everything that is wrong with the options.
func (o *planOptions) problems() []error {
	problems := o.tickFlags.problems()
	if err := controllerURLProblem(o.controllerURL); err != nil {
		problems = append(problems, err)
	}
	return append(problems, oneNamespace(o.allNamespaces, o.deployment)...)
}

// oneNamespace complains about one Deployment in all namespaces.
func oneNamespace(all bool, deployment string) []error {
	if all && deployment != "" {
		return []error{fmt.Errorf("deployment/%s is in one namespace: give -n NAMESPACE instead of --all-namespaces", deployment)}
	}
	return nil
}

// plan shows what a controller would do.
func (o *planOptions) plan(cmd *cobra.Command, g *globals, c *cluster) error {
	ctx, out, errOut := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	fmt.Fprintf(errOut, "Looking at %s of %s\n", o.scope(c), c.describe())
	view := newFollower(out, g.output, nobody(o.scope(c)))
	scaler, s, err := o.scaler(ctx, g, c, view.logTo(errOut), errOut)
	if err != nil {
		return err
	}
	return o.show(ctx, scaler, s, c, view, errOut)
}

// scaler makes a controller that writes nothing, and the source that it reads.
func (o *planOptions) scaler(ctx context.Context, g *globals, c *cluster, logTo, errOut io.Writer) (*controller.Controller, *source, error) {
	files, err := o.admin.read()
	if err != nil {
		return nil, nil, err
	}
	s, err := o.connect(ctx, c, errOut, func(ctx context.Context) error { return o.try(ctx, c) })
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(errOut, "Prometheus: %s\n", s.name)
	options := o.controllerOptions(c, &files, s, g.log.quietLogger(logTo))
	options.DryRun, options.Namespaces = true, o.namespaces(c)
	if o.deployment != "" {
		options.Select = func(_, name string) bool { return name == o.deployment }
	}
	scaler, err := controller.New(options)
	return scaler, s, err
}

// scope tells what is looked at.
func (o *planOptions) scope(c *cluster) string {
	switch {
	case o.allNamespaces:
		return "all namespaces"
	case o.deployment != "":
		return fmt.Sprintf("Deployment %s in namespace %s", o.deployment, c.namespace)
	}
	return "namespace " + c.namespace
}

// namespaces are the ones to look at; none means all.
func (o *planOptions) namespaces(c *cluster) []string {
	if o.allNamespaces {
		return nil
	}
	return []string{c.namespace}
}

// try makes sure that the cluster answers, and that a Deployment that was named is there and asks to be scaled.
func (o *planOptions) try(ctx context.Context, c *cluster) error {
	if o.deployment == "" {
		return tryLists(ctx, c, o.namespaces(c))
	}
	d, err := c.client.AppsV1().Deployments(c.namespace).Get(ctx, o.deployment, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("there is no Deployment %q in namespace %q: `gpuscaler plan -A` shows all that are scaled, -n NAMESPACE looks in another", o.deployment, c.namespace)
	case err != nil:
		return clusterError(err, c)
	}
	if !policy.OptedIn(d.Annotations) {
		return fmt.Errorf("the Deployment %q in namespace %q does not ask to be scaled: annotate it with %senabled: \"true\"; `gpuscaler check` checks the annotations", o.deployment, c.namespace, policy.Prefix)
	}
	return nil
}

// show decides and prints, once or again and again.
func (o *planOptions) show(ctx context.Context, scaler *controller.Controller, s *source, c *cluster, view *follower, errOut io.Writer) error {
	snapshot, history, err := o.first(ctx, scaler, s, c, errOut)
	if err != nil {
		return err
	}
	if len(snapshot.Workloads) > 0 {
		fmt.Fprintln(errOut, history)
	}
	if !o.watch {
		return view.once(snapshot, errOut)
	}
	tick := time.NewTicker(o.interval)
	defer tick.Stop()
	for {
		if err := view.show(snapshot); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			snapshot = scaler.Tick(ctx, now)
		}
	}
}

// first makes the first pass. It tells too where what happened before comes from.
func (o *planOptions) first(ctx context.Context, scaler *controller.Controller, s *source, c *cluster, errOut io.Writer) (*controller.Snapshot, string, error) {
	stop := progress(errOut, isTerminal(errOut), "reading the cluster and what happened before")
	defer stop()
	if err := scaler.Sync(ctx, syncPatience); err != nil {
		return nil, "", fmt.Errorf("reading the cluster: %w", err)
	}
	now := time.Now()
	history := o.remember(ctx, scaler, s, c, now)
	snapshot := scaler.Tick(ctx, now)
	return snapshot, history, ctx.Err()
}

// remember takes over what the running controller remembers, or else fills it in from Prometheus' history. It returns which, in
// words.
func (o *planOptions) remember(ctx context.Context, scaler *controller.Controller, s *source, c *cluster, now time.Time) string {
	memory, err := controller.Memory{}, o.silent
	if err == nil {
		memory, err = recall(ctx, c, o.controllerURL)
	}
	if err == nil {
		unknown := scaler.Recall(memory)
		if unknown == 0 {
			return fmt.Sprintf("History: from the running controller, as of %s", memory.Time.UTC().Format(time.RFC3339))
		}
		err = fmt.Errorf("which does not scale %d of these Deployments", unknown)
	}
	if refill := scaler.Refill(ctx, s, now); refill != nil {
		return fmt.Sprintf("approximate: the windows are empty, so that nothing is lowered: %v", refill)
	}
	return fmt.Sprintf("approximate: the windows are filled in from Prometheus' history, not with what the running controller remembers (%v)", err)
}

// once prints a Snapshot as the only one.
func (f *follower) once(s *controller.Snapshot, errOut io.Writer) error {
	if len(s.Workloads) == 0 {
		fmt.Fprintln(errOut, f.nothing)
	}
	switch {
	case f.format != tableOutput:
		return printValue(f.out, f.format, controller.ReportOf(s))
	case len(s.Workloads) == 0:
		return nil
	}
	return printTable(f.out, s)
}
