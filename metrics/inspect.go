package metrics

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// What follows looks at the series themselves rather than at the signals made of them: for those who want to know why a
// signal is not there, or is not worth what it seems.

// Presence tells of the series of one source, in all namespaces.
type Presence struct {
	// Source is the name of the source.
	Source string
	// Series counts its series, Unnamed those of them that name no namespace or no pod.
	Series, Unnamed int
}

// Census is what there is of one signal, in all namespaces.
type Census struct {
	// Present are the sources that have series, in the order in which they are looked for.
	Present []Presence
	// ServerTime is when the server evaluated the query, by its own clock; zero if there is no series.
	ServerTime time.Time
}

// Series counts the series of all sources.
func (c *Census) Series() (series, unnamed int) {
	for _, p := range c.Present {
		series, unnamed = series+p.Series, unnamed+p.Unnamed
	}
	return series, unnamed
}

// aspects of a source, told beside its name in one label.
const (
	allSeries     = "all"
	unnamedSeries = "unnamed"
)

// nameless selects series that lack a part of the pod's identity.
var nameless = []string{`namespace="", exported_namespace=""`, `pod="", exported_pod=""`}

// Census counts the series of every source of a signal, in one query.
func (p *Prometheus) Census(ctx context.Context, signal policy.Signal) (Census, error) {
	spec, err := specOf(signal)
	if err != nil {
		return Census{}, err
	}
	var parts []string
	for _, source := range spec.sources {
		metric := source.Metric
		if source.Kind == Quantile {
			metric += "_count"
		}
		var lacking []string
		for _, labels := range nameless {
			lacking = append(lacking, selector(metric, source.Match, form{matchers: labels}))
		}
		parts = append(parts,
			marked("count("+selector(metric, source.Match, form{})+")", allSeries+" "+source.Name),
			marked("count("+strings.Join(lacking, " or ")+")", unnamedSeries+" "+source.Name))
	}
	counts := map[string]int{}
	at, err := p.ask(ctx, strings.Join(parts, "\nor "), func(labels *labelSet, v float64) { counts[labels[fieldSource]] = int(v) })
	if err != nil {
		return Census{}, fmt.Errorf("counting the series of signal %s: %w", signal, err)
	}
	census := Census{ServerTime: at}
	for _, source := range spec.sources {
		if n := counts[allSeries+" "+source.Name]; n > 0 {
			census.Present = append(census.Present, Presence{source.Name, n, counts[unnamedSeries+" "+source.Name]})
		}
	}
	return census, nil
}

// marked gives the series of a vector a source label.
func marked(vector, mark string) string {
	return fmt.Sprintf("label_replace(%s, %q, %q, \"\", \"\")", vector, sourceLabel, mark)
}

// ask runs an expression and returns the server's time, zero if there was no series.
func (p *Prometheus) ask(ctx context.Context, expr string, emit func(labels *labelSet, v float64)) (time.Time, error) {
	at := 0.0
	err := p.client.query(ctx, question{
		endpoint: "/api/v1/query", want: "vector", params: url.Values{"query": {expr}},
		emit: func(labels *labelSet, t, v float64) {
			at = t
			emit(labels, v)
		},
	})
	return serverTime(at), err
}

// Clock asks the server for its time.
func (p *Prometheus) Clock(ctx context.Context) (time.Time, error) {
	at, err := p.ask(ctx, "vector(time())", func(*labelSet, float64) {})
	if err != nil {
		return time.Time{}, fmt.Errorf("asking for the time: %w", err)
	}
	return at, nil
}
