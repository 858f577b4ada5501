package importer

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/gpuscaler/gpuscaler/metrics"
	"github.com/gpuscaler/gpuscaler/policy"
)

// metric is a metric as another autoscaler names it.
type metric struct {
	name string
	// matchers narrow it, in PromQL.
	matchers []string
}

// knownTarget makes a target on the signal that a metric is a source of, and reports whether it did, or said why that cannot be.
func (t *translation) knownTarget(field string, m metric, milli int64) bool {
	signal, source, ok := knownSignal(m)
	if !ok {
		return false
	}
	info, _ := signal.Info()
	if !info.Targetable {
		t.gap(field, m.name, "is the source of %s, and latency does not fall in proportion when replicas rise: use %ssteps.%s", signal, policy.Prefix, signal)
		return true
	}
	scale := int64(math.Max(source.Scale, 1))
	if t.has("target."+string(signal)) || milli > math.MaxInt64/scale {
		return false // a second metric for the same signal becomes a signal of its own
	}
	value := milli * scale
	if info.Max > 0 && float64(value) > info.Max*1000 {
		t.note("%s: a target of %s cannot be a mean in percent, so it is taken for a sum over several GPUs and stays a query", m.name, thousandths(milli))
		return false
	}
	t.set("target."+string(signal), thousandths(value), field)
	t.differences(m, signal, &source)
	return true
}

// differences notes what a signal does that the bare metric would not.
func (t *translation) differences(m metric, signal policy.Signal, source *metrics.Source) {
	info, _ := signal.Info()
	switch {
	case info.RaiseOnly:
		t.note("%s only raises here, because it does not fall when a replica has less to do: a second target, such as running-requests, is what lowers", signal)
	case signal == policy.QueueDepth:
		t.note("queue-depth lowers only as far as running-requests, kv-cache or gpu-utilization allow: an empty queue alone says nothing about the load")
	case signal == policy.GPUUtilization:
		t.note("gpu-utilization is the mean over the GPUs of a pod: if your rule for %s adds them up, divide the target by their number", m.name)
	}
	if source.Kind == metrics.Rate {
		t.note("%s is read as %s, a rate per second of the counter %s", m.name, signal, source.Metric)
	}
	if source.Scale > 1 {
		t.note("%s is in percent here: the target is that of %s, which goes from 0 to 1, times %v", signal, m.name, source.Scale)
	}
}

// knownSignal finds the signal of a metric: by our own name of it, or by that of a source. A source that reads only a part of its
// metric is meant only where the same part is asked for.
func knownSignal(m metric) (policy.Signal, metrics.Source, bool) {
	own := policy.Signal(strings.ReplaceAll(m.name, "_", "-"))
	if _, builtin := own.Info(); builtin && len(m.matchers) == 0 {
		return own, metrics.Source{Scale: 1}, true
	}
	for _, known := range metrics.Lookup(m.name) {
		var part []string
		if known.Source.Match != (metrics.Match{}) {
			part = []string{known.Source.Match.String()}
		}
		readable := known.Source.Kind == metrics.Gauge || known.Source.Kind == metrics.Rate || known.Source.Kind == metrics.Quantile
		if readable && slices.Equal(part, m.matchers) {
			return known.Signal, known.Source, true
		}
	}
	return "", metrics.Source{}, false
}

var identifier = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*`)

// ofPods reports whether a query reads a metric that GPUs or engines export. Where there are no pods there is nothing of it, so that
// it wakes nobody.
func ofPods(query string) bool {
	return slices.ContainsFunc(identifier.FindAllString(query, -1), func(word string) bool { return len(metrics.Lookup(word)) > 0 })
}
