package rivals

import (
	"math"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// tally is a Pods metric: what the pods read, and how many read nothing.
type tally struct {
	sum     int64
	sampled int
	// missing pods run and have no metric: those that load a model are among them. pending pods have no node.
	missing, pending int
}

// count is groupPods: of a Pods metric only Pending pods are not ready, and a metric is believed of any other.
func count(reading *policy.Reading, seen *policy.Observation, spec *policy.Spec, now time.Time) tally {
	var t tally
	for i := range seen.Pods {
		if seen.Pods[i].Phase == policy.Unschedulable {
			t.pending++
			continue
		}
		ok, m := false, int64(0)
		if i < len(reading.Samples) {
			m, ok = usable(&reading.Samples[i], spec, now)
		}
		if !ok {
			t.missing++
			continue
		}
		t.sum += m
		t.sampled++
	}
	return t
}

// perPod is calcPlainMetricReplicas (replica_calculator.go): missing pods count as at target when lowering and as idle when raising,
// pending ones as idle when raising. ok is false if no pod has the metric.
func perPod(spec *policy.Spec, t tally, target int64, current int) (replicas int, ok bool) {
	if t.sampled == 0 {
		return 0, false
	}
	ratio := average(t.sum, t.sampled, target)
	pending := t.pending > 0 && ratio > 1
	if !pending && t.missing == 0 {
		if tolerates(spec, ratio) {
			return current, true
		}
		return ceil(ratio * float64(t.sampled)), true
	}
	n := t.fill(ratio, target)
	filled := average(t.sum, n, target)
	if tolerates(spec, filled) || ratio < 1 && filled > 1 || ratio > 1 && filled < 1 {
		return current, true
	}
	replicas = ceil(filled * float64(n))
	if filled < 1 && replicas > current || filled > 1 && replicas < current {
		return current, true
	}
	return replicas, true
}

// fill counts the pods without the metric in, and returns how many pods there are then.
func (t *tally) fill(ratio float64, target int64) int {
	switch {
	case ratio < 1:
		t.sum += int64(t.missing) * target
		return t.sampled + t.missing
	case ratio > 1:
		return t.sampled + t.missing + t.pending
	}
	return t.sampled
}

// perWorkload is GetExternalPerPodMetricReplicas: one number, shared by the replicas.
func perWorkload(spec *policy.Spec, m, target int64, current int) int {
	if tolerates(spec, float64(m)/(float64(target)*float64(current))) {
		return current
	}
	return ceil(float64(m) / float64(target))
}

// average is the ratio of a truncated mean to the target.
func average(sum int64, n int, target int64) float64 {
	return float64(sum/int64(n)) / float64(target)
}

// tolerates reports whether a ratio is close enough to 1 to be left alone.
func tolerates(spec *policy.Spec, ratio float64) bool {
	return 1-spec.ScaleDown.Tolerance <= ratio && ratio <= 1+spec.ScaleUp.Tolerance
}

// ceil rounds up to a number of replicas that fits an int32.
func ceil(v float64) int { return int(min(math.Ceil(v), math.MaxInt32)) }
