package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// Queries are the queries that an administrator named, by name: the only ones that an annotation can ask for.
type Queries map[string]Query

// Query is a named query.
type Query struct {
	// Name is its key in the file.
	Name string `yaml:"-"`
	// Query is a PromQL expression, see Inject. Its result carries the label pod (one series per pod) or is exactly
	// one series.
	Query string `yaml:"query"`
	// Unit is the unit of its values, for people; it may be empty.
	Unit string `yaml:"unit,omitempty"`
}

var queryName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)

// ParseQueries reads a file of named queries:
//
//	queries:
//	  gateway-queue:
//	    query: sum(gateway_queue_length{deployment="$deployment"})
//	    unit: requests
//
// It reports every problem at once, each with the query's name.
func ParseQueries(text []byte) (Queries, error) {
	var file struct {
		Queries Queries `yaml:"queries"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("parsing named queries: %w", err)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("parsing named queries: a second document; one is allowed")
	}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(file.Queries)) {
		query := file.Queries[name]
		query.Name = name
		file.Queries[name] = query
		if !queryName.MatchString(name) {
			problems = append(problems, fmt.Errorf("query %q: a name is at most 63 of a-z, 0-9 and -", name))
		}
		// Names of any shape must fit in; these are as long and as odd as Kubernetes allows.
		if _, err := Inject(query.Query, "namespace-0", "deployment.0"); err != nil {
			problems = append(problems, fmt.Errorf("query %q: %w", name, err))
		}
	}
	if len(problems) > 0 {
		return nil, fmt.Errorf("parsing named queries: %w", errors.Join(problems...))
	}
	return file.Queries, nil
}

// QueryResult is the answer to a named query for one Deployment.
type QueryResult struct {
	// PerPod says that the result carries the label pod: Samples holds the values. Otherwise it is a workload
	// signal, Value.
	PerPod  bool
	Samples Samples
	// Value is that of the workload; OK is false if there is none, which is missing, not 0.
	Value Reading
	OK    bool
	// Dropped counts samples that were thrown away, by reason.
	Dropped []Drop
	// ServerTime is when the server evaluated the query, by its own clock; zero if it returned nothing.
	ServerTime time.Time
}

// ReadQuery runs a named query for one Deployment. How old its samples may be is left to the query: the server is asked
// to look back no further than the maximum sample age, which servers before 3.0 ignore.
func (p *Prometheus) ReadQuery(ctx context.Context, query Query, namespace, deployment string) (QueryResult, error) {
	expr, err := Inject(query.Query, namespace, deployment)
	if err != nil {
		return QueryResult{}, fmt.Errorf("reading query %q: %w: %w", query.Name, ErrRefused, err)
	}
	rows := queryRows{namespace: namespace, pods: map[string]int{}}
	params := url.Values{
		"query": {expr}, "lookback_delta": {strconv.FormatFloat(p.opts.MaxSampleAge.Seconds(), 'f', -1, 64)},
	}
	err = p.client.query(ctx, question{endpoint: "/api/v1/query", want: "vector", params: params, emit: rows.add})
	if err != nil {
		return QueryResult{}, fmt.Errorf("reading query %q: %w", query.Name, err)
	}
	result, problem := rows.result()
	if problem != "" {
		return QueryResult{}, fmt.Errorf("reading query %q: %w", query.Name, p.client.fail(ErrRefused, 0, problem,
			"its result must carry the label pod, one series each, or be exactly one series", nil))
	}
	return result, nil
}

// queryRows gathers the result of a named query. Values of a custom signal have no known range.
type queryRows struct {
	namespace string
	pods      map[string]int // number of series of each pod; the empty name is a series without a pod
	values    map[PodKey]Reading
	bare      Reading
	bareOK    bool
	counts    [len(whys)]int
	at        float64
}

func (q *queryRows) add(labels *labelSet, t, v float64) {
	q.at = t
	key, _, _ := identity(labels)
	// The matcher in every selector makes the namespace ours, whether or not the query kept the label.
	key.Namespace = q.namespace
	q.pods[key.Pod]++
	v, why := plausible(v, math.MaxFloat64, false)
	if why != whyNone {
		q.counts[why]++
		return
	}
	if key.Pod == "" {
		q.bare, q.bareOK = Reading{Value: v}, true
		return
	}
	if q.values == nil {
		q.values = map[PodKey]Reading{}
	}
	q.values[key] = Reading{Value: v}
}

func (q *queryRows) result() (result QueryResult, problem string) {
	for _, pod := range slices.Sorted(maps.Keys(q.pods)) {
		switch n := q.pods[pod]; {
		case n > 1 && pod == "":
			return QueryResult{}, fmt.Sprintf("%d series without a pod; aggregate them into one, such as with sum()", n)
		case n > 1:
			return QueryResult{}, fmt.Sprintf("%d series for pod %q; aggregate them, such as with max by (pod)", n, pod)
		}
	}
	if q.pods[""] > 0 && len(q.pods) > 1 {
		return QueryResult{}, "some series carry the label pod and one does not"
	}
	return QueryResult{
		PerPod: len(q.pods) > 0 && q.pods[""] == 0, Samples: NewSamples(q.values), Value: q.bare, OK: q.bareOK,
		Dropped: drops(&q.counts), ServerTime: serverTime(q.at),
	}, ""
}
