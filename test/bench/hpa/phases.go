package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gpuscaler/gpuscaler/test/bench/hpa/report"
)

// late is how long a write is waited for before a step counts as missed.
const late = time.Minute

// play lets an arm do everything once; noise and outages only in the last round.
func (s *stage) play(ctx context.Context, a *arm, random *rand.Rand, last bool) (rs report.Records, err error) {
	s.arm = a
	defer func() { err = errors.Join(err, s.end(context.WithoutCancel(ctx), a)) }()
	if err := s.start(ctx, a); err != nil {
		return nil, err
	}
	phases := []func(context.Context, *rand.Rand) (report.Records, error){s.rest}
	if a.user != "" {
		phases = append(phases, s.steps)
	}
	if a.user != "" && last {
		phases = append(phases, s.noise)
	}
	if a.user != "" && last && !a.direct {
		for i, kind := range s.opts.outages {
			phases = append(phases, func(ctx context.Context, _ *rand.Rand) (report.Records, error) { return s.outage(ctx, kind, i%2) })
		}
	}
	for _, phase := range phases {
		if err := s.check(ctx, a); err != nil {
			return rs, err
		}
		more, err := phase(ctx, random)
		if err != nil {
			return rs, err
		}
		rs = append(rs, more...)
	}
	return rs, nil
}

// rest lets nothing happen.
func (s *stage) rest(ctx context.Context, _ *rand.Rand) (report.Records, error) {
	if err := pause(ctx, s.opts.quiet); err != nil {
		return nil, err
	}
	sp, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, s.opts.rest); err != nil {
		return nil, err
	}
	if moves := s.watch.since(sp.began); len(moves) > 0 {
		return nil, fmt.Errorf("replicas changed at rest: %v", moves)
	}
	return s.finish(ctx, sp, s.arm, report.Rest)
}

// steps lets each load grow once, at a moment of its own, so that one more replica is needed.
func (s *stage) steps(ctx context.Context, random *rand.Rand) (report.Records, error) {
	sp, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	began := map[string]time.Time{}
	var stepping sync.WaitGroup
	for _, l := range s.loads {
		at := time.Duration(random.Float64() * float64(s.opts.window))
		stepping.Go(func() {
			if pause(ctx, at) != nil {
				return
			}
			mu.Lock()
			began[l.app] = time.Now()
			mu.Unlock()
			l.set((base + 1) * target)
		})
	}
	stepping.Wait()
	if err := pause(ctx, s.opts.tail); err != nil {
		return nil, err
	}
	rs, err := s.finish(ctx, sp, s.arm, report.Steps)
	if err != nil {
		return nil, err
	}
	first, err := waitFor(ctx, len(began), func() (map[string]time.Time, error) { return s.written(sp.audit, began) })
	if err != nil {
		return nil, err
	}
	return append(rs, s.took(first, began, report.Steps, report.Reaction)...), nil
}

// waitFor waits until there is a time for each of n Deployments, but not for ever.
func waitFor(ctx context.Context, n int, look func() (map[string]time.Time, error)) (first map[string]time.Time, err error) {
	for deadline := time.Now().Add(late); ; {
		if first, err = look(); err != nil || len(first) == n || time.Now().After(deadline) {
			return first, err
		}
		if err := pause(ctx, 250*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// took records how long each Deployment took.
func (s *stage) took(first, began map[string]time.Time, phase, measure string) (rs report.Records) {
	for app, at := range began {
		r := report.Record{Arm: s.arm.name, Phase: phase, Measure: report.Missed, Subject: app, Value: 1}
		if written, ok := first[app]; ok {
			r.Measure, r.Value = measure, written.Sub(at).Seconds()
		}
		rs = append(rs, r)
	}
	return rs
}

// noise lets each load change each second around what the replicas carry at target.
func (s *stage) noise(ctx context.Context, random *rand.Rand) (report.Records, error) {
	if s.opts.noise == 0 {
		return nil, nil
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	sp, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	// A tenth of them at a time: they do not change together.
	for part := 0; time.Since(sp.began) < s.opts.noise; part++ {
		for i := part % 10; i < len(s.loads); i += 10 {
			s.loads[i].set((base + 1) * target * (1 + amplitude*(2*random.Float64()-1)))
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	moves := s.watch.since(sp.began)
	rs, err := s.finish(ctx, sp, s.arm, report.Noise)
	if err != nil {
		return nil, err
	}
	for app, m := range moves {
		rs = append(rs,
			report.Record{Arm: s.arm.name, Phase: report.Noise, Measure: report.Moves, Subject: app, Value: float64(len(m))},
			report.Record{Arm: s.arm.name, Phase: report.Noise, Measure: report.Reversed, Subject: app, Value: float64(report.Reversals(m))})
	}
	return rs, nil
}

// amplitude is how far noise takes a load from its mean, as a share of it. It is twice the tolerance.
const amplitude = 0.2

// settle makes each load what its replicas carry at target, whatever they are, and waits until nothing moves for a moment.
func (s *stage) settle(ctx context.Context) error {
	return until(ctx, 2*time.Minute, "the replicas to stay", func() error {
		if err := s.waitReady(ctx); err != nil {
			return err
		}
		now := time.Now()
		for _, l := range s.loads {
			l.set(float64(len(l.pods()) * target))
		}
		// A sync that had read the load of before may write a moment later.
		if err := pause(ctx, 2*time.Second); err != nil {
			return err
		}
		if moves := s.watch.since(now); len(moves) > 0 {
			return fmt.Errorf("%d still moved", len(moves))
		}
		return nil
	})
}

// outage takes the metrics away. At the same moment every other load, the even or the odd ones, grows so that one more replica is
// needed; the rest stay level.
func (s *stage) outage(ctx context.Context, kind string, odd int) (report.Records, error) {
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	phase := report.Outage + kind
	sp, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	needed, raised, grew := map[string]int{}, map[string]int{}, map[string]time.Time{}
	if err := s.fail(s.arm, kind); err != nil {
		return nil, err
	}
	for i, l := range s.loads {
		needed[l.app] = len(l.pods())
		if i%2 == odd {
			needed[l.app]++
			raised[l.app] = needed[l.app]
			grew[l.app] = time.Now()
			l.set(float64(needed[l.app] * target))
		}
	}
	if err := pause(ctx, s.opts.outage); err != nil {
		return nil, err
	}
	if err := s.fail(s.arm, ""); err != nil {
		return nil, err
	}
	healed := time.Now()
	first, err := waitFor(ctx, len(raised), func() (map[string]time.Time, error) { return s.watch.reached(sp.began, raised), nil })
	if err != nil {
		return nil, err
	}
	// What the outage has done may come a sync later than what the loads have.
	if err := pause(ctx, 2*time.Second); err != nil {
		return nil, err
	}
	// Of the writes nothing is kept but that nobody else wrote.
	if _, err := s.written(sp.audit, nil); err != nil {
		return nil, err
	}
	return append(s.reacted(first, grew, healed, phase), s.wrong(sp.began, healed, needed, phase)...), nil
}

// reacted records when the Deployments whose load grew had the replicas for it: after the growth, or if that was later after the outage.
func (s *stage) reacted(first, grew map[string]time.Time, healed time.Time, phase string) (rs report.Records) {
	for app, at := range grew {
		measure := report.Reaction
		if written, ok := first[app]; !ok || written.After(healed) {
			measure, at = report.CatchUp, healed
		}
		rs = append(rs, s.took(first, map[string]time.Time{app: at}, phase, measure)...)
	}
	return rs
}

// wrong records the wrong moves of each Deployment since an outage began, and tells of each when and which it was.
func (s *stage) wrong(began, healed time.Time, needed map[string]int, phase string) (rs report.Records) {
	count := map[string]float64{}
	for _, m := range s.watch.all(began) {
		if m.Wrong(needed[m.app]) {
			count[m.app]++
			fmt.Printf("    %s, %s: %s went from %d to %d, where %d are needed, %.1f s after the metrics were back\n",
				s.arm.name, phase, m.app, m.From, m.To, needed[m.app], m.seen.Sub(healed).Seconds())
		}
	}
	for app := range needed {
		rs = append(rs, report.Record{Arm: s.arm.name, Phase: phase, Measure: report.WrongMoves, Subject: app, Value: count[app]})
	}
	return rs
}
