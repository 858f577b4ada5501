package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// print prints the outcome.
func (b *backtested) print(to io.Writer, format outputFormat) error {
	if format != tableOutput {
		return printValue(to, format, b)
	}
	out := bufio.NewWriter(to)
	fmt.Fprintf(out, "Deployment %s in namespace %s, %s to %s UTC, a decision each %s\n", b.Name, b.Namespace, b.From.Format(time.DateTime), b.To.Format(time.DateTime), b.Interval)
	placed := "the cluster can place any number of pods"
	if b.GPUs != nil {
		placed = fmt.Sprintf("the cluster can place %d pods", *b.GPUs)
	}
	fmt.Fprintf(out, "A pod takes %s to serve (%s); %s.\n\n", b.Startup, b.StartupFrom, placed)
	rows := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "POLICY\tGPU-HOURS\tMINUTES OVER TARGET\tCHANGES\tREVERSALS\tPEAK")
	for i := range b.Policies {
		p := &b.Policies[i]
		fmt.Fprintf(rows, "%s\t%.2f\t%.1f\t%d\t%d\t%d\n", p.Name, p.Score.GPUHours, p.Score.MinutesOverTarget, p.Score.ScaleUps+p.Score.ScaleDowns, p.Score.Reversals, p.Peak)
	}
	rows.Flush()
	if len(b.targets) > 0 {
		fmt.Fprintf(out, "\nMINUTES OVER TARGET are by the targets of the first policy for all: %s.\n", targetsOf(b.targets))
	}
	fmt.Fprintln(out, "\nWhat the data cannot tell:")
	for _, line := range b.unknowns() {
		fmt.Fprintln(out, "  "+line)
	}
	fmt.Fprintln(out, "\nWhere it is from:")
	for _, line := range b.Sources {
		fmt.Fprintln(out, "  "+line)
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("printing the backtest: %w", err)
	}
	return nil
}

// targetsOf names targets.
func targetsOf(targets []policy.Target) string {
	names := make([]string, len(targets))
	for i, t := range targets {
		names[i] = fmt.Sprintf("%s %v", t.Signal, t.Value)
	}
	return strings.Join(names, ", ")
}

// unknowns tell what the data cannot tell, a sentence each.
func (b *backtested) unknowns() []string {
	var lines []string
	add := func(share float64, format string, args ...any) {
		if share > 0 {
			lines = append(lines, percentOf(share)+" of the time "+fmt.Sprintf(format, args...))
		}
	}
	for _, s := range sharedSignals(b.Unknown.Saturated) {
		add(b.Unknown.Saturated[s], "%s was at the end of its range: how much more was asked for is unseen, and what it would have taken is more than shown", s)
	}
	add(b.Unknown.Queued, "requests waited: with other replicas the queue would have been another, here it is as long as it was")
	for _, s := range sharedSignals(b.Unknown.Missing) {
		add(b.Unknown.Missing[s], "no pod had a sample of %s: every policy holds there", s)
	}
	add(b.Unknown.Unaccounted, "fewer pods were ready than there were replicas: loading, or without a GPU; which, is not recorded")
	return append(lines, "what the requests saw: whether a latency would have been better or worse with other replicas")
}

// sharedSignals are the signals that have a share, in order.
func sharedSignals(shares map[policy.Signal]float64) []policy.Signal {
	return slices.Sorted(maps.Keys(shares))
}

// percentOf prints a share that is not 0.
func percentOf(share float64) string {
	if share < 0.0005 {
		return "under 0.1 %"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}
