package metrics

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// trial is what is known of how someone answers. Who fails is tried again after 1, 2, 4 … 30 seconds, and in slots of its own.
type trial struct {
	failed *failure // of the last time, nil if it answered
	wait   time.Duration
	next   time.Time
}

const (
	firstWait = time.Second
	maxWait   = 30 * time.Second
)

// due reports whether it is time to ask.
func (t *trial) due(now time.Time) bool { return t.failed == nil || !now.Before(t.next) }

// end takes the outcome of asking.
func (t *trial) end(now time.Time, fail *failure) {
	if fail == nil {
		*t = trial{}
		return
	}
	t.wait = min(max(2*t.wait, firstWait), maxWait)
	t.failed, t.next = fail, now.Add(t.wait)
}

// ask scrapes a page if a slot is free for it. Who answered the last time waits for one, up to half the time that there is, since
// all of them are soon free again. Who is on trial does not.
func (d *Direct) ask(ctx context.Context, tick directTick, t *trial, request *http.Request, p *page) (asked bool, fail *failure) {
	if t.failed != nil {
		select {
		case d.probation <- struct{}{}:
			defer func() { <-d.probation }()
		default:
			return false, nil
		}
	} else if !d.slot(ctx) {
		return false, nil
	} else {
		defer func() { <-d.slots }()
	}
	fail = d.scraper.scrape(ctx, request, p, tick.clock)
	if fail != nil && tick.parent.Err() == context.Canceled {
		return false, nil // nobody wants to know any more, which is not the pod's fault
	}
	t.end(tick.now, fail)
	return true, fail
}

// slot waits for a slot.
func (d *Direct) slot(ctx context.Context) bool {
	select {
	case d.slots <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(d.opts.Timeout / 2)
	defer patience.Stop()
	select {
	case d.slots <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
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
			all = append(all, asking{fmt.Sprintf("pod %s (%s)", pod.Name, p.address), p.trial.failed})
		}
	}
	r.Sampled = len(all)
	r.Failed, r.Problem = problem("pods", all)
	if r.Problem == "" && busy > 0 {
		r.Problem = fmt.Sprintf("%d pods were not asked: all %d slots were taken by others; raise --interval", busy, maxScrapes)
	}
}

// reportAgents tells how the agents answered.
func reportAgents(r *DirectReading, agents []*directAgent) {
	var all []asking
	for _, a := range agents {
		all = append(all, asking{"the agent at " + a.address.String(), a.failure()})
	}
	r.Agents = len(all)
	r.AgentsFailed, r.AgentProblem = problem("NVML agents", all)
}
