package metrics

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Labels that our expressions add to their results.
const (
	sourceLabel = "source" // which source a value came from
	idleLabel   = "idle"   // set where a histogram counted nothing in its window
)

// viewLabels name the pod in any of its spellings, see identity. A result never has all four.
const viewLabels = "exported_namespace, namespace, exported_pod, pod"

// selection is what narrows every selector of an expression: the namespaces, and how old a sample may be.
type selection struct {
	namespaces []string
	maxAge     time.Duration
	rateWindow time.Duration
}

// form is one of the two ways in which a series can name the workload's namespace.
type form struct {
	matchers string // on the namespace
	labels   string // that hold the pod's identity, for by()
}

// forms returns both ways. They exclude each other, so that no series is read twice: a series with
// exported_namespace was scraped from an exporter, whose own namespace is in namespace. The pod's labels are told
// apart in the reply instead of here, which would double the number of selectors.
func (s selection) forms() [2]form {
	match := namespaceMatcher(s.namespaces)
	return [2]form{
		{matchers: "exported_namespace" + match, labels: "exported_namespace, exported_pod, pod"},
		{matchers: `exported_namespace="", namespace` + match, labels: "namespace, exported_pod, pod"},
	}
}

// namespaceMatcher returns an operator and a quoted operand. Regular expressions in PromQL are anchored.
func namespaceMatcher(namespaces []string) string {
	if len(namespaces) == 1 {
		return "=" + quote(namespaces[0])
	}
	escaped := make([]string, len(namespaces))
	for i, ns := range namespaces {
		escaped[i] = regexp.QuoteMeta(ns)
	}
	return "=~" + quote(strings.Join(escaped, "|"))
}

// quote makes a PromQL string. PromQL reads Go's escapes. Its lexer refuses U+FFFD as it stands, so that everything
// beyond ASCII is escaped.
func quote(s string) string { return strconv.QuoteToASCII(strings.ToValidUTF8(s, "\uFFFD")) }

// expression is one query for one signal: all sources, joined so that per pod the first source that has samples
// answers, whatever those samples are worth.
//
// The samples come back one by one (per GPU, per engine), not as the pod's mean or sum, because an impossible one
// must be seen to be dropped: in an average of eight GPUs a blank would only look like a high load, and a negative
// one like a low load. Most pods have one GPU and one engine, so that the reply is hardly larger. Percentiles are
// computed by the server: buckets are many.
func (s selection) expression(spec signalSpec) string {
	return join(spec.sources, s.source)
}

// ages is the same with the time of each sample instead of its value, and without a bound on the age.
func (s selection) ages(spec signalSpec) string {
	return join(spec.sources, s.sourceAge)
}

// join chains the sources: `or on (pod)` takes of each next source only the pods that no earlier one has.
func join(sources []Source, one func(Source) string) string {
	parts := make([]string, len(sources))
	for i, source := range sources {
		parts[i] = fmt.Sprintf("label_replace(%s, %q, %q, \"\", \"\")", one(source), sourceLabel, source.Name)
	}
	return strings.Join(parts, "\nor on ("+viewLabels+") ")
}

// source is the values of one source, in both forms.
func (s selection) source(source Source) string {
	forms := s.forms()
	return s.values(source, forms[0]) + "\nor " + s.values(source, forms[1])
}

func (s selection) sourceAge(source Source) string {
	metric := source.Metric
	if source.Kind == Quantile {
		metric += "_count"
	}
	forms := s.forms()
	var parts [2]string
	for i, f := range forms {
		parts[i] = merge(source, f, "timestamp("+selector(metric, source.Match, f)+")")
	}
	return parts[0] + "\nor " + parts[1]
}

func (s selection) values(source Source, f form) string {
	one := func(metric string, match Match) string { return merge(source, f, s.fresh(metric, match, f)) }
	var value string
	switch source.Kind {
	case Gauge:
		value = one(source.Metric, source.Match)
	case Rate:
		value = merge(source, f, s.rate(source.Metric, source.Match, f))
	case Quantile:
		return s.quantile(source, f)
	case UsedOfTotal:
		value = fmt.Sprintf("%s / %s", one(source.Metric, source.Match), one(source.Total, Match{}))
	case UsedOfParts:
		used := one(source.Metric, source.Match)
		value = fmt.Sprintf("%s / (%s + %s + (%s or 0 * %s))", used, used, one(source.Free, Match{}), one(source.Reserved, Match{}), used)
	}
	if source.Scale != 1 {
		value = strconv.FormatFloat(source.Scale, 'g', -1, 64) + " * " + value
	}
	return value
}

// quantile is the 95th percentile over all engines of a pod, plus a series with the idle label for each pod whose
// histogram counted nothing: its percentile is NaN, which is not the same as missing.
func (s selection) quantile(source Source, f form) string {
	buckets := merge(withLabel(source, "le"), f, s.rate(source.Metric+"_bucket", source.Match, f))
	count := merge(source, f, s.rate(source.Metric+"_count", source.Match, f))
	return fmt.Sprintf("histogram_quantile(0.95, sum by (%s, le) (%s))\n"+
		"or label_replace(sum by (%s) (%s) == 0, %q, \"true\", \"\", \"\")",
		f.labels, buckets, f.labels, count, idleLabel)
}

func withLabel(source Source, label string) Source {
	source.Identity = append(slices.Clone(source.Identity), label)
	return source
}

// merge keeps one series per identity. Two Prometheus replicas behind one querier, two scrape jobs for one target
// and two exporters on one node show the same thing twice: whatever distinguishes them is not in by().
func merge(source Source, f form, vector string) string {
	return fmt.Sprintf("max by (%s, %s) (%s)", f.labels, strings.Join(source.Identity, ", "), vector)
}

// fresh is a selector without the samples that are too old. Without it Prometheus answers with anything up to its
// lookback of five minutes, and neither max by nor rate lets the age be seen afterwards. timestamp() must be given
// the bare selector: of any other expression it returns the time of evaluation.
func (s selection) fresh(metric string, match Match, f form) string {
	series := selector(metric, match, f)
	return fmt.Sprintf("%s and %s", series, s.young(series))
}

// rate is the increase per second of counters that are still there: rate alone goes on answering for a pod that
// ended within the window.
func (s selection) rate(metric string, match Match, f form) string {
	series := selector(metric, match, f)
	return fmt.Sprintf("rate(%s[%s]) and %s", series, promDuration(s.rateWindow), s.young(series))
}

func (s selection) young(series string) string {
	return fmt.Sprintf("(time() - timestamp(%s) <= %s)", series, strconv.FormatFloat(s.maxAge.Seconds(), 'g', -1, 64))
}

func selector(metric string, match Match, f form) string {
	matchers := f.matchers
	if match != (Match{}) {
		matchers = match.String() + ", " + matchers
	}
	return metric + "{" + matchers + "}"
}

// promDuration writes a duration in PromQL's notation, to the millisecond.
func promDuration(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// split sorts the namespaces and cuts them into lists whose expressions are no longer than limit bytes each, but at
// least one namespace per list. length is the length of an expression for some namespaces.
func split(namespaces []string, limit int, length func([]string) int) [][]string {
	sorted := slices.Compact(slices.Sorted(slices.Values(namespaces)))
	if len(sorted) == 0 {
		return nil
	}
	// An expression repeats its matcher a fixed number of times. Two measurements give the number and the rest.
	probe := length([]string{"a", "a"})
	times := length([]string{"a", "aa"}) - probe
	rest := probe - times*len("a|a")
	budget := max((limit-rest)/times, 0)
	var lists [][]string
	start, used := 0, 0
	for i, ns := range sorted {
		cost := len(quote(regexp.QuoteMeta(ns))) - 1 // its quotes make up for the bar
		if i > start && used+cost > budget {
			lists = append(lists, sorted[start:i])
			start, used = i, 0
		}
		used += cost
	}
	return append(lists, sorted[start:])
}
