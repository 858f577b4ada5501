package importer

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/gpuscaler/gpuscaler/policy"
)

// trigger is one of KEDA's triggers.
type trigger struct {
	Type             string         `json:"type"`
	Name             string         `json:"name"`
	UseCachedMetrics bool           `json:"useCachedMetrics"`
	Metadata         map[string]any `json:"metadata"`
	// AuthenticationRef is where credentials come from.
	AuthenticationRef any    `json:"authenticationRef"`
	MetricType        string `json:"metricType"`
}

// get returns a value of the metadata as text: a file may give numbers without quotes.
func (tr *trigger) get(key string) string {
	switch v := tr.Metadata[key].(type) {
	case nil:
		return ""
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// triggers translates the triggers that are metrics.
func (t *translation) triggers(o *scaledObject) {
	formula := false
	if a := o.Spec.Advanced; a != nil && len(a.ScalingModifiers) > 0 {
		formula = true
		t.gap("spec.advanced.scalingModifiers", a.ScalingModifiers, "targets are not put together by a formula: the largest answer wins; write the formula in PromQL, as a query of --queries")
	}
	for i := range o.Spec.Triggers {
		tr, field := &o.Spec.Triggers[i], fmt.Sprintf("spec.triggers[%d]", i)
		switch {
		case formula:
			t.gap(field, tr.Type+" "+tr.Name, "counts only within the formula of scalingModifiers")
		case tr.Type == "prometheus":
			t.prometheus(field, tr)
		case tr.Type == "cpu" || tr.Type == "memory":
			t.gap(field, tr.Type, noCPU)
		case tr.Type != "cron":
			t.gap(field, tr.Type, "the only source is Prometheus: if an exporter has the same number, name a query of it in --queries")
		}
	}
}

// prometheus translates a query.
func (t *translation) prometheus(field string, tr *trigger) {
	t.connection(field, tr)
	value, err := strconv.ParseFloat(tr.get("threshold"), 64)
	milli := int64(0)
	if value > 0 && value < math.MaxInt64/1000 {
		milli = int64(value * 1000) // as KEDA does
	}
	switch {
	case tr.get("query") == "":
		t.gap(field+".metadata.query", "", "is missing")
	case err != nil || milli <= 0:
		t.gap(field+".metadata.threshold", tr.get("threshold"), "a target must be a number above 0")
	case tr.MetricType == "" || tr.MetricType == "AverageValue":
		t.sum(field, tr, milli)
	case tr.MetricType == "Value":
		t.mean(field, tr, milli)
	default:
		t.gap(field+".metricType", tr.MetricType, "is none that a prometheus trigger has")
	}
}

// sum translates a query whose value is divided by the replicas.
func (t *translation) sum(field string, tr *trigger, milli int64) {
	text := tr.get("query")
	q, plain := parseQuery(text)
	plain = plain && q.aggregation == "sum"
	if plain && t.ownPods(q) {
		if t.knownTarget(field, q.metric(), milli) {
			return
		}
	} else if plain {
		if signal, source, ok := knownSignal(q.metric()); ok && source.Scale == 1 {
			t.note("%s: if all series of its query are of this Deployment's pods, %starget.%s alone does the same without a query", field, policy.Prefix, signal)
		}
	}
	base := tr.Name
	if base == "" {
		base = t.nameOf(text, q)
	}
	signal := t.custom(field, base, text, milli)
	if signal == "" {
		return
	}
	a := activation{field: field, signal: signal, query: text}
	if v, err := strconv.ParseFloat(tr.get("activationThreshold"), 64); err == nil && v != 0 {
		a.threshold = strconv.FormatFloat(v, 'f', -1, 64)
	}
	if !ofPods(text) {
		t.activations = append(t.activations, a)
	}
	if q.aggregation == "avg" {
		t.note("%s: KEDA divides an average by the replicas once more, and so does this: if an average per replica was meant, use metricType Value there and a built-in signal here", field)
	}
}

// mean translates a query whose value is compared with the target as it is. Only the mean over the Deployment's own pods is an
// average per replica.
func (t *translation) mean(field string, tr *trigger, milli int64) {
	q, plain := parseQuery(tr.get("query"))
	if plain && q.aggregation == "avg" && t.ownPods(q) && t.knownTarget(field, q.metric(), milli) {
		return
	}
	t.gap(field, tr.get("query"), noValue)
}

// nameOf makes a name for the signal of a query.
func (t *translation) nameOf(text string, q query) string {
	if q.name != "" {
		return q.name
	}
	if name := firstMetric.FindStringSubmatch(text); name != nil {
		return name[1]
	}
	return "prometheus"
}

// connection tells about what says how a trigger asks.
func (t *translation) connection(field string, tr *trigger) {
	for _, key := range slices.Sorted(maps.Keys(tr.Metadata)) {
		at := field + ".metadata." + key
		switch key {
		case "query", "threshold":
		case "activationThreshold":
			t.activationThreshold(at, tr)
		case "metricName":
			t.note("%s: KEDA itself does not look at it any more", at)
		case "serverAddress":
			t.note("%s: Prometheus is the controller's, by --prometheus-url: make sure that it is %s or has the same series", at, tr.get(key))
		case "ignoreNullValues":
			if tr.get(key) != "false" {
				t.gap(at, tr.get(key), "an empty result is missing data, never 0: without it nothing is lowered")
			}
		default:
			t.gap(at, tr.get(key), "how Prometheus is asked is the controller's, for all Deployments: --prometheus-url and --prometheus-http-config")
		}
	}
	if tr.AuthenticationRef != nil {
		t.gap(field+".authenticationRef", tr.AuthenticationRef, "how Prometheus is asked is the controller's, for all Deployments: --prometheus-http-config")
	}
	if tr.UseCachedMetrics {
		t.note("%s.useCachedMetrics: each query is asked once a tick", field)
	}
}

// activationThreshold checks the value above which a trigger is active. It counts on the way from zero only, see toZero.
func (t *translation) activationThreshold(at string, tr *trigger) {
	value := tr.get("activationThreshold")
	if v, err := strconv.ParseFloat(value, 64); err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		t.gap(at, value, "is not a number")
		tr.Metadata["activationThreshold"] = "0"
	}
}
