package metrics

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// ReadQueryRange runs a named query for one Deployment as of start, start+step, … up to end: one result for each time at which
// it had any, oldest first, with ServerTime set to that time.
func (p *Prometheus) ReadQueryRange(
	ctx context.Context, query Query, namespace, deployment string, start, end time.Time, step time.Duration,
) ([]QueryResult, error) {
	expr, err := Inject(query.Query, namespace, deployment)
	if err != nil {
		return nil, fmt.Errorf("reading query %q: %w: %w", query.Name, ErrRefused, err)
	}
	if step < time.Second || end.Before(start) || end.Sub(start)/step >= maxSteps {
		return nil, fmt.Errorf("reading query %q: %v to %v by %v: the step must be at least 1s, the end not before the start, and the "+
			"steps fewer than %d", query.Name, start, end, step, maxSteps)
	}
	byTime := map[float64]*queryRows{}
	add := func(labels *labelSet, t, v float64) {
		rows := byTime[t]
		if rows == nil {
			rows = &queryRows{namespace: namespace, pods: map[string]int{}}
			byTime[t] = rows
		}
		rows.add(labels, t, v)
	}
	params := url.Values{
		"query": {expr}, "start": {unixSeconds(start)}, "end": {unixSeconds(end)},
		"step":           {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
		"lookback_delta": {strconv.FormatFloat(p.opts.MaxSampleAge.Seconds(), 'f', -1, 64)},
	}
	err = p.client.query(ctx, question{endpoint: "/api/v1/query_range", want: "matrix", params: params, emit: add})
	if err != nil {
		return nil, fmt.Errorf("reading the history of query %q: %w", query.Name, err)
	}
	results := make([]QueryResult, 0, len(byTime))
	for _, t := range slices.Sorted(maps.Keys(byTime)) {
		result, problem := byTime[t].result()
		if problem != "" {
			return nil, fmt.Errorf("reading the history of query %q: %w", query.Name, p.client.fail(ErrRefused, 0, problem,
				"its result must carry the label pod, one series each, or be exactly one series", nil))
		}
		results = append(results, result)
	}
	return results, nil
}
