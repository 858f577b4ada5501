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
	// cpu is the CPU time of the program from the middle of one interval to that of the next.
	cpu time.Duration
	// memory is the resident memory after the tick, in bytes.
	memory int64
	// wall is how long its tick took by its own account, 0 if nobody asked or there were several.
	wall time.Duration
	// tell is the CPU time that it took to be asked, which cpu leaves out.
	tell time.Duration
}

// rest is what was measured while nothing changed.
type rest struct {
	// ticks are those after which nobody asked the program anything, told those after each of which it told its metrics, as it does to
	// a Prometheus at its own pace.
	ticks, told []tick
	// first is the time from the start of the process to its first decision.
	first time.Duration
	// startPeak is the most memory until a few ticks after the start, peak the most after that, toldPeak that while it told its metrics, in
	// bytes.
	startPeak, peak, toldPeak int64
	// lasted is how long it was measured, in which there were queries to Prometheus and requests to the API server.
	lasted   time.Duration
	queries  int
	missed   int // ticks
	blind    int // decisions without data
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
func (o *options) watchTicks(ctx context.Context, s *stage, p *prometheus, program *program, r *rest) (err error) {
	for range warmTicks {
		if err := o.untilMiddle(ctx, p); err != nil {
			return err
		}
	}
	if r.startPeak, err = program.peak(); err != nil {
		return err
	}
	before, err := program.ticks(ctx)
	if err != nil {
		return err
	}
	if err := o.untilMiddle(ctx, p); err != nil { // what that cost is not a tick's
		return err
	}
	atStart, err := p.cpu()
	if err != nil {
		return err
	}
	began, queries := time.Now(), p.requests()
	if r.ticks, err = o.quietTicks(ctx, p, program); err != nil {
		return err
	}
	r.lasted, r.queries = time.Since(began), p.requests()-queries
	atEnd, err := p.cpu()
	if err != nil {
		return err
	}
	r.prometheus = atEnd - atStart
	if r.peak, err = program.peak(); err != nil {
		return err
	}
	if r.requests, err = s.requestsBetween(began, began.Add(r.lasted)); err != nil {
		return err
	}
	var after ticks
	if r.told, after, err = o.toldTicks(ctx, p, program); err != nil {
		return err
	}
	r.missed, r.blind = after.missed-before.missed, after.blind-before.blind
	r.toldPeak, err = program.peak()
	return err
}

// quietTicks measures ticks without asking the program anything.
func (o *options) quietTicks(ctx context.Context, p *prometheus, program *program) (list []tick, err error) {
	before, err := program.cpu()
	if err != nil {
		return nil, err
	}
	for range o.ticks {
		if err := o.untilMiddle(ctx, p); err != nil {
			return nil, err
		}
		now, err := program.cpu()
		if err != nil {
			return nil, err
		}
		t := tick{cpu: now - before}
		if t.memory, err = program.resident(); err != nil {
			return nil, err
		}
		list, before = append(list, t), now
	}
	return list, nil
}

// toldTicks measures ticks after each of which the program tells its metrics.
func (o *options) toldTicks(ctx context.Context, p *prometheus, program *program) (list []tick, last ticks, err error) {
	if last, err = program.ticks(ctx); err != nil {
		return nil, last, err
	}
	for range max(1, o.ticks/2) {
		if err := o.untilMiddle(ctx, p); err != nil {
			return nil, last, err
		}
		var t tick
		if t.memory, err = program.resident(); err != nil {
			return nil, last, err
		}
		before, err := program.cpu()
		if err != nil {
			return nil, last, err
		}
		now, err := program.ticks(ctx)
		if err != nil {
			return nil, last, err
		}
		after, err := program.cpu()
		if err != nil {
			return nil, last, err
		}
		t.tell = after - before
		if now.count == last.count+1 {
			t.wall = now.sum - last.sum
		}
		list, last = append(list, t), now
	}
	return list, last, nil
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

// requestsBetween counts what the program has asked of the API server.
func (s *stage) requestsBetween(began, ended time.Time) ([]requestCount, error) {
	events, err := s.bed.AuditRequests(controllerUser)
	if err != nil {
		return nil, err
	}
	counts := map[requestCount]int{}
	for _, e := range events {
		if e.Time.After(began) && e.Time.Before(ended) {
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
