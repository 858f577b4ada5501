package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/utils/ptr"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/policy"
)

// getOptions are what the flags and arguments of get say.
type getOptions struct {
	allNamespaces bool
	selector      string
	controllerURL string
	classes       adminFlags
	// deployment is the only one to show, empty for all.
	deployment string
}

func newGetCommand(g *globals) *cobra.Command {
	var o getOptions
	cmd := &cobra.Command{
		Use:   "get [deployment/NAME]",
		Short: "List the Deployments that opted in, as kubectl get would",
		Example: `  gpuscaler get -n prod
  gpuscaler get -A
  gpuscaler get deployment/llm -n prod -o yaml`,
		Long: `Lists the Deployments that opted in with their bounds and targets. What the signals read and why the
replicas are what they are it asks of the running controller; without one these are <unknown>.
There is no custom resource that kubectl get could list: all is in the Deployments' annotations.`,
		RunE: g.onCluster(o.problems, func(cmd *cobra.Command, c *cluster) error { return o.get(cmd, g, c) }),
	}
	g.takeDeployment(cmd, &o.deployment)
	flags := cmd.Flags()
	flags.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "list all namespaces")
	flags.StringVarP(&o.selector, "selector", "l", "", "label `selector` of the Deployments, as with kubectl get -l")
	addControllerURL(flags, &o.controllerURL)
	flags.StringVar(&o.classes.classes, "classes", "", "`file` that defines classes: sets of annotations that a Deployment takes over by naming one")
	return cmd
}

// problems returns everything that is wrong with the options.
func (o *getOptions) problems() []error {
	var problems []error
	if err := controllerURLProblem(o.controllerURL); err != nil {
		problems = append(problems, err)
	}
	return append(problems, oneNamespace(o.allNamespaces, o.deployment)...)
}

// listing is what get prints as JSON and YAML.
type listing struct {
	Workloads []listed `json:"workloads"`
}

// listed is one Deployment that opted in.
type listed struct {
	Namespace   string    `json:"namespace"`
	Name        string    `json:"name"`
	Created     time.Time `json:"created"`
	Replicas    int       `json:"replicas"`
	Ready       int       `json:"ready"`
	MinReplicas int       `json:"minReplicas"`
	MaxReplicas int       `json:"maxReplicas"`
	// Targets are the signals with a target; steps alone have 0.
	Targets  map[policy.Signal]float64 `json:"targets,omitempty"`
	Problems []string                  `json:"problems,omitempty"`
	// Decision is what the running controller decided last, nil if it cannot be asked.
	Decision *controller.WorkloadReport `json:"decision,omitempty"`

	signals []policy.Signal
}

// get lists.
func (o *getOptions) get(cmd *cobra.Command, g *globals, c *cluster) error {
	settings, err := o.classes.settings(defaultInterval, defaultMaxSampleAge)
	if err != nil {
		return err
	}
	namespace, scope := c.namespace, "namespace "+c.namespace
	if o.allNamespaces {
		namespace, scope = metav1.NamespaceAll, "all namespaces"
	}
	options := metav1.ListOptions{LabelSelector: o.selector}
	if o.deployment != "" {
		options.FieldSelector = "metadata.name=" + o.deployment
	}
	found, err := c.client.AppsV1().Deployments(namespace).List(cmd.Context(), options)
	if err != nil {
		return clusterError(err, c)
	}
	out := listing{Workloads: []listed{}}
	for i := range found.Items {
		if d := &found.Items[i]; d.Name == cmp.Or(o.deployment, d.Name) && policy.OptedIn(d.Annotations) {
			out.Workloads = append(out.Workloads, list(d, settings))
		}
	}
	if len(out.Workloads) == 0 {
		if o.deployment != "" {
			return fmt.Errorf("no Deployment %q in namespace %q asks to be scaled: `gpuscaler get -A` lists all that do", o.deployment, namespace)
		}
		fmt.Fprintln(cmd.ErrOrStderr(), nobody(scope))
	} else if err := out.ask(cmd.Context(), c, o.controllerURL); err != nil && !errors.Is(err, errNoController) {
		fmt.Fprintf(cmd.ErrOrStderr(), "What the signals read is not known: %v\n", err)
	}
	slices.SortFunc(out.Workloads, func(a, b listed) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	if g.output != tableOutput {
		return printValue(cmd.OutOrStdout(), g.output, out)
	}
	return out.print(cmd.OutOrStdout(), o.allNamespaces, time.Now())
}

// list reads one Deployment.
func list(d *appsv1.Deployment, settings policy.Settings) listed {
	l := listed{
		Namespace: d.Namespace, Name: d.Name, Created: d.CreationTimestamp.UTC(),
		Replicas: int(ptr.Deref(d.Spec.Replicas, 1)), Ready: int(d.Status.ReadyReplicas), Targets: map[policy.Signal]float64{},
	}
	spec, problems := policy.Parse(d.Annotations, settings)
	for _, p := range problems {
		l.Problems = append(l.Problems, p.Error())
	}
	l.MinReplicas, l.MaxReplicas = spec.MinReplicas, spec.MaxReplicas
	l.signals = spec.Signals()
	for _, s := range l.signals {
		l.Targets[s] = 0
	}
	for _, t := range spec.Targets {
		l.Targets[t.Signal] = t.Value
	}
	return l
}

// ask fills in what the running controller decided last.
func (l *listing) ask(ctx context.Context, c *cluster, url string) error {
	var report controller.Report
	if err := askController(ctx, c, url, nil, &report, "api/v1/workloads"); err != nil {
		return err
	}
	decisions := map[string]*controller.WorkloadReport{}
	for i := range report.Workloads {
		w := &report.Workloads[i]
		decisions[w.Namespace+"/"+w.Name] = w
	}
	for i := range l.Workloads {
		w := &l.Workloads[i]
		w.Decision = decisions[w.Namespace+"/"+w.Name]
	}
	return nil
}

// unknown is what kubectl prints in place of what it cannot tell.
const unknown = "<unknown>"

// print prints a table with the columns of `kubectl get hpa`, and why.
func (l *listing) print(to io.Writer, namespaces bool, now time.Time) error {
	if len(l.Workloads) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(to, 0, 0, 3, ' ', 0)
	row := func(namespace string, cells ...string) {
		if namespaces {
			cells = append([]string{namespace}, cells...)
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	row("NAMESPACE", "NAME", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS", "READY", "REASON", "AGE")
	for i := range l.Workloads {
		w := &l.Workloads[i]
		row(w.Namespace, w.Name, w.targets(), strconv.Itoa(w.MinReplicas), w.most(), w.replicas(), strconv.Itoa(w.Ready),
			w.reason(), duration.HumanDuration(now.Sub(w.Created)))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	return nil
}

// targets are the signals as value/target.
func (l *listed) targets() string {
	parts := make([]string, len(l.signals))
	for i, s := range l.signals {
		value, target := unknown, "steps"
		if l.Decision != nil && l.Decision.Signals[s].Value != nil {
			value = number(*l.Decision.Signals[s].Value)
		}
		if l.Targets[s] > 0 {
			target = number(l.Targets[s])
		}
		parts[i] = fmt.Sprintf("%s: %s/%s", s, value, target)
	}
	return cmp.Or(strings.Join(parts, ", "), "<none>")
}

// most is the maximum, which invalid annotations may not tell.
func (l *listed) most() string {
	if l.MaxReplicas == 0 {
		return unknown
	}
	return strconv.Itoa(l.MaxReplicas)
}

// replicas are those that there are, and those that are wanted if they differ.
func (l *listed) replicas() string {
	if l.Decision != nil && l.Decision.Desired != l.Replicas {
		return fmt.Sprintf("%d -> %d", l.Replicas, l.Decision.Desired)
	}
	return strconv.Itoa(l.Replicas)
}

// reason is why the replicas are what they are.
func (l *listed) reason() string {
	switch {
	case l.Decision != nil && l.Decision.Reason != "":
		return string(l.Decision.Reason)
	case len(l.Problems) > 0:
		return string(policy.InvalidAnnotations)
	}
	return unknown
}
