package compare

import (
	"fmt"
	"time"

	autoscaling "k8s.io/api/autoscaling/v2"

	"github.com/gpuscaler/gpuscaler/policy"
	"github.com/gpuscaler/gpuscaler/test/conformance/hpa"
)

const (
	// waiting is the metric that vLLM's own guide gives KEDA.
	waiting = "vllm:num_requests_waiting"
	// kedaPoll is KEDA's default pollingInterval.
	kedaPoll = 30 * time.Second
)

// keda is KEDA's Prometheus scaler and, behind it, the HorizontalPodAutoscaler that KEDA makes. The values are those of the last
// poll (useCachedMetrics). Its cooldownPeriod counts only on the way from one replica to none, which nothing here goes.
func keda() arm {
	a := arm{name: "KEDA, waiting requests", interval: hpaInterval}
	for _, threshold := range []float64{5, 1, 2, 10} {
		for _, w := range []time.Duration{5 * time.Minute, 15 * time.Minute} {
			a.settings = append(a.settings, setting{
				name:  fmt.Sprintf("threshold %g, window %s", threshold, short(w)),
				start: onWaiting(w, threshold),
			})
		}
	}
	return a
}

// onWaiting makes the HPA that KEDA would: one external metric, of which each replica is to have the threshold.
func onWaiting(window time.Duration, threshold float64) func(*hpa.Autoscaler, string) decide {
	metrics := []autoscaling.MetricSpec{{
		Type:     autoscaling.ExternalMetricSourceType,
		External: &autoscaling.ExternalMetricSource{Metric: autoscaling.MetricIdentifier{Name: waiting}, Target: average(threshold)},
	}}
	return func(a *hpa.Autoscaler, key string) decide {
		var poll prometheusScaler
		return kubernetes(a, key, window, metrics, func(seen *policy.Observation, sight *hpa.Sight, now time.Time) {
			sight.External = map[string]int64{waiting: milli(poll.value(seen, now))}
		})
	}
}

// prometheusScaler is KEDA's: sum(vllm:num_requests_waiting), asked for at each poll and kept until the next.
type prometheusScaler struct {
	next time.Time
	kept float64
}

// value returns the value of the last poll. An empty result is 0: that is ignoreNullValues, which is on by default.
func (p *prometheusScaler) value(seen *policy.Observation, now time.Time) float64 {
	if !now.Before(p.next) {
		p.next = now.Add(kedaPoll)
		p.kept, _ = total(seen, policy.QueueDepth)
	}
	return p.kept
}
