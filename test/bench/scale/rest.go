package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// tick is what one interval cost in which nothing changed.
type tick struct {
	// cpu is the CPU time of the program from the middle of one interval to that of the next, without telling its metrics; wall is how
	// long its tick took by its own account, 0 if there were none or several; tell is the CPU time of telling its metrics once.
	cpu, wall, tell time.Duration
	// memory is the resident memory after the tick, in bytes.
	memory int64
}

// rest is what was measured while nothing changed.
type rest struct {
	ticks []tick
	// first is the time from the start of the process to its first decision.
	first time.Duration
	// startPeak is the most memory until a few ticks after the start, peak the most after that, in bytes.
	startPeak, peak int64
	// lasted is how long it was measured, in which there were queries to Prometheus and requests to the API server.
	lasted   time.Duration
	queries  int
	missed   int
	requests []requestCount
	// prometheus is the CPU time of Prometheus.
	prometheus time.Duration
}

// requestCount is how often something was asked of the API server.
type requestCount struct {
	verb, resource string
	n              int
}

// measureRest runs the program while nothing changes.
func (o *options) measureRest(ctx context.Context, s *stage) (r *rest, err error) {
	p, err := startPrometheus(ctx, o.scrape, s.exporters.targets())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := p.waitSeries(ctx, s.cluster.deployments*podsEach); err != nil {
		return nil, err
	}
	program, err := s.startProgram(ctx, p.url, o.interval)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, program.stop()) }()
	r = &rest{}
	if r.first, err = program.firstDecision(ctx, s.cluster.deployments-1); err != nil {
		return nil, err
	}
	o.log("the first decision was made %v after the start", r.first.Round(time.Millisecond))
	return r, o.watchTicks(ctx, s, p, program, r)
}

// watchTicks measures one tick after the other.
func (o *options) watchTicks(ctx context.Context, s *stage, p *prometheus, program *program, r *rest) error {
	for range warmTicks {
		if err := o.untilMiddle(ctx, p); err != nil {
			return err
		}
	}
	var err error
	if _, r.startPeak, err = program.memory(); err != nil {
		return err
	}
	if err := program.forgetPeak(); err != nil {
		return err
	}
	began, queries, atStart := time.Now(), p.requests(), time.Duration(0)
	if atStart, err = p.cpu(); err != nil {
		return err
	}
	before, missed, err := o.look(ctx, program)
	if err != nil {
		return err
	}
	for range o.ticks {
		if err := o.untilMiddle(ctx, p); err != nil {
			return err
		}
		t, now, err := o.tickSince(ctx, program, before)
		if err != nil {
			return err
		}
		r.ticks, before = append(r.ticks, t), now
	}
	r.lasted, r.queries, r.missed = time.Since(began), p.requests()-queries, before.missed-missed
	if _, r.peak, err = program.memory(); err != nil {
		return err
	}
	atEnd, err := p.cpu()
	if err != nil {
		return err
	}
	r.prometheus = atEnd - atStart
	r.requests, err = s.requestsSince(began)
	return err
}

// warmTicks are left out: the first ones make what the others use again.
const warmTicks = 4

// untilMiddle waits for the next tick, which begins with a query, and then for half an interval.
func (o *options) untilMiddle(ctx context.Context, p *prometheus) error {
	late := time.NewTimer(10*o.interval + maxStart)
	defer late.Stop()
	select {
	case <-p.asked:
	case <-ctx.Done():
		return ctx.Err()
	case <-late.C:
		return errors.New("the program asks Prometheus nothing")
	}
	select {
	case <-time.After(o.interval / 2):
	case <-ctx.Done():
		return ctx.Err()
	}
	select { // what belongs to the same tick
	case <-p.asked:
	default:
	}
	return nil
}

// seen is what is known of the program at one time.
type seen struct {
	ticks
	cpu time.Duration
}

// look reads it, the CPU time last, so that what this costs is not counted.
func (o *options) look(ctx context.Context, program *program) (s seen, missed int, err error) {
	if s.ticks, err = program.ticks(ctx); err != nil {
		return s, 0, err
	}
	s.cpu, err = program.process.cpu()
	return s, s.missed, err
}

// tickSince measures what there was since the last look.
func (o *options) tickSince(ctx context.Context, program *program, before seen) (t tick, now seen, err error) {
	cpu, err := program.process.cpu()
	if err != nil {
		return t, now, err
	}
	if t.memory, _, err = program.memory(); err != nil {
		return t, now, err
	}
	if now, _, err = o.look(ctx, program); err != nil {
		return t, now, err
	}
	t.cpu, t.tell = cpu-before.cpu, now.cpu-cpu
	if now.count == before.count+1 {
		t.wall = now.sum - before.sum
	}
	return t, now, nil
}

// requestsSince counts what the program has asked of the API server.
func (s *stage) requestsSince(began time.Time) ([]requestCount, error) {
	events, err := s.bed.AuditRequests(controllerUser)
	if err != nil {
		return nil, err
	}
	counts := map[requestCount]int{}
	for _, e := range events {
		if e.Time.After(began) {
			resource := e.Resource
			if e.Subresource != "" {
				resource += "/" + e.Subresource
			}
			counts[requestCount{verb: e.Verb, resource: resource}]++
		}
	}
	var list []requestCount
	for r, n := range counts {
		r.n = n
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b requestCount) int {
		return cmp.Or(cmp.Compare(a.resource, b.resource), cmp.Compare(a.verb, b.verb))
	})
	return list, nil
}

// perMinute is how often something happened in a minute.
func (r *rest) perMinute(n int) float64 { return float64(n) / r.lasted.Minutes() }

// beside are the requests that are not for the lease.
func (r *rest) beside() (n int) {
	for _, q := range r.requests {
		if q.resource != "leases" {
			n += q.n
		}
	}
	return n
}

func (q requestCount) String() string { return fmt.Sprintf("%s %s", q.verb, q.resource) }
