package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/pods"
	"github.com/gpuscaler/gpuscaler/cmd/nvml-agent/sampler"
	"github.com/gpuscaler/gpuscaler/metrics/nvml"
)

// known is a source of three series: a GPU that a pod holds, a pod's share of another, and a MIG device of which
// little is known.
type known struct{}

func (known) Up() bool { return true }

func (known) Series() []sampler.Series {
	nan := math.NaN()
	none := sampler.Means{Utilization: nan, Used: nan, Power: nan}
	at := time.Unix(1700000000, 250_000_000)
	held := pods.Holder{Pod: pods.Pod{Namespace: "ml", Name: "llm-0"}, Container: "vllm"}
	return []sampler.Series{
		{
			Info: nvml.Info{UUID: "GPU-a", Index: 0, Minor: 0, Model: "NVIDIA L4"}, Holder: held, Newest: at, Total: 24e9, Reserved: 5e8,
			Means: [3]sampler.Means{{Utilization: 1, Used: 1e9, Power: 72}, {Utilization: 0.5, Used: 2e9, Power: 71}, {Utilization: 0.25, Used: 3e9, Power: 70}},
		},
		{
			Info: nvml.Info{UUID: "GPU-b", Index: 1, Minor: 1, Model: "NVIDIA L4"}, Holder: held, Newest: at, Total: 24e9, Reserved: nan,
			Means: [3]sampler.Means{{Utilization: 0, Used: nan, Power: nan}, none, none},
		},
		{
			Info: nvml.Info{UUID: "MIG-c", Index: 2, Model: "NVIDIA H100", Parent: "GPU-c", MIGProfile: "1g.10gb"}, Newest: at, Total: nan, Reserved: nan,
			Means: [3]sampler.Means{none, none, none},
		},
	}
}

// exposition is what the agent writes of it. Package metrics and people's Prometheus rules rely on every letter.
const exposition = `
# HELP gpuscaler_nvml_errors_total Failures by call and error. While they last the values concerned are absent.
# TYPE gpuscaler_nvml_errors_total counter
gpuscaler_nvml_errors_total{call="power",error="gpu_is_lost"} 2
# HELP gpuscaler_nvml_gpu_utilization_ratio Share of time, 0-1, in which the GPU was busy, as mean over the window. Of a shared GPU also the share of each pod.
# TYPE gpuscaler_nvml_gpu_utilization_ratio gauge
gpuscaler_nvml_gpu_utilization_ratio{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="15s"} 0.25
gpuscaler_nvml_gpu_utilization_ratio{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="1s"} 1
gpuscaler_nvml_gpu_utilization_ratio{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="5s"} 0.5
gpuscaler_nvml_gpu_utilization_ratio{container="vllm",index="1",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-b",window="1s"} 0
# HELP gpuscaler_nvml_memory_reserved_bytes GPU memory that the driver keeps for itself.
# TYPE gpuscaler_nvml_memory_reserved_bytes gauge
gpuscaler_nvml_memory_reserved_bytes{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a"} 5e+08
# HELP gpuscaler_nvml_memory_total_bytes GPU memory.
# TYPE gpuscaler_nvml_memory_total_bytes gauge
gpuscaler_nvml_memory_total_bytes{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a"} 2.4e+10
gpuscaler_nvml_memory_total_bytes{container="vllm",index="1",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-b"} 2.4e+10
# HELP gpuscaler_nvml_memory_used_bytes GPU memory in use, without what the driver reserves, as mean over the window. Of a shared GPU also that of each pod.
# TYPE gpuscaler_nvml_memory_used_bytes gauge
gpuscaler_nvml_memory_used_bytes{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="15s"} 3e+09
gpuscaler_nvml_memory_used_bytes{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="1s"} 1e+09
gpuscaler_nvml_memory_used_bytes{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="5s"} 2e+09
# HELP gpuscaler_nvml_power_watts Power drawn by the GPU, as mean over the window.
# TYPE gpuscaler_nvml_power_watts gauge
gpuscaler_nvml_power_watts{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="15s"} 70
gpuscaler_nvml_power_watts{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="1s"} 72
gpuscaler_nvml_power_watts{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a",window="5s"} 71
# HELP gpuscaler_nvml_sample_timestamp_seconds Unix time of the newest sample by this agent's clock.
# TYPE gpuscaler_nvml_sample_timestamp_seconds gauge
gpuscaler_nvml_sample_timestamp_seconds{container="",index="2",mig_profile="1g.10gb",model="NVIDIA H100",namespace="",pod="",uuid="MIG-c"} 1.70000000025e+09
gpuscaler_nvml_sample_timestamp_seconds{container="vllm",index="0",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-a"} 1.70000000025e+09
gpuscaler_nvml_sample_timestamp_seconds{container="vllm",index="1",mig_profile="",model="NVIDIA L4",namespace="ml",pod="llm-0",uuid="GPU-b"} 1.70000000025e+09
# HELP gpuscaler_nvml_up 1 if the NVML library is loaded and initialised.
# TYPE gpuscaler_nvml_up gauge
gpuscaler_nvml_up 1
`

func TestExposition(t *testing.T) {
	failures := newFailures()
	failures.count(nvml.CallPower, nvml.ReasonLost)
	failures.count(nvml.CallPower, nvml.ReasonLost)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{source: known{}}, failures.counter)
	err := testutil.GatherAndCompare(registry, strings.NewReader(exposition),
		nvml.MetricUtilization, nvml.MetricMemoryUsed, nvml.MetricMemoryTotal, nvml.MetricMemoryReserved,
		nvml.MetricPower, nvml.MetricSampleTime, nvml.MetricUp, nvml.MetricErrors)
	if err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("promlint finds %v, %v", problems, err)
	}
}

// TestClock wants the agent's clock at the reply, with its fraction of a second.
func TestClock(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(&collector{source: known{}})
	before := time.Now()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != nvml.MetricTime {
			continue
		}
		got := family.GetMetric()[0].GetGauge().GetValue()
		if from, to := seconds(before), seconds(time.Now()); got < from || got > to {
			t.Errorf("the clock is %f, want between %f and %f", got, from, to)
		}
		return
	}
	t.Errorf("there is no %s", nvml.MetricTime)
}

// TestWindows wants the names of the windows to be those of the times the means are over.
func TestWindows(t *testing.T) {
	for n, name := range nvml.Windows() {
		if d, err := time.ParseDuration(name); err != nil || d != sampler.Windows[n] {
			t.Errorf("window %d is called %s and is %v long", n, name, sampler.Windows[n])
		}
	}
}
