package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gpuscaler/gpuscaler/policy"
)

// reply is what came back for one signal.
type reply struct {
	Readings
	err error
}

// query is one that is under way for all targets at once.
type query struct {
	// finished is closed when the reply is there, or its time is over.
	finished chan struct{}
	reply    *reply
}

// got returns the reply. Call it after finished.
func (q *query) got() *reply { return q.reply }

// ask starts a query and gives it time until the context ends, whether or not the reader honours that.
func (c *Controller) ask(ctx context.Context, read func(context.Context) (Readings, error)) *query {
	q := &query{finished: make(chan struct{})}
	started := time.Now()
	go func() {
		defer close(q.finished)
		q.reply = await(ctx, c, func() *reply {
			readings, err := read(ctx)
			return &reply{readings, err}
		}, func(err error) *reply { return &reply{err: err} })
		took := time.Since(started)
		c.metrics.queryDuration.Observe(took.Seconds())
		if errors.Is(q.reply.err, context.DeadlineExceeded) {
			q.reply = &reply{err: fmt.Errorf("no reply within %v: %w", took.Round(time.Millisecond), q.reply.err)}
		}
	}()
	return q
}

// await calls a function of a reader's and returns its result. Where it panics, or has not returned when the context ends, the result is what
// lost makes of that; a function that goes on regardless goes on alone.
func await[T any](ctx context.Context, c *Controller, f func() T, lost func(error) T) T {
	results := make(chan T, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				c.metrics.panics.Inc()
				results <- lost(fmt.Errorf("panic while reading: %v", r))
			}
		}()
		results <- f()
	}()
	select {
	case result := <-results:
		return result
	case <-ctx.Done():
		return lost(context.Cause(ctx))
	}
}

// readAll starts one query per built-in signal for all targets at once.
func (p *pass) readAll(ctx context.Context) {
	for signal, namespaces := range namespacesBySignal(p.targets, builtIn) {
		if p.c.options.Signals == nil {
			p.readings[signal] = unasked
			continue
		}
		p.readings[signal] = p.c.ask(ctx, func(ctx context.Context) (Readings, error) {
			return p.c.options.Signals.Read(ctx, signal, namespaces)
		})
	}
}

// errNoPrometheus says that there is nobody to ask but the pods and agents themselves.
var errNoPrometheus = errors.New("no Prometheus is configured: give --prometheus-url, or read the engine's signals from the pods with the annotation " +
	policy.Prefix + "scrape and those of GPUs from the NVML agent")

// unasked stands in for every query where there is no Prometheus.
var unasked = func() *query {
	q := &query{finished: make(chan struct{}), reply: &reply{err: errNoPrometheus}}
	close(q.finished)
	return q
}()

// builtIn are the built-in signals of a target.
func builtIn(t *target) []policy.Signal { return t.signals }

// namespacesBySignal returns for each signal the namespaces whose targets need it, sorted.
func namespacesBySignal(targets []*target, needs func(*target) []policy.Signal) map[policy.Signal][]string {
	lists := map[policy.Signal][]string{}
	for _, t := range targets { // sorted by namespace
		for _, s := range needs(t) {
			list := lists[s]
			if len(list) == 0 || list[len(list)-1] != t.seen.namespace {
				lists[s] = append(list, t.seen.namespace)
			}
		}
	}
	return lists
}

// errNoQueries says that there is nobody to ask for a custom signal.
var errNoQueries = errors.New("no queries are configured: start with --queries FILE")

// readCustom runs the queries of one target's custom signals. The slots bound how many are under way at once.
func (p *pass) readCustom(ctx context.Context, t *target) {
	queries := make([]*query, len(t.custom))
	for i, signal := range t.custom {
		queries[i] = p.c.ask(ctx, func(ctx context.Context) (Readings, error) {
			if p.c.options.Queries == nil {
				return Readings{}, errNoQueries
			}
			release, err := p.slots.take(ctx, t.seen.namespace)
			if err != nil {
				return Readings{}, fmt.Errorf("waiting for other queries: %w", err)
			}
			defer release()
			return p.c.options.Queries.ReadQuery(ctx, t.spec.Queries[signal], t.seen.namespace, t.seen.name)
		})
	}
	t.replies = make([]*reply, len(queries))
	for i, q := range queries {
		<-q.finished
		t.replies[i] = q.got()
	}
}

// reportReplies counts dropped samples and logs a signal that starts or ceases to fail, once each. What nobody asks for any
// more is forgotten: names of custom signals are anyone's.
func (p *pass) reportReplies() {
	failing, dropping := map[string]bool{}, map[policy.Signal]bool{}
	for signal, q := range p.readings {
		if q != unasked {
			p.reportReply(signal, string(signal), q.got(), failing)
		}
	}
	for _, t := range p.targets {
		p.reportDirect(t)
		for i, r := range t.replies {
			signal := t.custom[i]
			p.reportReply(signal, fmt.Sprintf("%s of %s", signal, t.seen.key()), r, failing)
			dropping[signal] = dropping[signal] || p.c.dropping[signal] || len(r.Dropped) > 0
		}
		t.replies = nil
	}
	for signal := range p.c.dropping {
		if !dropping[signal] && p.readings[signal] == nil {
			p.c.metrics.dropped.DeletePartialMatch(prometheus.Labels{"signal": string(signal)})
		}
	}
	maps.DeleteFunc(dropping, func(_ policy.Signal, dropped bool) bool { return !dropped })
	p.c.failing, p.c.dropping = failing, dropping
}

// reportReply does so for one reply; what names it in the log, and goes into failing if it fails.
func (p *pass) reportReply(signal policy.Signal, what string, r *reply, failing map[string]bool) {
	for _, d := range r.Dropped {
		p.c.metrics.dropped.WithLabelValues(string(signal), d.Why).Add(float64(d.Count))
	}
	failed, before := r.err != nil || r.Partial != "", p.c.failing[what]
	if failed {
		failing[what] = true
	}
	switch {
	case failed && !before:
		p.c.log.Info("Reading a signal fails: nothing is lowered because of it", "signal", what, "problem", r.problem())
	case !failed && before:
		p.c.log.Info("Reading a signal works again", "signal", what)
	}
}

// problem says in words what is wrong with a reply.
func (r *reply) problem() string {
	if r.err != nil {
		return r.err.Error()
	}
	return r.Partial
}

// maxCustomQueries bounds the queries of custom signals under way at once, and maxCustomOfNamespace those of one namespace.
const (
	maxCustomQueries     = 16
	maxCustomOfNamespace = 12
)
