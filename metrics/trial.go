package metrics

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
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

// asking is one pod or agent in a report.
type asking struct {
	name   string // with its address
	failed *failure
}

// problem says what failed: the commonest kind of failure with one that it happened to, and how many others there are.
func problem(what string, all []asking) (failed int, text string) {
	var counts [failureKinds]int
	for _, a := range all {
		if a.failed != nil {
			failed++
			counts[a.failed.kind]++
		}
	}
	if failed == 0 {
		return 0, ""
	}
	var common *asking
	for i := range all {
		if f := all[i].failed; f != nil && (common == nil || counts[f.kind] > counts[common.failed.kind]) {
			common = &all[i]
		}
	}
	text = fmt.Sprintf("%d of %d %s could not be read: %s: %s", failed, len(all), what, common.name, common.failed.what)
	if alike := counts[common.failed.kind] - 1; alike > 0 {
		text += fmt.Sprintf(", and %d others alike", alike)
	}
	if others := failed - counts[common.failed.kind]; others > 0 {
		text += fmt.Sprintf(", and %d otherwise", others)
	}
	return failed, text + "; " + common.failed.hint
}

// report tells how the pods answered.
func (s *directTarget) report(r *DirectReading, t DirectTarget, busy int) {
	if t.Port == 0 {
		return
	}
	var all []asking
	for _, pod := range t.Pods {
		p := s.pods[pod.UID]
		if p.trial.failed != nil || p.asked.Equal(p.wanted) {
			name := "pod " + pod.Name
			if p.address.IsValid() {
				name += " (" + p.address.String() + ")"
			}
			all = append(all, asking{name, p.trial.failed})
		}
	}
	r.Sampled = len(all)
	r.Failed, r.Problem = problem("pods", all)
	if r.Problem == "" && busy > 0 {
		r.Problem = fmt.Sprintf("%d of %d pods were not asked: too many others answer slowly; raise --interval", busy, len(t.Pods))
	}
}

// reportAgents tells how the agents answered, in the order of the pods.
func reportAgents(r *DirectReading, t DirectTarget, agents map[netip.AddrPort]*directAgent) {
	var all []asking
	told := map[*directAgent]bool{}
	for _, pod := range t.Pods {
		if a := agents[pod.Agent]; a != nil && !told[a] {
			told[a] = true
			all = append(all, asking{"the agent at " + a.address.String(), forAgent(a.failure())})
		}
	}
	r.Agents = len(all)
	r.AgentsFailed, r.AgentProblem = problem("NVML agents", all)
}

// forAgent replaces advice that is about an annotation, which agents do not have.
func forAgent(f *failure) *failure {
	if f == nil || !strings.Contains(f.hint, "gpuscaler.io/scrape") {
		return f
	}
	return &failure{f.kind, f.what, nextToAgent}
}

// nextToAgent is what to do when something else than an agent answers, or nothing.
const nextToAgent = "check what listens there: gpuscaler's nvml-agent does on port 9401"
