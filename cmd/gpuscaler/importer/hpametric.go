package importer

import (
	"fmt"
	"strings"

	autoscaling "k8s.io/api/autoscaling/v2"
)

const (
	// noCPU and noValue are the reasons for which metrics are left out.
	noCPU   = "CPU and memory say nothing about a GPU and are not read: choose a signal such as target.queue-depth or target.gpu-utilization"
	noValue = "the type Value scales the present replicas by the ratio of the whole to the target; a target here is an average per replica: use AverageValue, or a query of your own per pod"
)

// hpaMetric translates one metric.
func (t *translation) hpaMetric(field string, m *autoscaling.MetricSpec) {
	switch {
	case m.Type == autoscaling.PodsMetricSourceType && m.Pods != nil:
		t.podsMetric(field+".pods", m.Pods)
	case m.Type == autoscaling.ExternalMetricSourceType && m.External != nil:
		t.externalMetric(field+".external", &m.External.Metric, &m.External.Target, "")
	case m.Type == autoscaling.ObjectMetricSourceType && m.Object != nil:
		object := &m.Object.DescribedObject
		t.externalMetric(field+".object", &m.Object.Metric, &m.Object.Target, label(strings.ToLower(object.Kind))+"="+quoted(object.Name))
	case m.Type == autoscaling.ResourceMetricSourceType || m.Type == autoscaling.ContainerResourceMetricSourceType:
		t.gap(field, m, noCPU)
	default:
		t.gap(field, m, "is not a metric of an HPA: the type must be that of the field beside it")
	}
}

// podsMetric translates an average over the pods, which is what a target here is.
func (t *translation) podsMetric(field string, m *autoscaling.PodsMetricSource) {
	value, ok := t.average(field, &m.Target)
	if !ok {
		return
	}
	matchers := selectorMatchers(m.Metric.Selector)
	if t.knownTarget(field, metric{name: m.Metric.Name, matchers: matchers}, value) {
		return
	}
	query := fmt.Sprintf("sum by (pod) (%s)", vector(m.Metric.Name, matchers))
	t.custom(field, m.Metric.Name, query, value)
	t.note("query of %s: made as prometheus-adapter's default rule would; if yours has another, put its query in", m.Metric.Name)
}

// externalMetric translates a number of the whole workload that is divided by the replicas.
func (t *translation) externalMetric(field string, id *autoscaling.MetricIdentifier, target *autoscaling.MetricTarget, object string) {
	value, ok := t.average(field, target)
	if !ok {
		return
	}
	matchers := selectorMatchers(id.Selector)
	if object != "" {
		matchers = append([]string{object}, matchers...)
	}
	signal := t.custom(field, id.Name, fmt.Sprintf("sum(%s)", vector(id.Name, matchers)), value)
	if signal == "" {
		return
	}
	if !ofPods(id.Name) {
		t.workload = append(t.workload, signal)
	}
	t.note("query of %s: made of the metric's name and selector; if your adapter has a rule of its own for it, or the metric is in no Prometheus, put its query in", id.Name)
}

// average returns the target in thousandths, as the HPA reckons, if it is an average.
func (t *translation) average(field string, target *autoscaling.MetricTarget) (milli int64, ok bool) {
	switch {
	case target.Type == autoscaling.ValueMetricType:
		t.gap(field+".target", target, noValue)
	case target.Type != autoscaling.AverageValueMetricType || target.AverageValue == nil:
		t.gap(field+".target", target, "only the type AverageValue has an equivalent")
	case target.AverageValue.MilliValue() <= 0:
		t.gap(field+".target.averageValue", target.AverageValue.String(), "a target must be above 0")
	default:
		return target.AverageValue.MilliValue(), true
	}
	return 0, false
}
