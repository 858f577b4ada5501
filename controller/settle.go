package controller

import (
	"fmt"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// settle takes over what has become of a write.
func (t *target) settle(o *outcome, now time.Time) {
	t.writing = false
	switch o.result {
	case success:
		t.wrote(o, now)
	case dry, superseded, notLeader:
	case conflict:
		if t.seen.replicas != o.from { // the cache shows already who won
			t.mayWrite()
			return
		}
		t.failed(o, now)
	case unknown:
		t.unsure = o
		t.failed(o, now)
	default:
		t.failed(o, now)
	}
}

// cachePatience is how long the cache is given to show a write. After a restore from a backup versions begin lower, and it
// never does; to decide without is safe, because a write that builds on an old number is refused.
const cachePatience = time.Minute

// wrote takes over a write that was made. An admission webhook may have made another number of it; one that left all as it
// was counts as a refusal, or it would be asked again every tick.
func (t *target) wrote(o *outcome, now time.Time) {
	t.unsure = nil
	t.made = &o.written
	o.decision.Desired = o.replicas
	t.remembers(t.state.Wrote(o.decision, o.decision.Time))
	if older(t.seen.version, o.version) {
		t.awaited, t.awaitedUntil, t.owed = o.version, now.Add(cachePatience), now
	}
	if o.replicas != o.from {
		t.mayWrite()
		return
	}
	o.err = fmt.Errorf("scaling %s/%s from %d to %d: the API server made %d of it; an admission webhook may have", o.namespace, o.name, o.from, o.to, o.replicas)
	t.failed(o, now)
}

// failed notes a write that failed.
func (t *target) failed(o *outcome, now time.Time) {
	t.lost = o.result == conflict
	if t.failures++; t.lost && t.failures == 1 {
		t.owed = now // or the API server refuses the number, and nobody has made another
	}
	t.retry, t.failedRaise = now.Add(max(o.after, backoff(o.result, t.failures))), o.to > o.from
	t.writeProblem = fmt.Sprintf("the last write failed, the next is not tried before %sZ: %v", t.retry.UTC().Format(time.TimeOnly), o.err)
}

// waits reports whether a change must wait: because the cache may show the past, or because the last one in its direction failed.
func (t *target) waits(d *policy.Decision, now time.Time) bool {
	return t.outdated != "" || now.Before(t.retry) && t.failedRaise == (d.Desired > d.Current)
}

// mayWrite forgets about failed writes.
func (t *target) mayWrite() {
	if t.lost {
		t.owed = time.Time{}
	}
	t.failures, t.retry, t.writeProblem, t.lost = 0, time.Time{}, "", false
}

// resolve finds out from the cache what has become of a write without an answer. If it was made it counts, once.
func (t *target) resolve() {
	o := t.unsure
	if o == nil || t.seen.replicas == o.from {
		return
	}
	if t.seen.replicas == o.to {
		t.remembers(t.state.Wrote(o.decision, o.decision.Time))
		t.made = &written{o.to, t.seen.version}
	}
	t.unsure = nil
}

// firstPause is the pause after a first failure, by what became of the write. After a lost race the next write waits for
// the cache to show who won; the pause is for those that nobody won, such as a number that the API server refuses. Where a
// right is missing, only a person can help. A success is one that changed nothing.
var firstPause = map[result]time.Duration{
	success:   30 * time.Second,
	conflict:  30 * time.Second,
	forbidden: time.Minute,
	failed:    time.Minute,
	gone:      time.Minute,
	throttled: time.Second,
	unknown:   time.Second,
}

// The longest pauses between two attempts. An API server that was away comes back for all at once, and then raises wait for no
// person.
const (
	longestPause = 5 * time.Minute
	outagePause  = 30 * time.Second
)

// backoff is how long to wait after so many failures in a row: twice as long after each.
func backoff(r result, failures int) time.Duration {
	longest := longestPause
	if r == throttled || r == unknown {
		longest = outagePause
	}
	return min(firstPause[r]<<min(failures-1, 16), longest)
}
