package compare

import (
	"fmt"
	"math"
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metricsclient "k8s.io/kubernetes/pkg/controller/podautoscaler/metrics"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

// hpaInterval is kube-controller-manager's --horizontal-pod-autoscaler-sync-period.
const hpaInterval = 15 * time.Second

// windows are the scale-down stabilization windows that are tried: the default, and a much shorter one.
var windows = []time.Duration{5 * time.Minute, time.Minute}

// sameSignals is the HorizontalPodAutoscaler on the signals and targets of our class: what our policy is without its guards.
func sameSignals() arm {
	a := arm{name: "HPA, same signals", interval: hpaInterval}
	for _, running := range []float64{16, 8, 12, 20, 24} {
		queue := running / 4
		targets := []policy.Target{
			{Signal: policy.QueueDepth, Value: queue}, {Signal: policy.RunningRequests, Value: running}, {Signal: policy.KVCache, Value: 80},
		}
		for _, w := range windows {
			a.settings = append(a.settings, setting{
				name:  fmt.Sprintf("running %g, queue %g, kv 80, window %s", running, queue, short(w)),
				start: onPods(w, targets),
			})
		}
	}
	return a
}

// gpuUtilization is the HorizontalPodAutoscaler on DCGM's utilization. Where guides have 20 to 75 %, this begins at 80: a GPU under a
// model server is busy at any load.
func gpuUtilization() arm {
	a := arm{name: "HPA, GPU utilization", interval: hpaInterval, averaged: []policy.Signal{policy.GPUUtilization}}
	for _, target := range []float64{80, 60, 90, 95} {
		for _, w := range windows {
			a.settings = append(a.settings, setting{
				name:  fmt.Sprintf("%g %%, window %s", target, short(w)),
				start: onPods(w, []policy.Target{{Signal: policy.GPUUtilization, Value: target}}),
			})
		}
	}
	return a
}

// onPods makes an HPA that averages metrics of the pods.
func onPods(window time.Duration, targets []policy.Target) func(*hpa.Autoscaler, string) decide {
	metrics := make([]autoscaling.MetricSpec, len(targets))
	for i, t := range targets {
		metrics[i] = autoscaling.MetricSpec{
			Type: autoscaling.PodsMetricSourceType,
			Pods: &autoscaling.PodsMetricSource{Metric: autoscaling.MetricIdentifier{Name: string(t.Signal)}, Target: average(t.Value)},
		}
	}
	return func(a *hpa.Autoscaler, key string) decide {
		return kubernetes(a, key, window, metrics, func(seen *policy.Observation, sight *hpa.Sight, now time.Time) {
			sight.PodMetrics = map[string]metricsclient.PodMetricsInfo{}
			for _, t := range targets {
				if values := podMetrics(seen, t.Signal, now); values != nil {
					sight.PodMetrics[string(t.Signal)] = values
				}
			}
		})
	}
}

// podMetrics is what an adapter answers for a signal: nil when the metrics are out, and nothing for a pod that exports nothing yet.
func podMetrics(seen *policy.Observation, signal policy.Signal, now time.Time) metricsclient.PodMetricsInfo {
	reading := find(seen, signal)
	if reading == nil {
		return nil
	}
	values := metricsclient.PodMetricsInfo{}
	for i := range reading.Samples {
		if s := &reading.Samples[i]; s.OK {
			values[seen.Pods[i].Name] = metricsclient.PodMetric{Timestamp: now, Value: milli(s.Value)}
		}
	}
	return values
}

// kubernetes runs the HPA's own code on what look shows it of each moment.
func kubernetes(a *hpa.Autoscaler, key string, window time.Duration, metrics []autoscaling.MetricSpec,
	look func(*policy.Observation, *hpa.Sight, time.Time),
) decide {
	object := a.Object()
	lowest, down, up := int32(minReplicas), int32(window/time.Second), int32(0)
	object.Spec.MinReplicas, object.Spec.MaxReplicas = &lowest, maxReplicas
	object.Spec.Metrics = metrics
	percent := autoscaling.HPAScalingPolicy{Type: autoscaling.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}
	pods := autoscaling.HPAScalingPolicy{Type: autoscaling.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}
	most := autoscaling.MaxChangePolicySelect
	// All but the window is what the API server fills in where nothing is given.
	object.Spec.Behavior = &autoscaling.HorizontalPodAutoscalerBehavior{
		ScaleUp: &autoscaling.HPAScalingRules{
			StabilizationWindowSeconds: &up, SelectPolicy: &most, Policies: []autoscaling.HPAScalingPolicy{pods, percent},
		},
		ScaleDown: &autoscaling.HPAScalingRules{
			StabilizationWindowSeconds: &down, SelectPolicy: &most, Policies: []autoscaling.HPAScalingPolicy{percent},
		},
	}
	return func(_ policy.Spec, state policy.State, seen policy.Observation, now time.Time) (policy.Decision, policy.State) {
		time.Sleep(time.Until(now)) // its clock is that of the synctest bubble
		sight := hpa.Sight{Replicas: int32(seen.Replicas), Pods: podList(&seen)}
		look(&seen, &sight, now)
		outcome := a.Tick(key, object, &sight)
		return to(&seen, int(outcome.Desired), now), state
	}
}

// podList is the pods as the API server has them. One that loads its model is Running and not Ready, and exports nothing; one
// without a node is Pending.
func podList(seen *policy.Observation) []hpa.Pod {
	pods := make([]hpa.Pod, len(seen.Pods))
	for i := range seen.Pods {
		phase := corev1.PodRunning
		if seen.Pods[i].Phase == policy.Unschedulable {
			phase = corev1.PodPending
		}
		pods[i] = hpa.Pod{Name: seen.Pods[i].Name, Phase: phase}
	}
	return pods
}

// find returns the reading of a signal, nil if the metrics are out.
func find(seen *policy.Observation, signal policy.Signal) *policy.Reading {
	for i := range seen.Readings {
		if r := &seen.Readings[i]; r.Signal == signal && r.Problem == "" {
			return r
		}
	}
	return nil
}

// total adds up what the pods read of a signal; ok is false if no pod reads it.
func total(seen *policy.Observation, signal policy.Signal) (sum float64, ok bool) {
	reading := find(seen, signal)
	if reading == nil {
		return 0, false
	}
	for i := range reading.Samples {
		if s := &reading.Samples[i]; s.OK {
			sum, ok = sum+s.Value, true
		}
	}
	return sum, ok
}

// average is a target for the average value of a pod.
func average(v float64) autoscaling.MetricTarget {
	return autoscaling.MetricTarget{
		Type:         autoscaling.AverageValueMetricType,
		AverageValue: resource.NewMilliQuantity(milli(v), resource.DecimalSI),
	}
}

// milli converts a value to whole thousandths.
func milli(v float64) int64 { return int64(math.Round(v * 1000)) }

// short prints a duration without its zeros: 5m for 5m0s.
func short(d time.Duration) string {
	if d%time.Minute == 0 && d > 0 {
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
