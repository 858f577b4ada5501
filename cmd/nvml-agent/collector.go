package main

import (
	"math"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/sampler"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// callPodResources stands for the question to the kubelet among the calls that fail.
const callPodResources = "pod_resources"

// failures counts what went wrong.
type failures struct{ counter *prometheus.CounterVec }

func newFailures() *failures {
	return &failures{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: nvml.MetricErrors,
		Help: "Failures by call and error. While they last the values concerned are absent.",
	}, []string{nvml.LabelCall, nvml.LabelError})}
}

// count counts one.
func (f *failures) count(call, reason string) { f.counter.WithLabelValues(call, reason).Inc() }

// source is what the collector reads: a sampler.Sampler.
type source interface {
	Up() bool
	Series() []sampler.Series
}

// collector writes what a source knows.
type collector struct{ source source }

// desc describes one metric of a device.
func desc(name, help string, more ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, append(nvml.DeviceLabels(), more...), nil)
}

var (
	utilization = desc(nvml.MetricUtilization,
		"Share of time, 0-1, in which the GPU was busy, as mean over the window. Of a shared GPU also the share of each pod.", nvml.LabelWindow)
	memoryUsed = desc(nvml.MetricMemoryUsed,
		"GPU memory in use, without what the driver reserves, as mean over the window. Of a shared GPU also that of each pod.", nvml.LabelWindow)
	memoryTotal    = desc(nvml.MetricMemoryTotal, "GPU memory.")
	memoryReserved = desc(nvml.MetricMemoryReserved, "GPU memory that the driver keeps for itself.")
	power          = desc(nvml.MetricPower, "Power drawn by the GPU, as mean over the window.", nvml.LabelWindow)
	sampleTime     = desc(nvml.MetricSampleTime, "Unix time of the newest sample by this agent's clock.")
	clock          = prometheus.NewDesc(nvml.MetricTime, "Unix time by this agent's clock at this reply.", nil, nil)
	up             = prometheus.NewDesc(nvml.MetricUp, "1 if the NVML library is loaded and initialised.", nil, nil)
)

// Describe lists the metrics.
func (c *collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{utilization, memoryUsed, memoryTotal, memoryReserved, power, sampleTime, clock, up} {
		out <- d
	}
}

// Collect writes what is known. What is not is left out.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	write := func(d *prometheus.Desc, value float64, labels ...string) {
		if !math.IsNaN(value) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
		}
	}
	isUp := 0.0
	if c.source.Up() {
		isUp = 1
	}
	write(up, isUp)
	windows := nvml.Windows()
	for _, s := range c.source.Series() {
		labels := []string{
			s.Info.UUID, strconv.Itoa(s.Info.Index), s.Info.Model, s.Info.MIGProfile,
			s.Holder.Namespace, s.Holder.Name, s.Holder.Container,
		}
		for n, m := range s.Means {
			windowed := append(labels[:len(labels):len(labels)], windows[n])
			write(utilization, m.Utilization, windowed...)
			write(memoryUsed, m.Used, windowed...)
			write(power, m.Power, windowed...)
		}
		write(memoryTotal, s.Total, labels...)
		write(memoryReserved, s.Reserved, labels...)
		write(sampleTime, seconds(s.Newest), labels...)
	}
	write(clock, seconds(time.Now()))
}

// seconds is a Unix time with its fraction.
func seconds(at time.Time) float64 { return float64(at.UnixMicro()) / 1e6 }
