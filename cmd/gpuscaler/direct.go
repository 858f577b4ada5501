package main

import (
	"context"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/controller"
	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// directReader hands what package metrics reads from pods and NVML agents to package controller.
type directReader struct{ direct *metrics.Direct }

// newDirectReader makes one. In a cluster no pod has an address of the controller's own host.
func newDirectReader(interval, maxSampleAge time.Duration, inCluster bool) directReader {
	return directReader{metrics.NewDirect(metrics.DirectOptions{
		Timeout: readTimeout(interval), Interval: interval, MaxSampleAge: maxSampleAge, RefuseLoopback: inCluster,
	})}
}

// ReadDirect implements controller.DirectReader.
func (r directReader) ReadDirect(ctx context.Context, now time.Time, t controller.DirectTarget) controller.DirectReadings {
	from := metrics.DirectTarget{
		Namespace: t.Namespace, Workload: t.Name, Port: t.Scrape.Port, Path: t.Scrape.Path,
		Signals: t.Signals, Pods: make([]metrics.DirectPod, len(t.Pods)),
	}
	for i, pod := range t.Pods {
		from.Pods[i] = metrics.DirectPod{Name: pod.Name, IP: pod.IP, Agent: pod.Agent}
	}
	read := r.direct.Read(ctx, now, from)
	readings := controller.DirectReadings{
		Signals: make([]controller.Readings, len(read.Results)),
		Pods:    controller.Asked{All: read.Pods, Asked: read.Sampled, Failed: read.Failed},
		Agents:  controller.Asked{All: read.Agents, Asked: read.Agents, Failed: read.AgentsFailed},
		Problem: joined(read.Problem, read.AgentProblem),
		FromAgent: func(i int, namespace, name string) bool {
			reading, ok := read.Results[i].Samples.Get(namespace, name)
			return ok && read.Results[i].From(reading) == metrics.OriginAgent
		},
	}
	for i := range read.Results {
		readings.Signals[i] = directReadings(&read.Results[i])
	}
	return readings
}

// directReadings renders one signal. Its times are this process's own.
func directReadings(result *metrics.DirectResult) controller.Readings {
	return controller.Readings{
		Dropped: droppedOf(result.Dropped),
		Pod: func(namespace, name string) (policy.Sample, string) {
			reading, ok := result.Samples.Get(namespace, name)
			return policy.Sample{Value: reading.Value, Time: reading.Time, OK: ok, Idle: reading.Idle}, reading.Source
		},
	}
}

// joined joins problems.
func joined(problems ...string) string {
	var list []string
	for _, p := range problems {
		if p != "" {
			list = append(list, p)
		}
	}
	return strings.Join(list, "; ")
}
