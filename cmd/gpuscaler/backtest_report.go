package main

import (
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/reports"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// report is the report on a backtest: a run for each policy, on one time axis.
func (b *backtested) report() *reports.Report {
	placed := "any number of pods"
	if b.GPUs != nil {
		placed = count(*b.GPUs, "pod")
	}
	r := &reports.Report{
		Title: fmt.Sprintf("Backtest of %s in %s", b.Name, b.Namespace),
		About: fmt.Sprintf("What each policy would have done from %s to %s UTC, with a decision each %s. A pod takes %s to serve (%s); the cluster can place %s.",
			b.From.Format(time.DateTime), b.To.Format(time.DateTime), b.Interval, b.Startup, b.StartupFrom, placed),
		Version: readVersion().Version,
	}
	for i := range b.Policies {
		p := &b.Policies[i]
		run := simulatedRun(p.Name, &p.spec, &simulate.Result{Ticks: p.ticks, Score: p.Score})
		run.Figures = append(run.Figures, reports.Figure{Name: "Peak", Value: fmt.Sprint(p.Peak)})
		r.Runs = append(r.Runs, run)
	}
	for _, line := range b.unknowns() {
		r.Notes = append(r.Notes, "Not told by the data: "+line+".")
	}
	for _, line := range b.Sources {
		r.Notes = append(r.Notes, "Source: "+line+".")
	}
	return r
}
