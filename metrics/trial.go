package metrics

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// trial is what is known of how someone answers. Who fails is tried again after 1, 2, 4 … 30 seconds.
type trial struct {
	answered bool     // the last time
	failed   *failure // of the last time, nil if it answered or was not asked yet
	wait     time.Duration
	next     time.Time
}

const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

// due reports whether it is time to ask. It is too if the clock was set back since.
func (t *trial) due(now time.Time) bool {
	return t.failed == nil || !now.Before(t.next) || t.next.Sub(now) > maxWait
}

// end takes the outcome of asking.
func (t *trial) end(now time.Time, fail *failure) {
	if fail == nil {
		*t = trial{answered: true}
		return
	}
	t.answered = false
	t.wait = min(max(2*t.wait, firstWait), maxWait)
	t.failed, t.next = fail, now.Add(t.wait)
}

// slots bound what is asked at once, apart for those who answered the last time, for those who were never asked, and for those who
// failed: who hangs, like whole namespaces behind a network policy, takes no place from those who do not.
type slots struct{ proven, unknown, failed chan struct{} }

func newSlots() slots {
	return slots{make(chan struct{}, maxProven), make(chan struct{}, maxUnknown), make(chan struct{}, maxProbation)}
}

// take waits for a slot, as long as patience allows: all of them are soon free again. Who failed the last time does not wait. It
// returns what frees the slot, or nil.
func (s slots) take(ctx context.Context, t *trial, patience time.Duration) (free func()) {
	pool := s.unknown
	switch {
	case t.failed != nil:
		pool, patience = s.failed, 0
	case t.answered:
		pool = s.proven
	}
	free = func() { <-pool }
	select {
	case pool <- struct{}{}:
		return free
	default:
	}
	if patience == 0 {
		return nil
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case pool <- struct{}{}:
		return free
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// ask scrapes a page if a slot is free for it. It waits for one up to half the time that there is, so that the other half is left
// for the scrape.
func (d *Direct) ask(ctx context.Context, tick directTick, t *trial, request *http.Request, p *page) (asked bool, fail *failure) {
	free := d.slots.take(ctx, t, d.opts.Timeout/2)
	if free == nil {
		return false, nil
	}
	defer free()
	fail = d.scraper.scrape(ctx, request, p, tick.clock)
	if fail != nil && errors.Is(tick.parent.Err(), context.Canceled) {
		return false, nil // nobody wants to know any more, which is not the pod's fault
	}
	t.end(tick.now, fail)
	return true, fail
}
