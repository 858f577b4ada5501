package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/policy/backtest"
)

// maxRecording bounds what is read of a file with exported samples, in bytes.
const maxRecording = 2 << 30

// run records or reads, replays, prints, and tells which expectations do not hold.
func (o *backtestOptions) run(cmd *cobra.Command, g *globals) error {
	if err := o.reports.check(); err != nil {
		return err
	}
	r, candidates, err := o.load(cmd, g)
	if err != nil {
		return err
	}
	if o.export != "" {
		if err := o.write(r, cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	b, err := o.replay(r, candidates)
	if err != nil {
		return err
	}
	if o.reports.wanted() {
		if err := o.reports.write(b.report(), cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
			return err
		}
	}
	if o.export != "-" && o.reports.html != "-" {
		if err := b.print(cmd.OutOrStdout(), g.output); err != nil {
			return err
		}
	}
	return o.judge(b)
}

// load gets the samples, from a file or from the cluster's Prometheus, and the policies to try.
func (o *backtestOptions) load(cmd *cobra.Command, g *globals) (*backtest.Recording, []candidate, error) {
	files, err := o.admin.read()
	if err != nil {
		return nil, nil, err
	}
	if o.from != "" {
		r, err := o.read(cmd.InOrStdin())
		if err != nil {
			return nil, nil, err
		}
		settings := files.settings(r.Step(), o.maxSampleAge)
		if o.admin.queries == "" {
			settings.Queries = nil // its samples are in the file: any name will do
		}
		candidates, err := o.candidates(r.Annotations, settings)
		return r, candidates, err
	}
	c, err := g.cluster()
	if err != nil {
		return nil, nil, err
	}
	return o.fetch(cmd.Context(), c, &files, cmd.ErrOrStderr())
}

// fetch reads the samples from the cluster's Prometheus.
func (o *backtestOptions) fetch(ctx context.Context, c *cluster, files *adminFiles, errOut io.Writer) (*backtest.Recording, []candidate, error) {
	fmt.Fprintf(errOut, "Looking at Deployment %s in namespace %s of %s\n", o.deployment, c.namespace, c.describe())
	d, err := o.find(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	candidates, err := o.candidates(ours(d.Annotations), files.settings(o.interval, o.maxSampleAge))
	if err != nil {
		return nil, nil, err
	}
	s, err := o.source.open(ctx, c, metrics.Options{
		ClientOptions: metrics.ClientOptions{Timeout: rangeTimeout}, MaxSampleAge: o.maxSampleAge,
	})
	if err != nil {
		return nil, nil, err
	}
	fmt.Fprintf(errOut, "Prometheus: %s\n", s.name)
	recorder, err := o.newRecorder(s, d, files.queries, time.Now())
	if err != nil {
		return nil, nil, err
	}
	specs := make([]policy.Spec, len(candidates))
	for i := range candidates {
		specs[i] = candidates[i].spec
	}
	return recorder.recording, candidates, recorder.record(ctx, specs, o.export != "", errOut)
}

// read reads exported samples.
func (o *backtestOptions) read(in io.Reader) (*backtest.Recording, error) {
	name := "standard input"
	if o.from != "-" {
		file, err := os.Open(o.from)
		if err != nil {
			return nil, fmt.Errorf("reading --from: %w", err)
		}
		defer file.Close()
		in, name = file, o.from
	}
	r, err := readSamples(in)
	if err != nil {
		return nil, fmt.Errorf("reading --from %s: %w", name, err)
	}
	return r, nil
}

// readSamples reads exported samples and checks them.
func readSamples(in io.Reader) (*backtest.Recording, error) {
	var r backtest.Recording
	decoder := json.NewDecoder(io.LimitReader(in, maxRecording))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&r); err != nil {
		return nil, fmt.Errorf("no samples that --export has written: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more behind the samples: give one file as --export has written it")
	}
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return &r, nil
}

// write exports the samples.
func (o *backtestOptions) write(r *backtest.Recording, out io.Writer) error {
	if o.export == "-" {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return fmt.Errorf("writing --export: %w", err)
		}
		return nil
	}
	file, err := os.Create(o.export)
	if err != nil {
		return fmt.Errorf("writing --export: %w", err)
	}
	err = json.NewEncoder(file).Encode(r)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err != nil {
		return fmt.Errorf("writing --export %s: %w", o.export, err)
	}
	return nil
}

// judge returns the expectations that do not hold, each with the policy.
func (o *backtestOptions) judge(b *backtested) error {
	var broken []error
	for i := range b.Policies {
		p := &b.Policies[i]
		if p.rival {
			continue
		}
		for _, e := range o.expectations {
			if err := e.Check(&p.Score); err != nil {
				broken = append(broken, fmt.Errorf("expectation not held by the policy %q: %w", p.Name, err))
			}
		}
	}
	return errors.Join(broken...)
}
