package controller

import (
	"strconv"
	"time"

	"github.com/gpuscaler/gpuscaler/policy"
)

// target is a Deployment to be scaled and all that is remembered of it. Between ticks nobody touches it; in a tick one
// worker does.
type target struct {
	// seen is the Deployment as the cache shows it in this tick.
	seen *deployment
	asked
	// state is what is remembered for the next decision, and decision the last one. Neither is ever changed, only replaced: Snapshots and
	// the past share them.
	state    *policy.State
	decision *policy.Decision
	// replies are those of its custom signals in this tick.
	replies []*reply
	// direct is what its pods and agents say in this tick, nil if they were not asked.
	direct *direct
	// origins are where the samples of its signals came from in this tick, nil if only Prometheus was asked.
	origins []origins
	// lasts are for each signal, built-in ones first, the last samples of its pods.
	lasts [][]last
	// hand is who has set the replicas last, judged from judged.
	hand   policy.Hand
	judged *deployment
	// made is the last write that was made, as long as the cache has shown no change since, nil if there is none.
	made *written
	// settling says that in this tick it matters when samples were taken.
	settling bool
	// started are the startups of pods that no decision has been told of.
	started []time.Duration

	// note says why the present tick made no decision, empty if it made one.
	note                          string
	ready, loading, unschedulable int
	// gpus are those that its pods hold.
	gpus int
	// free is how many further pods the nodes could place, if freeKnown.
	free      int
	freeKnown bool
	// rival names another autoscaler of the Deployment, empty if there is none.
	rival string
	// raise is a decision to raise that waits for those of others, nil but within a tick.
	raise      *raise
	gpuSeconds GPUSeconds
	heldBefore reasonSet

	// writing says that a write has been handed over and has not come back.
	writing bool
	// awaited is the resourceVersion of the last write, as long as the cache has not shown it, and awaitedUntil is when it
	// is no longer waited for.
	awaited      string
	awaitedUntil time.Time
	// owed is since when the cache has not shown a change that is known to have been made, zero if there is none.
	owed time.Time
	// outdated says why the cache may show the past and nothing may be written, empty if it does not.
	outdated string
	// unsure is a write of which nobody knows whether it was made, nil if there is none.
	unsure *outcome
	// failures counts the writes that failed since the last success. retry is when the next in the direction of the last
	// may be tried: that a lower was refused must not hold up a raise.
	failures    int
	retry       time.Time
	failedRaise bool
	// writeProblem tells of them, empty if there were none.
	writeProblem string
	// lost says that the last write lost a race whose outcome the cache has not shown.
	lost bool
	// quarantine is until when the target is left alone after a panic.
	quarantine time.Time

	order   order
	told    told
	history *history
}

// told is what has been told of a target, so that only changes are.
type told struct {
	// decided is the time of the decision that was logged last, zero if none was.
	decided time.Time
	reason  policy.Reason
	desired int
	// noted are the reasons that it had notes on.
	noted reasonSet
	// conditions are the reasons for Events that held at the last tick, and ever those that have held at any.
	conditions, ever reasonSet
	trouble          uint64
	rival            string
}

// newTarget returns a target of which nothing is remembered.
func newTarget() *target { return &target{state: &policy.State{}, decision: &policy.Decision{}} }

// remembers takes a State in place of the one before.
func (t *target) remembers(s policy.State) { t.state = &s }

// see takes over what the cache shows now.
func (t *target) see(d *deployment, parse parser) {
	before := t.seen
	if before == d {
		return
	}
	t.seen = d
	if before != nil && !sameAnnotations(before.annotations, d.annotations) {
		t.remembers(t.state.Edited())
	}
	if before == nil || !sameAnnotations(before.annotations, d.annotations) {
		t.ask(d.annotations, parse)
		t.lasts = nil
		t.quarantine = time.Time{}
		t.mayWrite()
	}
	if t.lost {
		t.mayWrite()
	}
	if t.awaited != "" && !older(d.version, t.awaited) {
		t.awaited, t.owed = "", time.Time{}
	}
}

// sameAnnotations compares them.
func sameAnnotations(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// older compares resourceVersions, which grow with each change. What is no number is not older: waiting for it could
// last forever.
func older(version, than string) bool {
	a, errA := strconv.ParseUint(version, 10, 64)
	b, errB := strconv.ParseUint(than, 10, 64)
	return errA == nil && errB == nil && a < b
}

// attribute finds out who has set the replicas that the cache shows. Where the API server notes nobody they were scaled, and whoever that
// was is taken for a person unless it was us; in a dry run nobody knows that.
func (t *target) attribute(dryRun bool) {
	before := t.judged
	if t.writing || before == t.seen {
		return // while a write is under way, it may be ours
	}
	t.judged = t.seen
	switch {
	case t.seen.hand != policy.Hand{}:
		t.hand = t.seen.hand
	case before == nil || before.replicas == t.seen.replicas:
	case t.made != nil && t.made.replicas == t.seen.replicas && !older(t.seen.version, t.made.version):
		t.hand = policy.Hand{By: policy.OurHand, Manager: fieldManager}
	case dryRun:
		t.hand = policy.Hand{}
	default:
		t.hand = policy.Hand{By: policy.PersonsHand}
	}
	if before != nil && before.replicas != t.seen.replicas && t.made != nil && !older(t.seen.version, t.made.version) {
		t.made = nil
	}
}

// blocked says why no decision can be made now, empty if one can.
func (t *target) blocked(now time.Time) string {
	switch {
	case t.writing:
		return "a write is under way"
	case t.awaited != "" && now.Before(t.awaitedUntil):
		return "the last write is not in the cache yet"
	case now.Before(t.quarantine):
		return "left alone after a panic until " + t.quarantine.UTC().Format(time.TimeOnly) + "Z"
	}
	return ""
}
