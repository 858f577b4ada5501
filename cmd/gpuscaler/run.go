package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gpuscaler/gpuscaler/controller"
)

func newRunCommand(g *globals) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the controller, or with --dry-run only show what it would do",
		Example: `  gpuscaler run --dry-run                           # what would it do in this cluster? Writes nothing
  gpuscaler run --prometheus-url http://prometheus.monitoring:9090
  gpuscaler run --watch-namespace team-a --watch-namespace team-b`,
		Long: `Scales the Deployments that opted in: reads their signals at every interval, decides, and
patches their scale. It is meant to run in the cluster, one process leading and others
standing by. The file of --classes is read again when it changes.

With --secure-listen it serves with TLS, and only to those whom RBAC allows it: it asks the API server
whose bearer token a request carries and what its user may do. --listen then serves nothing unless it
is given too: it asks nobody for a token.

With --dry-run it runs anywhere, with the rights to read, and shows what it would do, also in a
browser: it prints where. It sends no write of any kind: no scale, no Event, no lease.`,
		Args: noArgs,
		RunE: g.onCluster(o.problems, func(cmd *cobra.Command, c *cluster) error {
			if err := o.settle(c, cmd.Flags().Changed); err != nil {
				return err
			}
			files, err := o.admin.read()
			if err != nil {
				return err
			}
			collectEarly()
			if o.dryRun {
				return o.showDryRun(cmd, g, c, &files)
			}
			return o.run(cmd.Context(), c, &files, g.log.logger(cmd.ErrOrStderr()))
		}),
	}
	o.addFlags(cmd.Flags())
	return cmd
}

// controllerOptions are what a controller needs, whether or not it writes.
func (o *runOptions) controllerOptions(c *cluster, files *adminFiles, s *source, log logr.Logger) (controller.Options, error) {
	options := o.tickFlags.controllerOptions(c, files, s, log)
	options.Namespaces = o.namespaces
	if c.inCluster {
		options.AgentNamespace = cmp.Or(o.agentNamespace, o.leaseNamespace)
	}
	if o.namespaceSelector != "" {
		var err error
		if options.NamespaceSelector, err = labels.Parse(o.namespaceSelector); err != nil {
			return options, fmt.Errorf("--watch-namespace-selector: %w", err)
		}
	}
	if s.sought != nil {
		options.Signals, options.Times, options.Queries = s.sought, s.sought, s.sought
	}
	options.Registry, options.Gatherer = newRegistry()
	options.Chart = drawChart
	return options, nil
}

// controllerOptions are what a controller needs of these flags.
func (f *tickFlags) controllerOptions(c *cluster, files *adminFiles, s *source, log logr.Logger) controller.Options {
	options := controller.Options{
		Client: c.client, Dynamic: c.dynamic, Settings: files.settings(f.interval, f.maxSampleAge), Classes: files.follow(log), Logger: log,
		Queries: queryReader{s.prometheus, files.queries},
		Direct:  newDirectReader(f.interval, f.maxSampleAge, c.inCluster), AgentNamespace: cmp.Or(f.agentNamespace, defaultAgentNamespace),
	}
	if s.prometheus != nil {
		options.Signals, options.Times = s.reader, s.reader
	}
	return options
}

// run scales until the context ends.
func (o *runOptions) run(ctx context.Context, c *cluster, files *adminFiles, log logr.Logger) error {
	s, err := o.prometheus(ctx, c, files, log)
	if err != nil {
		return err
	}
	options, err := o.controllerOptions(c, files, s, log)
	if err != nil {
		return err
	}
	var at listeners
	if at.plain, err = listen(ctx, "listen", o.listen); err != nil {
		return err
	}
	if at.secure, err = o.secure.open(ctx, c, log); err != nil {
		return err
	}
	if o.leaderElect {
		if options.LeaderElection, err = o.election(c, at.plain, at.secure.listener()); err != nil {
			return err
		}
	}
	options.Events = true
	scaler, err := controller.New(options)
	if err != nil {
		return err
	}
	log.Info("Starting", "version", readVersion().Version, "cluster", c.describe(), "prometheus", s.name,
		"interval", o.interval.String(), "namespaces", o.namespaces, "leaderElection", o.leaderElect)
	err = at.serveWhile(ctx, scaler, log, scaler.Run)
	if errors.Is(err, controller.ErrLeaseLost) {
		return fmt.Errorf("stopping: %w; started anew, this process stands by again", err)
	}
	return err
}

// prometheus prepares reading from the Prometheus that the flags name. One that is to be found need not be there yet: it is sought.
func (o *runOptions) prometheus(ctx context.Context, c *cluster, files *adminFiles, log logr.Logger) (*source, error) {
	open := func(ctx context.Context) (*source, error) {
		return o.source.open(ctx, c, prometheusOptions(o.interval, o.maxSampleAge))
	}
	if !o.source.auto() {
		return open(ctx)
	}
	sought := seek(ctx, open, files.queries, log)
	if s, err := sought.prometheus(); err == nil {
		return s, nil
	}
	return &source{name: "none found yet", sought: sought}, ctx.Err()
}

// showDryRun shows what a controller would do, until the context ends.
func (o *runOptions) showDryRun(cmd *cobra.Command, g *globals, c *cluster, files *adminFiles) error {
	ctx, out, errOut := cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()
	heading := out
	if g.output != tableOutput {
		heading = errOut // stdout is for what a program reads
	}
	fmt.Fprintf(heading, "Dry run: nothing is written. Looking at %s of %s\n", o.scope(), c.describe())
	view := newFollower(out, g.output, nobody(o.scope()))
	log := g.log.errorLogger(view.logTo(errOut))
	s, err := o.connect(ctx, c, errOut, func(ctx context.Context) error { return tryLists(ctx, c, o.namespaces) })
	if err != nil {
		return err
	}
	fmt.Fprintf(heading, "Prometheus: %s\n", s.name)
	options, err := o.controllerOptions(c, files, s, log)
	if err != nil {
		return err
	}
	options.DryRun = true
	var at listeners
	if at.plain, err = o.listenDry(ctx, heading); err != nil {
		return err
	}
	if at.secure, err = o.secure.open(ctx, c, log); err != nil {
		return err
	}
	if at.secure != nil {
		fmt.Fprintf(heading, "Serving with TLS, to whom RBAC allows it, at %s\n", at.secure.Addr())
	}
	scaler, err := controller.New(options)
	if err != nil {
		return err
	}
	return at.serveWhile(ctx, scaler, log, func(ctx context.Context) error {
		return runAndShow(ctx, scaler, view)
	})
}

// listenDry opens the address of a dry run and tells where its dashboard is. One that nobody asked for is no reason to fail.
func (o *runOptions) listenDry(ctx context.Context, heading io.Writer) (net.Listener, error) {
	open := func(ctx context.Context, address string) (net.Listener, error) { return listen(ctx, "listen", address) }
	if o.spare {
		open = listenSpare
	}
	listener, err := open(ctx, o.listen)
	switch {
	case err != nil && o.spare:
		fmt.Fprintf(heading, "Dashboard: none (%v)\n", err)
		return nil, nil
	case err != nil:
		return nil, err
	case listener != nil:
		fmt.Fprintf(heading, "Dashboard: %s\n", pageURL(listener))
	}
	return listener, nil
}

// runAndShow runs a controller and shows what it decides, until the context ends or nobody reads any more.
func runAndShow(ctx context.Context, scaler *controller.Controller, view *follower) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	shown := make(chan error, 1)
	go func() {
		defer stop()
		shown <- view.follow(ctx, scaler.Snapshot)
	}()
	err := scaler.Run(ctx)
	stop()
	return errors.Join(err, <-shown)
}

// scope tells which namespaces are looked at.
func (o *runOptions) scope() string {
	switch {
	case o.namespaceSelector != "":
		return fmt.Sprintf("the namespaces with %s", o.namespaceSelector)
	case len(o.namespaces) == 0:
		return "all namespaces"
	case len(o.namespaces) == 1:
		return "namespace " + o.namespaces[0]
	}
	return fmt.Sprintf("the namespaces %v", o.namespaces)
}
