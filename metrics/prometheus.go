package metrics

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// Defaults of Options.
const (
	DefaultMaxSampleAge = 90 * time.Second
	// DefaultRateWindow holds four scrapes at the usual interval of 30 s. Half of it is delay.
	DefaultRateWindow = 2 * time.Minute

	maxQueryPOST = 256 << 10
	// maxQueryGET keeps the URL, which percent-encoding makes half as long again, far below the megabyte that the
	// API server and Prometheus take.
	maxQueryGET = 64 << 10
	// maxParallel bounds the queries of one read; a server runs 20 at a time for everybody.
	maxParallel = 4
)

// Options say how signals are read from a Prometheus.
type Options struct {
	ClientOptions
	// MaxSampleAge is the age beyond which a sample is missing; zero means DefaultMaxSampleAge.
	MaxSampleAge time.Duration
	// RateWindow is the range of rates and percentiles; zero means DefaultRateWindow. At least two scrapes must
	// fall into it, four should.
	RateWindow time.Duration
}

// Prometheus reads signals from a Prometheus server. It is safe for concurrent use.
type Prometheus struct {
	client *client
	opts   Options

	mu   sync.Mutex
	idle map[string]*gatherer // by purpose
	left map[policy.Signal]leftOut
}

// Result is what one signal says about the pods of some namespaces.
type Result struct {
	// Samples holds one reading per pod. A pod that is not in it is missing, never 0.
	Samples Samples
	// Dropped counts the samples that were thrown away, by reason.
	Dropped []Drop
	// ServerTime is when the server evaluated the query, by its own clock; zero if it returned nothing.
	ServerTime time.Time
}

// Ages is when the samples of some pods were taken.
type Ages struct {
	// Samples holds the time of each pod's oldest part, by the server's clock.
	Samples map[PodKey]time.Time
	// ServerTime is the server's time at evaluation; an age is ServerTime minus the sample's time.
	ServerTime time.Time
}

// NewPrometheus returns a reader. It sends nothing yet.
func NewPrometheus(opts Options) (*Prometheus, error) {
	if opts.MaxSampleAge < 0 || opts.RateWindow < 0 {
		return nil, fmt.Errorf("configuring Prometheus: maximum sample age %v and rate window %v must not be negative",
			opts.MaxSampleAge, opts.RateWindow)
	}
	if opts.MaxSampleAge == 0 {
		opts.MaxSampleAge = DefaultMaxSampleAge
	}
	if opts.RateWindow == 0 {
		opts.RateWindow = DefaultRateWindow
	}
	c, err := newClient(opts.ClientOptions)
	if err != nil {
		return nil, err
	}
	return &Prometheus{client: c, opts: opts, idle: map[string]*gatherer{}, left: map[policy.Signal]leftOut{}}, nil
}

// Server is the base URL for messages, without credentials.
func (p *Prometheus) Server() string { return p.client.server }

func (p *Prometheus) selection(namespaces []string) selection {
	return selection{namespaces: namespaces, maxAge: p.opts.MaxSampleAge, rateWindow: p.opts.RateWindow}
}

// Queries returns the expressions that Read sends for a signal: one, unless the list of namespaces is very long. They
// can be pasted into Prometheus' own page.
func (p *Prometheus) Queries(signal policy.Signal, namespaces []string) ([]string, error) {
	spec, err := specOf(signal)
	if err != nil {
		return nil, err
	}
	return p.expressions(spec, namespaces, selection.expression), nil
}

func (p *Prometheus) expressions(spec signalSpec, namespaces []string, of func(selection, signalSpec) string) []string {
	limit := maxQueryPOST
	if p.opts.GET {
		limit = maxQueryGET
	}
	length := func(some []string) int { return len(of(p.selection(some), spec)) }
	lists := split(namespaces, limit, length)
	queries := make([]string, len(lists))
	for i, list := range lists {
		queries[i] = of(p.selection(list), spec)
	}
	return queries
}

// Read reads one signal for all pods of the namespaces. No namespaces, no query: an empty list never means all of
// them. Any failure voids the whole result; the caller holds. But where a reply is too large and most of it belongs to one namespace, that
// one is left out for some minutes, and is told among what was dropped: one tenant's flood of series is not the others' outage.
func (p *Prometheus) Read(ctx context.Context, signal policy.Signal, namespaces []string) (Result, error) {
	spec, err := specOf(signal)
	if err != nil {
		return Result{}, err
	}
	asked := p.without(signal, namespaces)
	gathered, err := p.read(ctx, signal, spec, asked)
	for range maxFloods {
		if err == nil || len(asked) < 2 || !p.leave(signal, gathered, err) || ctx.Err() != nil {
			break
		}
		asked = p.without(signal, namespaces)
		gathered, err = p.read(ctx, signal, spec, asked)
	}
	if err != nil {
		return Result{}, fmt.Errorf("reading signal %s: %w", signal, err)
	}
	result := p.joined(string(signal), gathered)
	if n := p.missed(signal, namespaces); n > 0 {
		result.Dropped = append(result.Dropped, Drop{TooMany, n})
	}
	return result, nil
}

// maxFloods bounds how many namespaces are found to flood in one read. Further ones are found in the next.
const maxFloods = 3

// read asks once.
func (p *Prometheus) read(ctx context.Context, signal policy.Signal, spec signalSpec, namespaces []string) ([]*gatherer, error) {
	return p.gather(ctx, spec, string(signal), p.expressions(spec, namespaces, selection.expression))
}

// gather runs the queries, a few at a time.
func (p *Prometheus) gather(ctx context.Context, spec signalSpec, purpose string, queries []string) ([]*gatherer, error) {
	gathered := make([]*gatherer, len(queries))
	for i := range queries {
		gathered[i] = p.borrow(partOf(purpose, i), spec)
	}
	err := parallel(ctx, len(queries), func(ctx context.Context, i int) error {
		return p.client.query(ctx, question{
			endpoint: "/api/v1/query", want: "vector", purpose: partOf(purpose, i),
			params: url.Values{"query": {queries[i]}}, emit: gathered[i].add,
		})
	})
	return gathered, err
}

// partOf names one of the queries of a purpose.
func partOf(purpose string, i int) string { return purpose + "/" + strconv.Itoa(i) }

// joined joins the replies of what gather has read, and keeps the gatherers for the next ones.
func (p *Prometheus) joined(purpose string, gathered []*gatherer) Result {
	result := merged(gathered)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range gathered {
		p.idle[partOf(purpose, i)] = gathered[i]
	}
	return result
}

// borrow returns a gatherer that no one else uses, if it can be that of the last reply to the same query.
func (p *Prometheus) borrow(purpose string, spec signalSpec) *gatherer {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.idle[purpose]
	if g == nil {
		return newGatherer(spec)
	}
	delete(p.idle, purpose)
	g.again(spec)
	return g
}

// parallel calls f for 0..n-1, maxParallel at a time, and stops at the first error.
func parallel(ctx context.Context, n int, f func(context.Context, int) error) error {
	if n == 1 {
		return f(ctx, 0)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	slots := make(chan struct{}, maxParallel)
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if ctx.Err() != nil {
				return
			}
			if err := f(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// merged joins the replies of one signal's queries. Their namespaces are disjoint, so that their pods are.
func merged(gathered []*gatherer) Result {
	var counts [len(whys)]int
	var result Result
	at := 0.0
	for i, g := range gathered {
		g.dropped(&counts)
		at = max(at, g.at)
		if samples := g.samples(); i == 0 {
			result.Samples = samples
		} else {
			result.Samples = result.Samples.join(samples)
		}
	}
	result.ServerTime, result.Dropped = serverTime(at), drops(&counts)
	return result
}

// Ages reads when the samples of a signal were taken, old ones included: up to the server's lookback of five minutes.
func (p *Prometheus) Ages(ctx context.Context, signal policy.Signal, namespaces []string) (Ages, error) {
	spec, err := specOf(signal)
	if err != nil {
		return Ages{}, err
	}
	queries := p.expressions(spec, p.without(signal, namespaces), selection.ages)
	spec.within, spec.limit, spec.percent = oldest, 1<<40, false
	purpose := "ages of " + string(signal)
	gathered, err := p.gather(ctx, spec, purpose, queries)
	if err != nil {
		return Ages{}, fmt.Errorf("reading the ages of signal %s: %w", signal, err)
	}
	result := p.joined(purpose, gathered)
	ages := Ages{Samples: make(map[PodKey]time.Time, result.Samples.Len()), ServerTime: result.ServerTime}
	for key, reading := range result.Samples.All() {
		ages.Samples[key] = serverTime(reading.Value)
	}
	return ages, nil
}

// maxSteps is Prometheus' own limit of points per series.
const maxSteps = 11000

// ReadRange reads one signal as it was at start, start+step, … up to end: one result for each time at which there was
// any sample, oldest first, with ServerTime set to that time.
func (p *Prometheus) ReadRange(
	ctx context.Context, signal policy.Signal, namespaces []string, start, end time.Time, step time.Duration,
) ([]Result, error) {
	spec, err := specOf(signal)
	if err != nil {
		return nil, err
	}
	if step < time.Second || end.Before(start) || end.Sub(start)/step >= maxSteps {
		return nil, fmt.Errorf("reading signal %s: %v to %v by %v: the step must be at least 1s, the end not before the "+
			"start, and the steps fewer than %d", signal, start, end, step, maxSteps)
	}
	params := url.Values{
		"start": {unixSeconds(start)}, "end": {unixSeconds(end)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', -1, 64)},
	}
	byTime := map[float64][]*gatherer{}
	for _, query := range p.expressions(spec, namespaces, selection.expression) {
		params.Set("query", query)
		if err := p.rangeQuery(ctx, spec, params, byTime); err != nil {
			return nil, fmt.Errorf("reading the history of signal %s: %w", signal, err)
		}
	}
	results := make([]Result, 0, len(byTime))
	for _, t := range slices.Sorted(maps.Keys(byTime)) {
		results = append(results, merged(byTime[t]))
	}
	return results, nil
}

// rangeQuery adds one gatherer per time to byTime. History is not real-time data: the same bounds hold, but a range
// may take as long as the caller's context allows in several requests.
func (p *Prometheus) rangeQuery(ctx context.Context, spec signalSpec, params url.Values, byTime map[float64][]*gatherer) error {
	mine := map[float64]*gatherer{}
	add := func(labels *labelSet, t, v float64) {
		g := mine[t]
		if g == nil {
			g = newGatherer(spec)
			mine[t] = g
		}
		g.add(labels, t, v)
	}
	err := p.client.query(ctx, question{endpoint: "/api/v1/query_range", want: "matrix", params: params, emit: add})
	for t, g := range mine {
		byTime[t] = append(byTime[t], g)
	}
	return err
}

func unixSeconds(t time.Time) string {
	return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64)
}
