package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	replies := make(chan *reply, 1)
	started := time.Now()
	go func() {
		r := &reply{}
		defer func() { replies <- r }()
		defer func() {
			if p := recover(); p != nil {
				c.metrics.panics.Inc()
				*r = reply{err: fmt.Errorf("panic while reading: %v", p)}
			}
		}()
		r.Readings, r.err = read(ctx)
	}()
	go func() {
		defer close(q.finished)
		select {
		case q.reply = <-replies:
		case <-ctx.Done():
			q.reply = &reply{err: context.Cause(ctx)}
		}
		took := time.Since(started)
		c.metrics.queryDuration.Observe(took.Seconds())
		if errors.Is(q.reply.err, context.DeadlineExceeded) {
			q.reply = &reply{err: fmt.Errorf("no reply within %v: %w", took.Round(time.Millisecond), q.reply.err)}
		}
	}()
	return q
}

// readAll starts one query per built-in signal for all targets at once.
func (p *pass) readAll(ctx context.Context) {
	for signal, namespaces := range namespacesBySignal(p.targets) {
		p.readings[signal] = p.c.ask(ctx, func(ctx context.Context) (Readings, error) {
			return p.c.options.Signals.Read(ctx, signal, namespaces)
		})
	}
}

// namespacesBySignal returns for each built-in signal the namespaces whose targets need it, sorted.
func namespacesBySignal(targets []*target) map[policy.Signal][]string {
	lists := map[policy.Signal][]string{}
	for _, t := range targets { // sorted by namespace
		for _, s := range t.signals {
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
			select {
			case p.slots <- struct{}{}:
				defer func() { <-p.slots }()
			case <-ctx.Done():
				return Readings{}, fmt.Errorf("waiting for other queries: %w", ctx.Err())
			}
			return p.c.options.Queries.ReadQuery(ctx, t.spec.Queries[signal], t.seen.namespace, t.seen.name)
		})
	}
	t.replies = make([]*reply, len(queries))
	for i, q := range queries {
		<-q.finished
		t.replies[i] = q.got()
	}
}

// reportReplies counts dropped samples and logs a signal that starts or ceases to fail, once each.
func (p *pass) reportReplies() {
	for signal, q := range p.readings {
		p.reportReply(signal, string(signal), q.got())
	}
	for _, t := range p.targets {
		for i, r := range t.replies {
			p.reportReply(t.custom[i], t.query(t.custom[i]), r)
		}
		t.replies = nil
	}
}

// query names the query of a custom signal in the log.
func (t *target) query(signal policy.Signal) string {
	return fmt.Sprintf("%s of %s", signal, t.seen.key())
}

// reportReply does so for one reply; what names it in the log.
func (p *pass) reportReply(signal policy.Signal, what string, r *reply) {
	for _, d := range r.Dropped {
		p.c.metrics.dropped.WithLabelValues(string(signal), d.Why).Add(float64(d.Count))
	}
	switch failed := r.err != nil || r.Partial != ""; {
	case failed && !p.c.failing[what]:
		p.c.failing[what] = true
		p.c.log.Info("Reading a signal fails: nothing is lowered because of it", "signal", what, "problem", r.problem())
	case !failed && p.c.failing[what]:
		delete(p.c.failing, what)
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

// maxCustomQueries bounds the queries of custom signals under way at once.
const maxCustomQueries = 16
