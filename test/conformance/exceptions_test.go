package conformance

import (
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// exception names a way in which Decide is meant to differ from the HPA.
type exception string

const (
	// forgottenEvent is E1: no scale event inside a period is ever forgotten. The HPA puts a new event in the place of
	// one that is older than the longest period of its direction, though the other direction may have a longer one.
	forgottenEvent exception = "forgotten event"
	// coverage is of rule 1: with samples of less than half of the ready pods nothing is lowered, and nothing recorded.
	coverage exception = "coverage"
	// gap is rule 2: after a long stretch without trustworthy data nothing is lowered for a window.
	gap exception = "gap"
)

// excuses knows until when an exception may show. It keeps its own account and asks Decide nothing.
type excuses struct {
	until    map[exception]time.Time
	badSince time.Time
}

// excuse lets an exception show until before a time.
func (e *excuses) excuse(x exception, until time.Time) {
	if e.until == nil {
		e.until = map[exception]time.Time{}
	}
	if until.After(e.until[x]) {
		e.until[x] = until
	}
}

// apply returns an exception that may show now, empty if there is none.
func (e *excuses) apply(now time.Time) exception {
	for _, x := range []exception{forgottenEvent, coverage, gap} {
		if e.until[x].After(now) {
			return x
		}
	}
	return ""
}

// forgot compares the HPA's events before and after a tick. An event in whose place there is another now, and that still
// counts for some policy, is the first exception.
func (e *excuses) forgot(spec *policy.Spec, now time.Time, before, after []time.Time) {
	period := max(longest(&spec.ScaleUp), longest(&spec.ScaleDown))
	for i, event := range before {
		if end := event.Add(period); !after[i].Equal(event) && end.After(now) {
			e.excuse(forgottenEvent, end)
		}
	}
}

// see watches for the other two.
func (e *excuses) see(spec *policy.Spec, seen *sight, now time.Time) {
	replicas := seen.ours.Replicas
	if replicas == 0 || replicas < spec.MinReplicas || replicas > spec.MaxReplicas {
		return // no signal is asked
	}
	window := max(spec.ScaleUp.StabilizationWindow, spec.ScaleDown.StabilizationWindow)
	if seen.starved {
		e.excuse(coverage, now.Add(max(window, 1))) // now, and while the HPA remembers what it recorded now
	}
	if seen.untrusted {
		if e.badSince.IsZero() {
			e.badSince = now
		}
		return
	}
	if !e.badSince.IsZero() && now.Sub(e.badSince) > gapAfter(spec) {
		e.excuse(gap, now.Add(max(spec.ScaleDown.StabilizationWindow, spec.MaxSampleAge)))
	}
	e.badSince = time.Time{}
}

// mayFail tells whether a failure now can still end before it is a gap, the next tick being up to a pause away.
func (e *excuses) mayFail(spec *policy.Spec, now time.Time, pause time.Duration) bool {
	since := e.badSince
	if since.IsZero() {
		since = now
	}
	return now.Add(pause).Sub(since) <= gapAfter(spec)
}

// gapAfter is how long a stretch without trustworthy data may last before it is a gap.
func gapAfter(spec *policy.Spec) time.Duration { return max(spec.MaxSampleAge, 2*spec.Interval) }
