package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// pastReader has one value per age.
type pastReader func(age time.Duration) (value float64, ok bool)

func (p pastReader) ReadRange(_ context.Context, _ policy.Signal, _ []string, start, end time.Time, step time.Duration) ([]PastReadings, error) {
	var list []PastReadings
	for at := start; !at.After(end); at = at.Add(step) {
		value, ok := p(noon.Sub(at))
		if !ok {
			continue
		}
		list = append(list, PastReadings{Time: at, Readings: Readings{Pod: func(string, string) (policy.Sample, string) {
			return policy.Sample{Value: value, OK: true}, ""
		}}})
	}
	return list, nil
}

func TestRefillFillsTheWindows(t *testing.T) {
	always := func(v float64) pastReader { return func(time.Duration) (float64, bool) { return v, true } }
	for name, tt := range map[string]struct {
		past    RangeReader
		desired int
		reason  policy.Reason
	}{
		"low all along: lowered at once": {always(5), 1, policy.ReadyForNewScale},
		"busy two minutes ago: held at that": {pastReader(func(age time.Duration) (float64, bool) {
			return map[bool]float64{true: 35, false: 5}[age >= 2*time.Minute], true
		}), 7, policy.ScaleDownStabilized},
		"busy before the window: does not hold": {pastReader(func(age time.Duration) (float64, bool) {
			return map[bool]float64{true: 50, false: 5}[age > 5*time.Minute], true
		}), 1, policy.ReadyForNewScale},
		"an outage two minutes ago: held": {pastReader(func(age time.Duration) (float64, bool) { return 5, age < time.Minute || age > 3*time.Minute }), 10, policy.Gap},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			b.reader.set(policy.RunningRequests, 5)
			b.deploy("a", 10, asks(policy.RunningRequests))
			if err := b.Refill(t.Context(), tt.past, noon); err != nil {
				t.Fatal(err)
			}
			d := b.tick(0).Find("ns", "a").Decision
			if d.Desired != tt.desired || d.Reason != tt.reason {
				t.Errorf("desired %d for %s, want %d for %s", d.Desired, d.Reason, tt.desired, tt.reason)
			}
		})
	}
}

func TestRefillReadsABoundedNumberOfSteps(t *testing.T) {
	b := newBed(t)
	b.deploy("a", 10, asks(policy.RunningRequests, "scale-down.stabilization", "1h"))
	reads := 0
	if err := b.Refill(t.Context(), pastReader(func(time.Duration) (float64, bool) { reads++; return 5, true }), noon); err != nil {
		t.Fatal(err)
	}
	if reads != 360 {
		t.Errorf("%d steps for an hour, want 360", reads)
	}
}

// queryFunc is a QueryReader.
type queryFunc func(ctx context.Context, query, namespace, deployment string) (Readings, error)

func (f queryFunc) ReadQuery(ctx context.Context, query, namespace, deployment string) (Readings, error) {
	return f(ctx, query, namespace, deployment)
}

func TestCustomSignals(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	queries := queryFunc(func(_ context.Context, query, namespace, deployment string) (Readings, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, fmt.Sprintf("%s %s/%s", query, namespace, deployment))
		switch deployment {
		case "broken":
			return Readings{}, errors.New("bad query")
		case "partial":
			return Readings{Workload: &policy.Sample{Value: 1, OK: true}, Partial: "a store is down"}, nil
		}
		return Readings{Workload: &policy.Sample{Value: 200, OK: true}, Source: "gateway"}, nil
	})
	b := newBed(t, func(o *Options) { o.Queries = queries })
	annotations := asks("jobs-waiting", "query.jobs-waiting", "waiting-jobs")
	for _, name := range []string{"broken", "fine", "partial"} {
		b.deploy(name, 1, annotations)
	}
	s := b.tick(0)
	if len(asked) != 3 || !strings.HasPrefix(asked[0], "waiting-jobs ns/") {
		t.Errorf("asked %q, want the named query once for each", asked)
	}
	for name, want := range map[string]policy.Reason{"broken": policy.NoData, "partial": policy.PartialData, "fine": policy.ReadyForNewScale} {
		d := s.Find("ns", name).Decision
		if d.Recommended.Reason != want {
			t.Errorf("%s: %s, want %s", name, d.Recommended.Reason, want)
		}
	}
	if d := s.Find("ns", "fine").Decision; d.Recommended.Replicas != 4 || d.Signals[0].Source != "gateway" {
		t.Errorf("recommended %d from %q, want 4 from the gateway", d.Recommended.Replicas, d.Signals[0].Source)
	}
}

func TestManyCustomQueriesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		flying, most := 0, 0
		b := newBed(t, func(o *Options) {
			o.Queries = queryFunc(func(context.Context, string, string, string) (Readings, error) {
				mu.Lock()
				flying++
				most = max(most, flying)
				mu.Unlock()
				time.Sleep(100 * time.Millisecond)
				mu.Lock()
				flying--
				mu.Unlock()
				return Readings{Workload: &policy.Sample{Value: 50, OK: true}}, nil
			})
		})
		for i := range 100 {
			b.deploy(fmt.Sprintf("d-%d", i), 1, asks("jobs", "query.jobs", "jobs"))
		}
		s := b.Tick(t.Context(), noon)
		if most != maxCustomOfNamespace {
			t.Errorf("%d queries at once, want %d", most, maxCustomOfNamespace)
		}
		if w := s.Find("ns", "d-99"); w.Decision.Reason != policy.WithinTolerance {
			t.Errorf("d-99: %s, want its query answered in time", w.Decision.Reason)
		}
	})
}

// The past begins with the startups that the pods tell of, and has each pod as it was then.
func TestRefillSeesPodsAsTheyWere(t *testing.T) {
	b := newBed(t)
	b.deploy("a", 1, asks(policy.RunningRequests))
	b.pod("a-0", func(p *pod) {
		p.served, p.scheduled, p.since = true, noon.Add(-2*time.Minute).Unix(), noon.Add(-time.Minute).Unix()
	})
	targets := b.refresh()
	var o observer
	o.gather(targets[0], b.members)
	for _, tt := range []struct {
		age   time.Duration
		phase policy.Phase
	}{{3 * time.Minute, policy.Loading}, {90 * time.Second, policy.Loading}, {30 * time.Second, policy.Ready}} {
		seen := o.observePast(targets[0], nil, noon.Add(-tt.age), time.Second)
		if p := seen.Pods[0]; p.Phase != tt.phase || p.Served != (tt.phase == policy.Ready) || p.Scheduled.IsZero() != (tt.age > 2*time.Minute) {
			t.Errorf("%v ago: %+v, want it %s", tt.age, p, tt.phase)
		}
		if len(seen.Started) != 1 || seen.Started[0] != time.Minute {
			t.Errorf("started %v, want a minute", seen.Started)
		}
	}
}
