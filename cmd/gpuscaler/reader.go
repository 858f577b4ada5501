package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// reader hands what package metrics reads to package controller: neither knows the other.
type reader struct {
	prometheus *metrics.Prometheus // nil if there is none
}

// Read implements controller.SignalReader.
func (r reader) Read(ctx context.Context, signal policy.Signal, namespaces []string) (controller.Readings, error) {
	if r.prometheus == nil {
		return controller.Readings{}, errNoPrometheus
	}
	result, err := r.prometheus.Read(ctx, signal, namespaces)
	switch {
	case errors.Is(err, metrics.ErrPartial):
		return controller.Readings{Partial: err.Error()}, nil
	case err != nil:
		return controller.Readings{}, err
	}
	return readingsOf(result, time.Now()), nil
}

// ReadTimes implements controller.TimeReader.
func (r reader) ReadTimes(ctx context.Context, signal policy.Signal, namespaces []string) (controller.Readings, error) {
	if r.prometheus == nil {
		return controller.Readings{}, errNoPrometheus
	}
	asked := time.Now()
	ages, err := r.prometheus.Ages(ctx, signal, namespaces)
	if err != nil {
		return controller.Readings{}, err
	}
	return controller.Readings{Pod: func(namespace, name string) (policy.Sample, string) {
		taken, ok := ages.Samples[metrics.PodKey{Namespace: namespace, Pod: name}]
		if !ok {
			return policy.Sample{}, ""
		}
		// The server looked after it was asked: counted from then no sample seems younger than it is.
		return policy.Sample{Time: localTime(taken, ages.ServerTime, asked), OK: true}, ""
	}}, nil
}

// ReadRange implements controller.RangeReader.
func (r reader) ReadRange(
	ctx context.Context, signal policy.Signal, namespaces []string, start, end time.Time, step time.Duration,
) ([]controller.PastReadings, error) {
	if r.prometheus == nil {
		return nil, errNoPrometheus
	}
	results, err := r.prometheus.ReadRange(ctx, signal, namespaces, start, end, step)
	if err != nil {
		return nil, err
	}
	past := make([]controller.PastReadings, len(results))
	for i, result := range results {
		past[i] = controller.PastReadings{Time: result.ServerTime, Readings: readingsOf(result, result.ServerTime)}
	}
	return past, nil
}

// queryReader reads custom signals by the queries that the administrator named.
type queryReader struct {
	prometheus *metrics.Prometheus // nil if there is none
	queries    metrics.Queries
}

// ReadQuery implements controller.QueryReader.
func (r queryReader) ReadQuery(ctx context.Context, name, namespace, deployment string) (controller.Readings, error) {
	if r.prometheus == nil {
		return controller.Readings{}, errNoPrometheus
	}
	query, ok := r.queries[name]
	if !ok {
		return controller.Readings{}, fmt.Errorf("the query %q is not defined: --queries names the file that defines queries", name)
	}
	result, err := r.prometheus.ReadQuery(ctx, query, namespace, deployment)
	switch {
	case errors.Is(err, metrics.ErrPartial):
		return controller.Readings{Partial: err.Error()}, nil
	case err != nil:
		return controller.Readings{}, err
	}
	readings := readingsOf(metrics.Result{Samples: result.Samples, Dropped: result.Dropped, ServerTime: result.ServerTime}, time.Now())
	if !result.PerPod && !result.ServerTime.IsZero() {
		readings.Pod, readings.Source = nil, "query "+name
		readings.Workload = &policy.Sample{Value: result.Value.Value, OK: result.OK}
	}
	return readings, nil
}

// readingsOf renders a reply that arrived at a time of this process's clock.
func readingsOf(result metrics.Result, arrived time.Time) controller.Readings {
	readings := controller.Readings{
		Pod: func(namespace, name string) (policy.Sample, string) {
			reading, ok := result.Samples.Get(namespace, name)
			if !ok {
				return policy.Sample{}, ""
			}
			return policy.Sample{
				Value: reading.Value, Time: localTime(reading.Time, result.ServerTime, arrived), OK: true, Idle: reading.Idle,
			}, reading.Source
		},
	}
	readings.Dropped = droppedOf(result.Dropped)
	return readings
}

// droppedOf renders what was dropped.
func droppedOf(drops []metrics.Drop) []controller.Dropped {
	var list []controller.Dropped
	for _, d := range drops {
		list = append(list, controller.Dropped{Why: string(d.Why), Count: d.Count})
	}
	return list
}

// localTime turns a time of the server's clock into one of this process's: the sample keeps its age, whatever the clocks
// say. A time that is not known stays unknown.
func localTime(sampled, server, arrived time.Time) time.Time {
	if sampled.IsZero() || server.IsZero() {
		return time.Time{}
	}
	return arrived.Add(sampled.Sub(server))
}
