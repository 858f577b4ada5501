package main

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/reports"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/chart"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// simulationReport is the report on a simulation. The text of the scenario is shown in it.
func simulationReport(path, text string, s *simulate.Scenario, result *simulate.Result) *reports.Report {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if path == "-" {
		name = "a scenario"
	}
	about, _, _ := strings.Cut(text, "\nannotations:")
	return &reports.Report{
		Title:      "Simulation of " + name,
		About:      comment(about),
		Runs:       []reports.Run{simulatedRun(name, &s.Spec, result)},
		SourceName: "The scenario",
		Source:     text,
		Version:    readVersion().Version,
	}
}

// comment returns the comment that a file opens with, as a paragraph.
func comment(text string) string {
	var words []string
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, "#")
		if !ok {
			break
		}
		words = append(words, strings.Fields(rest)...)
	}
	return strings.Join(words, " ")
}

// simulatedRun is a simulation as one run of a report.
func simulatedRun(name string, spec *policy.Spec, result *simulate.Result) reports.Run {
	run := reports.Run{Name: name, Figures: scoreFigures(&result.Score)}
	for i := range result.Ticks {
		t := &result.Ticks[i]
		run.Rows = append(run.Rows, chartRow(spec, t))
		run.Decisions = append(run.Decisions, reports.Decision{
			Time: t.Time, From: t.Replicas, To: t.Desired, Reason: t.Reason, Message: t.Message, Events: t.Events,
		})
	}
	return run
}

// chartRow is a tick as it is charted. Signals are in order, so that the same run gives the same chart.
func chartRow(spec *policy.Spec, t *simulate.Tick) chart.Row {
	row := chart.Row{
		Time: t.Time, Replicas: t.Replicas, Desired: t.Desired, Ready: t.Ready, Loading: t.Loading, Unschedulable: t.Unschedulable, Reason: t.Reason,
	}
	row.Min, row.Max = spec.Bounds(t.Time)
	for _, name := range signalColumns([]simulate.Tick{*t}) {
		s := t.Signals[name]
		reading := chart.Reading{Signal: name, Value: math.NaN(), Target: s.Target}
		if s.Value != nil {
			reading.Value = *s.Value
		}
		row.Signals = append(row.Signals, reading)
	}
	return row
}

// scoreFigures are the numbers of a score for people.
func scoreFigures(s *simulate.Score) []reports.Figure {
	figures := []reports.Figure{
		{Name: "GPU-hours", Value: fmt.Sprintf("%.2f", s.GPUHours)},
		{Name: "Changes", Value: fmt.Sprintf("%d up, %d down", s.ScaleUps, s.ScaleDowns)},
		{Name: "Reversals", Value: fmt.Sprint(s.Reversals)},
		{Name: "Over target", Value: fmt.Sprintf("%.1f min", s.MinutesOverTarget)},
	}
	if s.Score == nil {
		return figures
	}
	return append(figures,
		reports.Figure{Name: "Requests completed", Value: fmt.Sprintf("%d of %d", s.Completed, s.Requests)},
		reports.Figure{Name: "Within the SLO", Value: fmt.Sprintf("%.1f %%", 100*s.SLOAttainment)},
		reports.Figure{Name: "First token, median", Value: fmt.Sprintf("%.2f s", s.TTFTP50)},
		reports.Figure{Name: "First token, 99th percentile", Value: fmt.Sprintf("%.2f s", s.TTFTP99)},
	)
}
