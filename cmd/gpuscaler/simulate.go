package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/cmd/gpuscaler/scenario"
	"github.com/gpuscaler/gpuscaler/policy/simulate"
)

// newSimulateCommand builds `gpuscaler simulate`.
func newSimulateCommand(g *globals) *cobra.Command {
	var admin adminFlags
	var reports reportFlags
	cmd := &cobra.Command{
		Use:         "simulate FILE",
		Short:       "Replay a scenario and print what would be decided at each tick",
		Annotations: offline,
		Example: `  cat > scenario.yaml <<'END'
  annotations:
    gpuscaler.io/enabled: "true"
    gpuscaler.io/max-replicas: "10"
    gpuscaler.io/target.gpu-utilization: "75"
  duration: 30m
  replicas: 2
  startup: 2m                             # how long a pod loads its model
  signals:
    gpu-utilization: "50x10 90+0x20 30"   # what every ready pod reads, one value a tick
  events:
    - {at: 12m, outage: prometheus, for: 3m}
  expect: {max-reversals: 1}
  END
  gpuscaler simulate scenario.yaml
  gpuscaler simulate scenario.yaml -o json | jq .score
  gpuscaler simulate scenario.yaml --html report.html --png chart.png`,
		Long: `Simulate replays a scenario in virtual time and prints what would be decided at each
tick and why, then a score. The decisions are those of the controller: the same
function makes them.

A scenario is a Deployment's annotations with either the readings of its signals
(signals, workload; in the series notation of promtool) or a load (load, server), of
which a model of an inference server makes the readings. FILE may be - for standard input.

Events happen to it, before the tick of their time:

  {at: 5m, replicas: 4}              a person changes spec.replicas
  {at: 5m, reset: 2, manager: helm}  an apply does so, under the name of its field manager
  {at: 5m, gpus: 8, for: 10m}        so many pods can be placed; those that are placed stay
  {at: 5m, crash-loop: true}         pods created from now on crash; may have for
  {at: 5m, rollout: true}            all pods are replaced, one by one
  {at: 5m, outage: prometheus}       Prometheus does not answer; may have for
  {at: 5m, conflict: hpa/llm}        another autoscaler takes the Deployment; may have for
  {at: 5m, restart: true}            the controller restarts and reads its checkpoint

--html and --png write charts of it: replicas and signals on one time axis, and what held
them when. The exit code is 1 if an expectation of the scenario does not hold; what is
asked for is printed and written all the same.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%d files to simulate: give one scenario, or - for standard input", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := admin.settings(defaultInterval, defaultMaxSampleAge)
			if err != nil {
				return err
			}
			if err := reports.check(); err != nil {
				return err
			}
			return runSimulate(cmd, g.output, args[0], settings.Classes, &reports)
		},
	}
	reports.add(cmd)
	cmd.Flags().StringVar(&admin.classes, "classes", "", "`file` that defines classes: sets of annotations that a Deployment takes over by naming one")
	return cmd
}

// runSimulate reads, runs and prints a scenario, writes the reports on it, and then tells which expectations do not hold.
func runSimulate(cmd *cobra.Command, format outputFormat, path string, classes map[string]map[string]string, reports *reportFlags) error {
	var text bytes.Buffer
	s, err := readScenario(cmd.InOrStdin(), path, classes, &text)
	if err != nil {
		return err
	}
	for _, note := range s.Notes() {
		fmt.Fprintln(cmd.ErrOrStderr(), "note:", note)
	}
	result, err := simulate.Run(s)
	if err != nil {
		return fmt.Errorf("simulating %s: %w", path, err)
	}
	if err := outputSimulation(cmd.OutOrStdout(), format, &result, reports); err != nil {
		return err
	}
	if reports.wanted() {
		if err := reports.write(simulationReport(path, text.String(), &s, &result), cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	var broken []error
	for _, e := range s.Expect {
		if err := e.Check(&result.Score); err != nil {
			broken = append(broken, fmt.Errorf("expectation not held: %w", err))
		}
	}
	return errors.Join(broken...)
}

// outputSimulation prints ticks and score, unless standard output is where the report goes.
func outputSimulation(out io.Writer, format outputFormat, result *simulate.Result, reports *reportFlags) error {
	switch {
	case reports.html == "-":
		return nil
	case format == tableOutput:
		return printSimulation(out, result, terminalWidth(out))
	}
	return printValue(out, format, *result)
}

// readScenario reads a scenario file, or standard input for "-", and copies what it reads. A trace is looked for beside the file.
func readScenario(in io.Reader, path string, classes map[string]map[string]string, text io.Writer) (simulate.Scenario, error) {
	name, folder := "standard input", "."
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return simulate.Scenario{}, fmt.Errorf("reading the scenario: %w", err)
		}
		defer file.Close()
		in, name, folder = file, path, filepath.Dir(path)
	}
	return scenario.Read(name, io.TeeReader(in, text), func(trace string) (io.ReadCloser, error) {
		if !filepath.IsAbs(trace) {
			trace = filepath.Join(folder, trace)
		}
		return os.Open(trace)
	}, classes)
}
